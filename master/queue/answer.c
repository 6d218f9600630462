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

/* Before 7.0 what goes wrong in a script is told after the script's name. */
static enum answer answer_of_script(const char *text)
{
    static const struct rule words[] = {
        {" WRONGTYPE ", ANSWER_QUEUE},    {"-NOPERM ", ANSWER_QUEUE},
        {" NOPERM ", ANSWER_QUEUE},       {"-READONLY ", ANSWER_RECONNECT},
        {" READONLY ", ANSWER_RECONNECT},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(text, words[i].prefix))
            return words[i].answer;
    return ANSWER_LATER;
}

enum answer answer_of(const struct coro_redis_reply *reply)
{
    if (coro_redis_reply_type(reply) != CORO_REDIS_ERROR)
        return ANSWER_OK;
    if (coro_redis_reply_is_error(reply, "ERR Error running script"))
        return answer_of_script(coro_redis_reply_text(reply, NULL));
    const struct rule *rule = rules;
    while (!coro_redis_reply_is_error(reply, rule->prefix))
        rule++;
    return rule->answer;
}
