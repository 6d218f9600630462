#include "tests/support/scene.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/buf.h"
#include "tests/support/verdict.h"
#include "worker/envelope.h"

static struct scene *scene_new(void)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    verdict_begin();
    return scene;
}

int scene_open(void **state)
{
    struct scene *scene = scene_new();
    *state = scene;
    redis_server_start(&scene->redis, NULL);
    return 0;
}

int scene_open_without_redis(void **state)
{
    struct scene *scene = scene_new();
    *state = scene;
    redis_server_prepare(&scene->redis, NULL);
    return 0;
}

int scene_open_with_proxy(void **state)
{
    scene_open(state);
    struct scene *scene = *state;
    scene->proxy = proxy_start(scene->redis.port);
    snprintf(scene->proxy_url, sizeof scene->proxy_url, "redis://127.0.0.1:%u",
             (unsigned)proxy_port(scene->proxy));
    return 0;
}

int scene_close(void **state)
{
    struct scene *scene = *state;
    program_release(&scene->corq);
    program_release(&scene->second);
    proxy_stop(scene->proxy);
    notify_socket_close(&scene->notify);
    redis_server_release(&scene->redis);
    free(scene);
    return 0;
}

void scene_run_as(struct program *program, const char *const *arguments)
{
    program_start(program, arguments);
    assert_true(program_wait_for_line(program, "ready: ", PATIENCE_MS));
}

bool scene_sees(struct scene *scene, const char *text)
{
    return program_wait_for_line(&scene->corq, text, PATIENCE_MS);
}

bool scene_sees_lines(struct scene *scene, const char *text, size_t nlines)
{
    return program_wait_for_lines(&scene->corq, text, nlines, PATIENCE_MS);
}

int scene_end(struct scene *scene)
{
    program_signal(&scene->corq, SIGTERM);
    return program_wait_exit(&scene->corq, PATIENCE_MS);
}

void scene_push_sleeps(struct scene *scene, const char *queue,
                       const char *prefix, size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        char payload[32];
        snprintf(payload, sizeof payload, "%s%05zu", prefix, i);
        redis_do(&scene->redis, "LPUSH %s %s", queue, payload);
    }
}

size_t scene_count_waiting(struct scene *scene, const char *queue)
{
    return (size_t)redis_integer(&scene->redis, "LLEN %s", queue);
}

size_t scene_count_blocked(struct scene *scene)
{
    static const char name[] = "blocked_clients:";
    char *info = redis_text(&scene->redis, "INFO clients");
    const char *at = strstr(info, name);
    assert_non_null(at);
    size_t nblocked = (size_t)strtoul(at + sizeof name - 1, NULL, 10);
    free(info);
    return nblocked;
}

struct waiting {
    struct scene *scene;
    const char *queue;
    size_t most;
};

static bool are_few(void *argument)
{
    struct waiting *waiting = argument;
    return scene_count_waiting(waiting->scene, waiting->queue) <= waiting->most;
}

bool scene_sees_waiting(struct scene *scene, const char *queue, size_t most)
{
    struct waiting waiting = {scene, queue, most};
    return wait_until(are_few, &waiting, PATIENCE_MS);
}

size_t scene_count_dead(struct scene *scene)
{
    return (size_t)redis_integer(&scene->redis, "ZCARD corq:dead");
}

struct dead_wait {
    struct scene *scene;
    size_t count;
};

static bool are_dead(void *argument)
{
    struct dead_wait *wait = argument;
    return scene_count_dead(wait->scene) >= wait->count;
}

bool scene_sees_dead(struct scene *scene, size_t count)
{
    wait_until(are_dead, &(struct dead_wait){scene, count}, PATIENCE_MS);
    size_t found = scene_count_dead(scene);
    if (found != count)
        print_error(
            "--- %zu jobs in corq:dead, expected %zu; the log:\n%s---\n", found,
            count, program_log(&scene->corq));
    return found == count;
}

char *scene_dead_entry(struct scene *scene, size_t index)
{
    redisReply *reply = redis_reply(&scene->redis, "ZRANGE corq:dead %d %d",
                                    (int)index, (int)index);
    char *entry = NULL;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1)
        entry = strndup(reply->element[0]->str, reply->element[0]->len);
    freeReplyObject(reply);
    return entry;
}

static bool is_entry_of(const char *entry, const void *payload, size_t len,
                        const char *error)
{
    struct coro_buf key, found;
    coro_buf_init(&key, CORO_BUF_NO_LIMIT);
    coro_buf_init(&found, CORO_BUF_NO_LIMIT);
    bool is_it = envelope_read(entry, strlen(entry), &key, &found) == 0 &&
                 found.len == len &&
                 (len == 0 || memcmp(found.data, payload, len) == 0) &&
                 strstr(entry, error);
    coro_buf_release(&key);
    coro_buf_release(&found);
    return is_it;
}

bool scene_dead_is(struct scene *scene, size_t index, const void *payload,
                   size_t len, const char *error)
{
    char *entry = scene_dead_entry(scene, index);
    bool is_it = entry && is_entry_of(entry, payload, len, error);
    if (!is_it)
        print_error("--- entry %zu of corq:dead is %.500s\n", index,
                    entry ? entry : "not there");
    free(entry);
    return is_it;
}
