#include "master/queue/answer.h"

#include <string.h>

struct rule {
    const char *prefix;
    enum answer answer;
};

static const struct rule rules[] = {
    {"UNBLOCKED client unblocked", ANSWER_AGAIN},
    {"UNBLOCKED", ANSWER_RECONNECT}, /* its role changed */
    {"READONLY", ANSWER_RECONNECT},
    {"NOAUTH", ANSWER_RECONNECT},
    {"WRONGPASS", ANSWER_RECONNECT},
    {"ERR max number of clients", ANSWER_RECONNECT},
    {"ERR Protocol error", ANSWER_RECONNECT},
    {"WRONGTYPE", ANSWER_QUEUE},
    {"NOPERM", ANSWER_QUEUE},
    {"ERR unknown command", ANSWER_UNKNOWN},
    {"ERR wrong number of arguments", ANSWER_UNKNOWN},
    /* LOADING, OOM, MISCONF, NOREPLICAS, MASTERDOWN, BUSY, and whatever is not
     * known here: the connection is fine, the server is not. */
    {"", ANSWER_LATER},
};

enum answer answer_of(const struct coro_redis_reply *reply)
{
    if (coro_redis_reply_type(reply) != CORO_REDIS_ERROR)
        return ANSWER_OK;
    const struct rule *rule = rules;
    while (!coro_redis_reply_is_error(reply, rule->prefix))
        rule++;
    return rule->answer;
}
