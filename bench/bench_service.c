/*
 * What a user of the service sees from outside: how soon a pushed job starts,
 * how many can sleep at once, and what it takes when it does nothing: CPU and
 * memory are those of the supervisor and of its one child together.
 *
 * All of it is measured at the built program, with at-least-once, which is the
 * default, and then with at-most-once. When a handler starts is told by the log
 * line "Wait 0" of the handler `sleep`, read from a pipe: from the write of
 * LPUSH to there lie Redis, both threads, the log, and waking us up, so the true
 * delay is a little shorter than the figure. The baseline takes the same way
 * without corq: a process with a blocked BRPOP, which writes to a pipe.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/program.h"
#include "bench/report.h"
#include "bench/server.h"
#include "coro/base/clock.h"
#include "coro/base/random.h"

#define SAMPLES       2000
#define PAUSE_MIN_US  500
#define PAUSE_MORE_US 1500
#define IDLE_SECONDS  10
#define WAITING_JOBS  1000000
#define ASK_AGAIN_US  200000
#define SLEEP_ROUNDS  3

static struct program program;

/* The promise that is being measured, and what the keys of its rows begin
 * with. */
static const char *delivery;
static const char *key_prefix;

static void start_program(struct server *server, const char *handler,
                          const char *concurrency, const char *log_level)
{
    program_start(&program, server,
                  &(struct program_options){.handler = handler,
                                            .concurrency = concurrency,
                                            .log_level = log_level,
                                            .delivery = delivery});
}

static void report_named(const struct report_row *row)
{
    char key[60], what[100];
    struct report_row named = *row;
    snprintf(key, sizeof key, "%s%s", key_prefix, row->key);
    snprintf(what, sizeof what, "%s, %s", row->what, delivery);
    named.key = key;
    named.what = what;
    report(&named);
}

/* --- push to start -------------------------------------------------------- */

static void send_push(redisContext *pusher, const char *key)
{
    int is_done = 0;
    redisAppendCommand(pusher, "LPUSH %s 0", key);
    while (!is_done)
        if (redisBufferWrite(pusher, &is_done) != REDIS_OK)
            give_up("can't push: %s", pusher->errstr);
}

static void take_answer(redisContext *pusher)
{
    void *reply;
    if (redisGetReply(pusher, &reply) != REDIS_OK)
        give_up("can't push: %s", pusher->errstr);
    freeReplyObject(reply);
}

/* Long enough for everything to be asleep again; never in step with it. */
static void pause_a_little(struct coro_rng *rng)
{
    usleep(PAUSE_MIN_US + (useconds_t)coro_rng_below(rng, PAUSE_MORE_US));
}

static void measure_starts(struct server *server, double *delays_us)
{
    struct coro_rng rng;
    coro_rng_init(&rng, 1);
    redisContext *pusher = server_connect(server);
    if (!pusher)
        give_up("can't connect");
    start_program(server, "sleep", "256", "info");
    for (size_t i = 0; i < SAMPLES; i++) {
        pause_a_little(&rng);
        int64_t start_ns = coro_now_ns();
        send_push(pusher, "queue");
        int64_t seen_ns = program_wait_lines(&program, "Wait 0", 1);
        delays_us[i] = (double)(seen_ns - start_ns) / 1000;
        take_answer(pusher);
    }
    program_stop(&program);
    redisFree(pusher);
}

static _Noreturn void pop_and_tell(const struct server *server, int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    redisContext *popper = server_connect(server);
    while (popper) {
        redisReply *reply = redisCommand(popper, "BRPOP bare 0");
        if (!reply || write(fd, "0", 1) != 1)
            break;
        freeReplyObject(reply);
    }
    _exit(1);
}

static void measure_bare_starts(struct server *server, double *delays_us)
{
    struct coro_rng rng;
    coro_rng_init(&rng, 1);
    int ends[2];
    redisContext *pusher = server_connect(server);
    if (!pusher || pipe(ends) < 0)
        give_up("can't connect");
    pid_t pid = fork();
    if (pid == 0)
        pop_and_tell(server, ends[1]);
    while (server_info(server, "blocked_clients") < 1)
        usleep(PAUSE_MIN_US);
    for (size_t i = 0; i < SAMPLES; i++) {
        char byte;
        pause_a_little(&rng);
        int64_t start_ns = coro_now_ns();
        send_push(pusher, "bare");
        if (read(ends[0], &byte, 1) != 1)
            give_up("the bare BRPOP ended");
        delays_us[i] = (double)(coro_now_ns() - start_ns) / 1000;
        take_answer(pusher);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    redisFree(pusher);
}

static void report_starts(struct server *server)
{
    static double ours[SAMPLES], bare[SAMPLES];
    report_progress("from push to start, %d times, %s", SAMPLES, delivery);
    measure_starts(server, ours);
    measure_bare_starts(server, bare);
    report_named(&(struct report_row){
        .key = "start_p50",
        .what = "push to start, idle, median",
        .unit = "us",
        .value = measure_percentile(ours, SAMPLES, 50),
        .baseline = "blocked BRPOP",
        .baseline_value = measure_percentile(bare, SAMPLES, 50),
        .budget_kind = REPORT_AT_MOST,
        .budget = 200,
    });
    report_named(&(struct report_row){
        .key = "start_p99",
        .what = "push to start, idle, 99 %",
        .unit = "us",
        .value = measure_percentile(ours, SAMPLES, 99),
        .baseline = "blocked BRPOP",
        .baseline_value = measure_percentile(bare, SAMPLES, 99),
        .budget_kind = REPORT_AT_MOST,
        .budget = 2000,
    });
}

/* --- many that sleep ------------------------------------------------------ */

static const char push_seconds[] =
    "local batch = {}"
    "for i = 1, ARGV[1] do"
    "  batch[#batch + 1] = ARGV[2]"
    "  if #batch == 1000 then"
    "    redis.call('LPUSH', KEYS[1], unpack(batch)) batch = {}"
    "  end "
    "end";

/* From the list's appearance to the log line of the last job's end. */
static double sleepers_seconds(struct server *server, const char *number)
{
    start_program(server, "sleep", number, "info");
    server_do(server, "EVAL %s 1 stash %s 1", push_seconds, number);
    int64_t start_ns = coro_now_ns();
    server_do(server, "RENAME stash queue");
    int64_t seen_ns =
        program_wait_lines(&program, "Done 1", strtoul(number, NULL, 10));
    program_stop(&program);
    return (double)(seen_ns - start_ns) / 1e9;
}

static void report_sleepers(struct server *server, const char *key,
                            const char *what, const char *number,
                            double budget_seconds)
{
    double seconds[SLEEP_ROUNDS];
    for (int i = 0; i < SLEEP_ROUNDS; i++) {
        report_progress("%s, %s", what, delivery);
        seconds[i] = sleepers_seconds(server, number);
    }
    report_named(&(struct report_row){
        .key = key,
        .what = what,
        .unit = "s",
        .value = measure_median(seconds, SLEEP_ROUNDS),
        .baseline = "the sleep itself",
        .baseline_value = 1,
        .budget_kind = REPORT_AT_MOST,
        .budget = budget_seconds,
    });
}

/* --- doing nothing -------------------------------------------------------- */

static void report_idle(struct server *server)
{
    report_progress("an idle process, for %d s, %s", IDLE_SECONDS, delivery);
    double clients = server_info(server, "connected_clients");
    start_program(server, "sleep", "256", "warn");
    clients = server_info(server, "connected_clients") - clients;
    double cpu = program_cpu(&program);
    size_t ncommands = server_count_commands(server, IDLE_SECONDS);
    cpu = program_cpu(&program) - cpu;
    program_stop(&program);
    report_named(&(struct report_row){
        .key = "idle_commands",
        .what = "idle: commands to Redis",
        .unit = "/s",
        .value = (double)ncommands / IDLE_SECONDS,
        .budget_kind = REPORT_AT_MOST,
        .budget = 3,
    });
    report_named(&(struct report_row){
        .key = "idle_connections",
        .what = "idle: connections, one queue",
        .unit = "",
        .value = clients,
        .budget_kind = REPORT_AT_MOST,
        .budget = 3,
    });
    report_named(&(struct report_row){
        .key = "idle_cpu",
        .what = "idle: CPU",
        .unit = "%",
        .value = cpu / IDLE_SECONDS * 100,
        .budget_kind = REPORT_AT_MOST,
        .budget = 0.1,
    });
}

/* --- memory beside a long queue ------------------------------------------- */

/* Resident memory with every coroutine busy and @nwaiting jobs in Redis. */
static double resident_bytes(struct server *server, size_t nwaiting)
{
    start_program(server, "sleep", "256", "info");
    server_do(server, "EVAL %s 1 queue 1000 3600", push_seconds);
    if (nwaiting > 0)
        server_fill(server, "queue", nwaiting);
    program_wait_lines(&program, "Wait 3600", 256);
    sleep(1);
    double bytes = program_bytes(&program, "VmRSS");
    /* Asked twice, it does not wait for the jobs. */
    kill(program.pid, SIGTERM);
    usleep(ASK_AGAIN_US);
    program_stop(&program);
    server_do(server, "FLUSHALL");
    return bytes;
}

static void report_resident(struct server *server)
{
    report_progress("memory beside a queue of 1,000,000, %s", delivery);
    double few = resident_bytes(server, 0);
    double many = resident_bytes(server, WAITING_JOBS);
    report_named(&(struct report_row){
        .key = "resident_long_queue",
        .what = "memory with 1,000,000 waiting",
        .unit = "MiB",
        .value = many / (1 << 20),
        .baseline = "with 744 waiting",
        .baseline_value = few / (1 << 20),
        .budget_kind = REPORT_RATIO_AT_MOST,
        .budget = 1.05,
    });
}

static void report_all(struct server *server)
{
    report_starts(server);
    report_sleepers(server, "sleepers_10000", "10,000 jobs of 1 s at once",
                    "10000", 1.5);
    report_sleepers(server, "sleepers_20000", "20,000 jobs of 1 s at once",
                    "20000", 1.3);
    report_idle(server);
    report_resident(server);
}

int main(void)
{
    struct server server;
    server_start(&server);
    delivery = "at-least-once";
    key_prefix = "least_";
    report_all(&server);
    delivery = "at-most-once";
    key_prefix = "";
    report_all(&server);
    server_stop(&server);
    return 0;
}
