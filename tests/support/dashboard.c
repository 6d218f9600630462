#include "tests/support/dashboard.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "coro/base/clock.h"

/* How old a beat may be, and no key may live longer without one. */
#define LIFE_S 60

#define check(condition, found) note((condition), #condition, (found))

static bool note(bool is_met, const char *condition, const char *found)
{
    if (!is_met)
        print_error("--- the record of a process: expected %s, found %s\n",
                    condition, found ? found : "nothing");
    return is_met;
}

static bool has_life(struct redis_server *redis, const char *identity,
                     const char *suffix)
{
    long long left_s = redis_integer(redis, "TTL %s%s", identity, suffix);
    return check(left_s > 0 && left_s <= LIFE_S, suffix);
}

/* --- numbers -------------------------------------------------------------- */

static bool read_integer(const redisReply *reply, int64_t *ret)
{
    if (!check(reply->type == REDIS_REPLY_STRING && reply->len > 0, NULL))
        return false;
    char *end;
    errno = 0;
    *ret = strtoll(reply->str, &end, 10);
    return check(errno == 0 && *end == '\0' && *ret >= 0, reply->str);
}

static bool read_float(const redisReply *reply, double *ret)
{
    if (!check(reply->type == REDIS_REPLY_STRING && reply->len > 0, NULL))
        return false;
    char *end;
    *ret = strtod(reply->str, &end);
    return check(*end == '\0' && strchr(reply->str, '.'), reply->str);
}

static bool read_bool(const redisReply *reply, bool *ret)
{
    if (!check(reply->type == REDIS_REPLY_STRING, NULL))
        return false;
    *ret = strcmp(reply->str, "true") == 0;
    return check(*ret || strcmp(reply->str, "false") == 0, reply->str);
}

/* --- info ----------------------------------------------------------------- */

static bool are_strings(const json_t *array)
{
    if (!check(json_is_array(array), NULL))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!check(json_is_string(json_array_get(array, i)), NULL))
            return false;
    return true;
}

static bool are_integers(json_t *object)
{
    if (!check(json_is_object(object), NULL))
        return false;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) if (!check(json_is_integer(value),
                                                        name)) return false;
    return true;
}

static bool check_mode(const char *mode)
{
    static const char *const modes[] = {"strict", "weighted", "random"};
    for (size_t i = 0; mode && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(mode, modes[i]) == 0)
            return true;
    return check(false, mode);
}

/* The queues are told three times, and each must say the same. */
static bool check_queues(const json_t *info)
{
    const json_t *queues = json_object_get(info, "queues");
    const json_t *weights = json_object_get(info, "weights");
    const json_t *capsule =
        json_object_get(json_object_get(info, "capsules"), "default");
    json_t *first = json_array_get(weights, 0);
    size_t n = json_array_size(queues);
    if (!are_strings(queues) || !are_integers(first) ||
        !check(n > 0 && json_object_size(first) == n, NULL) ||
        !check(json_array_size(weights) == 1, NULL) ||
        !check(json_equal(first, json_object_get(capsule, "weights")), NULL))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(queues, i));
        if (!check(json_object_get(first, name), name))
            return false;
    }
    return check_mode(json_string_value(json_object_get(capsule, "mode"))) &&
           check(json_equal(json_object_get(capsule, "concurrency"),
                            json_object_get(info, "concurrency")),
                 NULL);
}

static bool check_texts(const json_t *info, const char *identity)
{
    const char *hostname = json_string_value(json_object_get(info, "hostname"));
    const char *tag = json_string_value(json_object_get(info, "tag"));
    const char *own = json_string_value(json_object_get(info, "identity"));
    const char *version = json_string_value(json_object_get(info, "version"));
    return check(hostname && hostname[0], hostname) && check(tag, NULL) &&
           check(own && strcmp(own, identity) == 0, own) &&
           check(version && strncmp(version, "corq ", 5) == 0, version) &&
           check(json_is_false(json_object_get(info, "embedded")), NULL) &&
           are_strings(json_object_get(info, "labels"));
}

static bool read_info(const redisReply *reply, const char *identity,
                      struct dashboard_process *ret)
{
    if (!check(reply->type == REDIS_REPLY_STRING, NULL))
        return false;
    ret->info =
        json_loadb(reply->str, reply->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *started_at = json_object_get(ret->info, "started_at");
    const json_t *pid = json_object_get(ret->info, "pid");
    const json_t *concurrency = json_object_get(ret->info, "concurrency");
    if (!check(json_object_size(ret->info) == 12, reply->str) ||
        !check_texts(ret->info, identity) || !check_queues(ret->info) ||
        !check(json_is_real(started_at), reply->str) ||
        !check(json_is_integer(pid), reply->str) ||
        !check(json_integer_value(concurrency) == ret->concurrency, reply->str))
        return false;
    ret->hostname = json_string_value(json_object_get(ret->info, "hostname"));
    ret->pid = json_integer_value(pid);
    ret->started_at = json_real_value(started_at);
    char begin[200];
    snprintf(begin, sizeof begin, "%s:%lld:", ret->hostname,
             (long long)ret->pid);
    return check(strncmp(identity, begin, strlen(begin)) == 0, begin);
}

/* --- running jobs --------------------------------------------------------- */

static bool read_job(const redisReply *field, const redisReply *value,
                     struct dashboard_job *ret)
{
    snprintf(ret->field, sizeof ret->field, "%s", field->str);
    ret->value =
        json_loadb(value->str, value->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *run_at = json_object_get(ret->value, "run_at");
    const json_t *payload = json_object_get(ret->value, "payload");
    ret->queue = json_string_value(json_object_get(ret->value, "queue"));
    ret->payload = json_string_value(payload);
    ret->run_at_s = json_integer_value(run_at);
    if (!check(json_object_size(ret->value) == 3, value->str) ||
        !check(ret->queue && ret->payload, value->str) ||
        !check(json_is_integer(run_at), value->str) ||
        !check(strlen(ret->payload) == json_string_length(payload), value->str))
        return false;
    ret->root = json_loads(ret->payload, 0, NULL);
    ret->class = json_string_value(json_object_get(ret->root, "class"));
    ret->jid = json_string_value(json_object_get(ret->root, "jid"));
    ret->args = json_object_get(ret->root, "args");
    int64_t age_s = coro_wall_us() / 1000000 - ret->run_at_s;
    return check(ret->class && json_is_array(ret->args), ret->payload) &&
           check(age_s >= 0 && age_s < 3600, value->str);
}

static bool read_jobs(struct redis_server *redis, const char *identity,
                      struct dashboard_process *ret)
{
    redisReply *reply = redis_reply(redis, "HGETALL %s:work", identity);
    bool are_good = true;
    size_t njobs = reply->elements / 2;
    ret->jobs = calloc(njobs + 1, sizeof *ret->jobs);
    for (size_t i = 0; i < njobs && are_good; i++) {
        ret->njobs++;
        are_good = read_job(reply->element[2 * i], reply->element[2 * i + 1],
                            &ret->jobs[i]);
    }
    freeReplyObject(reply);
    return are_good && (njobs == 0 || has_life(redis, identity, ":work"));
}

/* --- all of it ------------------------------------------------------------ */

static bool read_fields(redisReply *const *values, const char *identity,
                        struct dashboard_process *ret)
{
    return read_integer(values[1], &ret->busy) &&
           read_float(values[2], &ret->beat) &&
           read_bool(values[3], &ret->is_quiet) &&
           read_integer(values[4], &ret->rss_kb) &&
           read_integer(values[5], &ret->rtt_us) &&
           read_integer(values[6], &ret->concurrency) &&
           read_info(values[0], identity, ret);
}

static bool read_process(struct redis_server *redis, const char *identity,
                         struct dashboard_process *ret)
{
    redisReply *reply = redis_reply(
        redis, "HMGET %s info busy beat quiet rss rtt_us concurrency",
        identity);
    bool is_good = check(reply->elements == 7, reply->str) &&
                   read_fields(reply->element, identity, ret);
    freeReplyObject(reply);
    double age_s = (double)coro_wall_us() / 1e6 - ret->beat;
    return is_good && check(age_s >= 0 && age_s < LIFE_S, "a beat") &&
           check(ret->started_at <= ret->beat, "a start") &&
           check(ret->rss_kb > 100 && ret->rtt_us > 0, "nothing");
}

bool dashboard_read(struct redis_server *redis, const char *identity,
                    struct dashboard_process *ret)
{
    *ret = (struct dashboard_process){.info = NULL};
    long long is_member =
        redis_integer(redis, "SISMEMBER processes %s", identity);
    return check(is_member == 1, identity) &&
           read_process(redis, identity, ret) &&
           has_life(redis, identity, "") && read_jobs(redis, identity, ret);
}

void dashboard_release(struct dashboard_process *process)
{
    for (size_t i = 0; i < process->njobs; i++) {
        json_decref(process->jobs[i].value);
        json_decref(process->jobs[i].root);
    }
    free(process->jobs);
    json_decref(process->info);
    *process = (struct dashboard_process){.info = NULL};
}

const struct dashboard_job *dashboard_job(
    const struct dashboard_process *process, const char *payload)
{
    for (size_t i = 0; i < process->njobs; i++) {
        const struct dashboard_job *job = &process->jobs[i];
        const char *first = json_string_value(json_array_get(job->args, 0));
        if (strcmp(job->payload, payload) == 0 ||
            (first && strcmp(first, payload) == 0))
            return job;
    }
    return NULL;
}

char *dashboard_identity(struct redis_server *redis)
{
    redisReply *reply = redis_reply(redis, "SMEMBERS processes");
    char *identity =
        reply->elements == 1 ? strdup(reply->element[0]->str) : NULL;
    freeReplyObject(reply);
    return identity;
}

int64_t dashboard_stat(struct redis_server *redis, const char *name)
{
    char *text = redis_text(redis, "GET stat:%s", name);
    int64_t number = text ? strtoll(text, NULL, 10) : -1;
    free(text);
    return number;
}

int64_t dashboard_stat_today(struct redis_server *redis, const char *name)
{
    time_t now_s = time(NULL);
    struct tm utc;
    gmtime_r(&now_s, &utc);
    char day[80];
    snprintf(day, sizeof day, "%s:%04d-%02d-%02d", name, utc.tm_year + 1900,
             utc.tm_mon + 1, utc.tm_mday);
    return dashboard_stat(redis, day);
}
