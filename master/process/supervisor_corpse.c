#include <stdlib.h>
#include <sys/wait.h>

#include "master/process/supervisor_internal.h"
#include "worker/log.h"

static struct corpse *corpse_of(struct list *link)
{
    return list_entry(link, struct corpse, link);
}

static void bury(struct supervisor *supervisor, struct corpse *corpse)
{
    supervisor->is_taken[corpse->place] = false;
    list_remove(&corpse->link);
    free(corpse);
}

static enum link_cause cause_of(const struct child *child)
{
    if (child->end == CHILD_END_CRASHED)
        return LINK_CAUSE_CRASH;
    if (child->end == CHILD_END_KILLED || child->end == CHILD_END_LEFT)
        return LINK_CAUSE_KILLED;
    return LINK_CAUSE_INNOCENT;
}

/* Without memory it is as if the supervisor had died as well: others find the
 * jobs when the lease has run out. */
void corpse_add(struct supervisor *supervisor, const struct child *child)
{
    struct corpse *corpse = calloc(1, sizeof *corpse);
    if (!corpse) {
        supervisor->is_taken[child->place] = false;
        return;
    }
    corpse->place = child->place;
    corpse->number = child->number;
    corpse->pid = child->pid;
    corpse->cause = cause_of(child);
    corpse->signal = WIFSIGNALED(child->status) ? WTERMSIG(child->status) : 0;
    list_append(&supervisor->corpses, &corpse->link);
}

static int rank_of(const struct child *child, const struct corpse *corpse)
{
    return 2 * child_is_ready(child) + (child->number == corpse->number);
}

/* Of those that take jobs the one in the same seat, who was started in its
 * place; else one that is just being started, and does it before it takes any. */
static struct child *choose_taker(struct supervisor *supervisor,
                                  const struct corpse *corpse)
{
    struct child *chosen = NULL;
    list_foreach (link, &supervisor->children) {
        struct child *child = list_entry(link, struct child, link);
        if (child->told_ms > 0 || child->end != CHILD_END_NONE)
            continue;
        if (!chosen || rank_of(child, corpse) > rank_of(chosen, corpse))
            chosen = child;
    }
    return chosen;
}

void corpse_assign(struct supervisor *supervisor)
{
    list_foreach (link, &supervisor->corpses) {
        struct corpse *corpse = corpse_of(link);
        if (corpse->taker)
            continue;
        struct child *taker = choose_taker(supervisor, corpse);
        if (!taker)
            return;
        const struct link_message message = {
            .kind = LINK_RECOVER,
            .place = (uint32_t)corpse->place,
            .cause = corpse->cause,
            .status = corpse->signal,
            .pid = corpse->pid,
        };
        if (link_send(taker->link_fd, &message) == 0)
            corpse->taker = taker;
    }
}

void corpse_done(struct supervisor *supervisor, const struct child *child,
                 const struct link_message *message)
{
    list_foreach_safe (link, &supervisor->corpses) {
        struct corpse *corpse = corpse_of(link);
        if (corpse->taker == child && corpse->place == message->place &&
            corpse->pid == message->pid)
            bury(supervisor, corpse);
    }
}

void corpse_lost_taker(struct supervisor *supervisor, const struct child *child)
{
    list_foreach (link, &supervisor->corpses)
        if (corpse_of(link)->taker == child)
            corpse_of(link)->taker = NULL;
}

size_t corpse_drop_all(struct supervisor *supervisor)
{
    size_t n = 0;
    list_foreach_safe (link, &supervisor->corpses) {
        bury(supervisor, corpse_of(link));
        n++;
    }
    return n;
}

static bool find_free(const struct supervisor *supervisor, size_t *ret_place)
{
    for (size_t i = 0; i < supervisor->nplaces; i++) {
        *ret_place = i;
        if (!supervisor->is_taken[i])
            return true;
    }
    return false;
}

/* There are more places than children that can live at once. */
size_t corpse_take_place(struct supervisor *supervisor)
{
    size_t place;
    while (!find_free(supervisor, &place)) {
        struct corpse *oldest = corpse_of(supervisor->corpses.next);
        log_line(LOG_LEVEL_WARN, "supervisor", NULL, 0,
                 "too many dead children that nobody could see to: the jobs of "
                 "one of child %zu come back when its lease runs out",
                 oldest->number);
        bury(supervisor, oldest);
    }
    supervisor->is_taken[place] = true;
    shared_clear(&supervisor->shared, place);
    return place;
}
