/*
 * The supervisor and what it runs under: a service manager with a watchdog, and
 * a container of which it is process 1.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/family.h"
#include "tests/support/ledger.h"
#include "tests/support/scene.h"

#define MANY 16

/* --- a service manager ---------------------------------------------------- */

static void run_watched(struct scene *scene)
{
    const char *environment[] = {scene->notify.variable,
                                 "WATCHDOG_USEC=2000000", NULL};
    program_start_with(&scene->corq,
                       &(struct program_options){
                           .arguments = PROGRAM_ARGS(
                               "run", "--redis", redis_url(&scene->redis),
                               "--processes", "2", "--lease", "1h"),
                           .environment = environment,
                       });
    assert_true(scene_sees_lines(scene, "ready: up to", 2));
}

static bool hears(struct scene *scene, const char *line)
{
    return notify_socket_wait_for(&scene->notify, line, PATIENCE_MS);
}

static void it_tells_how_many_are_ready_and_that_it_is_alive(void **state)
{
    struct scene *scene = *state;
    notify_socket_open(&scene->notify);
    run_watched(scene);
    assert_true(hears(scene, "READY=1"));
    assert_true(hears(scene, "STATUS=Running: 2 of 2 ready"));
    assert_true(hears(scene, "WATCHDOG=1"));
    assert_int_equal(scene_end(scene), 0);
    assert_true(hears(scene, "STOPPING=1"));
}

static void no_child_speaks_to_the_service_manager(void **state)
{
    struct scene *scene = *state;
    notify_socket_open(&scene->notify);
    run_watched(scene);
    pid_t children[MANY];
    assert_int_equal(family_children(scene->corq.pid, children, MANY), 2);
    for (size_t i = 0; i < 2; i++) {
        char path[40], text[8192];
        snprintf(path, sizeof path, "/proc/%ld/environ", (long)children[i]);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        size_t n = fread(text, 1, sizeof text, file);
        fclose(file);
        assert_null(memmem(text, n, "NOTIFY_SOCKET", 13));
        assert_null(memmem(text, n, "WATCHDOG_USEC", 13));
    }
    assert_int_equal(scene_end(scene), 0);
}

/* Its jobs are run by others: it can't hurt that it goes on one day. */
static void a_child_that_stands_still_is_ended_alone(void **state)
{
    struct scene *scene = *state;
    notify_socket_open(&scene->notify);
    run_watched(scene);
    scene_push_sleeps(scene, "queue", "0.5", 10);
    assert_true(scene_sees_lines(scene, "Wait 0.5", 10));
    pid_t children[MANY];
    family_children(scene->corq.pid, children, MANY);
    kill(children[0], SIGSTOP);
    assert_true(scene_sees(scene, "is killed: it does not move"));
    assert_true(scene_sees(scene, "was killed by SIGKILL"));
    assert_true(scene_sees_lines(scene, "ready: up to", 3));
    assert_true(family_is_alive(children[1]));
    assert_int_equal(program_count_lines(&scene->corq, "is killed:"), 1);
    assert_int_equal(scene_end(scene), 0);
    assert_int_equal(scene_count_dead(scene), 0);
    assert_int_equal(scene_count_waiting(scene, "queue"), 0);
}

/* As a whole system is frozen, or a machine that others run. */
static void that_all_stood_still_is_held_against_no_child(void **state)
{
    struct scene *scene = *state;
    notify_socket_open(&scene->notify);
    run_watched(scene);
    program_freeze(&scene->corq);
    wait_out(3000); /* the watchdog allows for two seconds */
    program_thaw(&scene->corq);
    /* By then it has been looked at them again. */
    redis_do(&scene->redis, "LPUSH queue 1");
    assert_true(scene_sees(scene, "Done 1"));
    assert_int_equal(program_count_lines(&scene->corq, "is killed:"), 0);
    assert_int_equal(scene_end(scene), 0);
}

/* --- a container ---------------------------------------------------------- */

/* Leaves process 1 of the namespace a child that has ended, or soon will. */
static void leave_stranger(void)
{
    pid_t other = fork();
    if (other == 0) {
        pid_t stranger = fork();
        if (stranger == 0)
            prctl(PR_SET_NAME, "stranger");
        _exit(0);
    }
    waitpid(other, NULL, 0);
}

/* Becomes corq, once @gate is closed and the first stranger has ended. */
static void be_first(const char *url, int gate)
{
    const char *build = getenv("BUILD");
    char path[256], byte;
    siginfo_t ended;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof path, "%s/corq", build ? build : "build");
    if (read(gate, &byte, 1) == 0 &&
        waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) == 0)
        execl(path, "corq", "run", "--redis", url, NULL);
    _exit(127);
}

/* In a pid namespace of its own: starts corq as process 1, and beside it
 * somebody who leaves it a child before, and one while it starts. Ends as corq
 * ends. */
static int live_in_container(const char *url)
{
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) < 0)
        return 125;
    pid_t first = fork(); /* number 1 there */
    if (first == 0) {
        close(gate[1]);
        be_first(url, gate[0]);
    }
    close(gate[0]);
    leave_stranger();
    close(gate[1]);
    leave_stranger();
    int status;
    printf("%d\n", (int)first);
    fflush(stdout);
    waitpid(first, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

struct container {
    pid_t pid;   /* of who has made it */
    pid_t first; /* corq, as seen from here */
    FILE *output;
};

static void start_container(struct container *container, const char *url)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    container->pid = fork();
    assert_true(container->pid >= 0);
    if (container->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        if (unshare(CLONE_NEWPID) < 0 &&
            unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
            _exit(125);
        _exit(live_in_container(url));
    }
    close(ends[1]);
    container->output = fdopen(ends[0], "r");
    int first = 0;
    assert_int_equal(fscanf(container->output, "%d", &first), 1);
    container->first = (pid_t)first;
}

static bool has_no_strangers(void *argument)
{
    const struct container *container = argument;
    char command[64];
    snprintf(command, sizeof command, "/proc/%ld/task/%ld/children",
             (long)container->first, (long)container->first);
    FILE *file = fopen(command, "r");
    char text[200] = "";
    if (!file)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    /* Its one child, and a blank behind it. */
    return n > 0 && strchr(text, ' ') == text + n - 1;
}

static bool has_ready_child(void *argument)
{
    struct scene *scene = argument;
    return redis_integer(&scene->redis, "SCARD processes") == 1;
}

static void as_process_1_it_works_and_buries_strangers(void **state)
{
    struct scene *scene = *state;
    struct container container;
    start_container(&container, redis_url(&scene->redis));
    assert_true(wait_until(has_ready_child, scene, PATIENCE_MS));
    assert_true(wait_until(has_no_strangers, &container, PATIENCE_MS));
    redis_do(&scene->redis, "LPUSH queue 0.1");
    const char *const queues[] = {"queue", NULL};
    assert_true(sees_drained(&scene->redis, queues));
    kill(container.first, SIGTERM);
    int status;
    assert_int_equal(waitpid(container.pid, &status, 0), container.pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fclose(container.output);
    assert_true(nothing_is_left(&scene->redis));
}

#define scene_test(name) \
    cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(it_tells_how_many_are_ready_and_that_it_is_alive),
        scene_test(no_child_speaks_to_the_service_manager),
        scene_test(a_child_that_stands_still_is_ended_alone),
        scene_test(that_all_stood_still_is_held_against_no_child),
        scene_test(as_process_1_it_works_and_buries_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
