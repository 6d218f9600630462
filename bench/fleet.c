#include "bench/fleet.h"

#include <math.h>

#include "bench/report.h"

size_t fleet_size(const struct fleet_shape *shape)
{
    return shape->nsupervisors * shape->nprocesses;
}

void fleet_start(struct fleet *fleet, struct server *server,
                 const struct fleet_shape *shape,
                 const struct program_options *options)
{
    struct program_options of_one = *options;
    fleet->shape = shape;
    fleet->server = server;
    of_one.nprocesses = shape->nprocesses;
    server_do(server, "FLUSHALL");
    for (size_t i = 0; i < shape->nsupervisors; i++)
        program_start(&fleet->programs[i], server, &of_one);
}

void fleet_stop(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->shape->nsupervisors; i++)
        program_stop(&fleet->programs[i]);
}

double fleet_cpu(const struct fleet *fleet)
{
    double seconds = 0;
    for (size_t i = 0; i < fleet->shape->nsupervisors; i++)
        seconds += program_cpu(&fleet->programs[i]);
    return seconds;
}

double fleet_bytes(const struct fleet *fleet)
{
    double bytes = 0;
    for (size_t i = 0; i < fleet->shape->nsupervisors; i++)
        bytes += program_bytes(&fleet->programs[i], "VmRSS");
    return bytes;
}

/* Each process notes its totals at its end. One that had nothing to do has
 * noted nothing. */
static const char totals[] =
    "local all = {}"
    "for _, key in ipairs(redis.call('KEYS', 'corq:mark:*:counted')) do"
    "  local n = redis.call('HGET', key, 'processed')"
    "  all[#all + 1] = tonumber(n or 0) "
    "end "
    "return all";

struct fleet_share fleet_share(const struct fleet *fleet)
{
    redisReply *reply = redisCommand(fleet->server->admin, "EVAL %s 0", totals);
    size_t n = fleet_size(fleet->shape);
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements > n)
        give_up("there are not the totals of %zu processes", n);
    double sum = 0, squares = 0, most = 0, least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double njobs =
            i < reply->elements ? (double)reply->element[i]->integer : 0;
        sum += njobs;
        squares += njobs * njobs;
        most = fmax(most, njobs);
        least = fmin(least, njobs);
    }
    freeReplyObject(reply);
    if (sum == 0)
        give_up("no process has counted a job");
    return (struct fleet_share){
        .least = least * (double)n / sum,
        .most = most * (double)n / sum,
        .jain = sum * sum / ((double)n * squares),
        .njobs = sum,
    };
}
