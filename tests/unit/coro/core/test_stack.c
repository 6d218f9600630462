#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "coro/core/guard.h"
#include "coro/core/stack.h"
#include "tests/support/scale.h"

/* More than the budget of mprotect guards can be on any usual machine. */
#define BEYOND_BUDGET 40000

/* --- children ------------------------------------------------------------ */

/* Runs @function(@argument) in a child; the signal that ended it, 0 for none.
 * Its standard error is closed, for what it says is not to alarm anybody. */
static int signal_that_ends(void (*function)(void *), void *argument)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        function(argument);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void write_below(void *stack)
{
    volatile char *bottom = ((struct coro_stack *)stack)->bottom;
    bottom[-1] = 1;
}

static bool is_guarded(struct coro_stack stack)
{
    return signal_that_ends(write_below, &stack) == SIGSEGV;
}

/* --- taking and giving back ---------------------------------------------- */

static void take(struct coro_stack_pool *pool, struct coro_stack *stack)
{
    assert_int_equal(coro_stack_take(pool, stack), 0);
}

static void all_of_a_stack_can_be_written(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    struct coro_stack stack;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    take(&pool, &stack);
    size_t nbytes = (size_t)(stack.top - stack.bottom);
    memset(stack.bottom, 1, nbytes);
    assert_int_equal((uintptr_t)stack.top % 64, 0);
    assert_in_range(nbytes, CORO_STACK_BYTES - 2 * coro_page_bytes(),
                    CORO_STACK_BYTES);
    coro_stack_pool_release(&pool);
}

static void stacks_do_not_overlap(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    struct coro_stack stacks[40];
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    for (int i = 0; i < 40; i++)
        take(&pool, &stacks[i]);
    for (int i = 0; i < 40; i++)
        for (int j = 0; j < 40; j++)
            assert_true(i == j || stacks[i].top <= stacks[j].bottom ||
                        stacks[j].top <= stacks[i].bottom);
    coro_stack_pool_release(&pool);
}

static void the_stack_given_back_last_is_taken_first(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    struct coro_stack first, second, third, again;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    take(&pool, &first);
    take(&pool, &second);
    take(&pool, &third);
    coro_stack_give(&pool, first);
    coro_stack_give(&pool, third);
    take(&pool, &again);
    assert_ptr_equal(again.top, third.top);
    assert_ptr_equal(again.bottom, third.bottom);
    take(&pool, &again);
    assert_ptr_equal(again.top, first.top);
    assert_int_equal(pool.nstacks, 3);
    coro_stack_pool_release(&pool);
}

static void a_stack_has_at_least_one_page_besides_its_guard(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    coro_stack_pool_init(&pool, 1, CORO_GUARD_KERNEL);
    assert_int_equal(pool.slot_bytes, 2 * coro_page_bytes());
    coro_stack_pool_release(&pool);
}

static void a_size_is_rounded_up_to_whole_pages(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    size_t page_bytes = coro_page_bytes();
    coro_stack_pool_init(&pool, 4 * page_bytes + 1, CORO_GUARD_KERNEL);
    assert_int_equal(pool.slot_bytes, 5 * page_bytes);
    coro_stack_pool_release(&pool);
}

static void an_unused_pool_can_be_released(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    coro_stack_pool_release(&pool);
    assert_int_equal(pool.nstacks, 0);
}

/* --- guards -------------------------------------------------------------- */

static void overflow_faults_with(enum coro_guard best)
{
    struct coro_stack_pool pool;
    struct coro_stack first, second;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, best);
    assert_int_equal(pool.guard, coro_guard_probe(best));
    take(&pool, &first);
    take(&pool, &second);
    assert_false(first.has_canary);
    assert_true(is_guarded(first));
    assert_true(is_guarded(second));
    assert_true(coro_stack_is_sound(&second));
    coro_stack_pool_release(&pool);
}

static void overflow_faults_with_the_best_guard_there_is(void **state)
{
    (void)state;
    overflow_faults_with(CORO_GUARD_KERNEL);
}

static void overflow_faults_with_mprotect(void **state)
{
    (void)state;
    overflow_faults_with(CORO_GUARD_MPROTECT);
}

static void give_back(void *stack)
{
    struct coro_stack_pool pool;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_CANARY);
    coro_stack_give(&pool, *(struct coro_stack *)stack);
}

static void overflow_is_found_by_the_canary(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    struct coro_stack stack;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_CANARY);
    take(&pool, &stack);
    assert_true(stack.has_canary);
    assert_int_equal(pool.ncanaries, 1);
    assert_true(coro_stack_is_sound(&stack));
    memset(stack.bottom + CORO_STACK_CANARY_BYTES, 1, 1000);
    assert_true(coro_stack_is_sound(&stack));
    stack.bottom[CORO_STACK_CANARY_BYTES - 1] = 1;
    assert_false(coro_stack_is_sound(&stack));
    assert_int_equal(signal_that_ends(give_back, &stack), SIGABRT);
    coro_stack_pool_release(&pool);
}

static void a_lesser_guard_is_used_when_asked_for(void **state)
{
    (void)state;
    assert_int_equal(coro_guard_probe(CORO_GUARD_CANARY), CORO_GUARD_CANARY);
    assert_int_equal(coro_guard_probe(CORO_GUARD_MPROTECT),
                     CORO_GUARD_MPROTECT);
}

static void each_guard_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(coro_guard_name(CORO_GUARD_KERNEL), "kernel guards");
    assert_string_equal(coro_guard_name(CORO_GUARD_MPROTECT), "mprotect");
    assert_string_equal(coro_guard_name(CORO_GUARD_CANARY), "canaries");
}

/* Kernel guards can't be had in locked memory. */
static void locked_memory_is_guarded_by_mprotect(void **state)
{
    (void)state;
    size_t page_bytes = coro_page_bytes();
    char *pages = mmap(NULL, 4 * page_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    /* The checkers make the library's function do nothing. */
    assert_int_equal(syscall(SYS_mlock, pages, 4 * page_bytes), 0);
    struct coro_guard_report report = coro_guard_install(
        pages, 2 * page_bytes, 2, coro_guard_probe(CORO_GUARD_KERNEL));
    struct coro_stack stack = {.bottom = pages + 3 * page_bytes};
    bool faults = is_guarded(stack);
    munmap(pages, 4 * page_bytes);
    coro_guard_forget(report.nmprotected);
    assert_int_equal(report.guard, CORO_GUARD_MPROTECT);
    assert_int_equal(report.ncanaries, 0);
    assert_true(faults);
}

/* --- the budget of mprotect guards --------------------------------------- */

/* Uses up the budget; guards side by side are a single kernel mapping, so this
 * costs nothing else. Returns how many guards it was good for. */
static size_t use_up_budget(char **ret_pages)
{
    size_t page_bytes = coro_page_bytes();
    char *pages = mmap(NULL, BEYOND_BUDGET * page_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(pages != MAP_FAILED);
    struct coro_guard_report report = coro_guard_install(
        pages, page_bytes, BEYOND_BUDGET, CORO_GUARD_MPROTECT);
    assert_int_equal(report.guard, CORO_GUARD_CANARY);
    assert_int_equal(report.nmprotected + report.ncanaries, BEYOND_BUDGET);
    *ret_pages = pages;
    return report.nmprotected;
}

static void give_budget_back(char *pages, size_t nguards)
{
    munmap(pages, BEYOND_BUDGET * coro_page_bytes());
    coro_guard_forget(nguards);
}

static void beyond_the_budget_of_mprotect_there_are_canaries(void **state)
{
    (void)state;
    char *pages;
    size_t nguards = use_up_budget(&pages);
    coro_guard_forget(10);
    struct coro_stack_pool pool;
    struct coro_stack stacks[40];
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_MPROTECT);
    for (int i = 0; i < 40; i++)
        take(&pool, &stacks[i]);
    bool tenth_is_guarded = is_guarded(stacks[9]);
    size_t ncanaries = pool.ncanaries;
    enum coro_guard guard = pool.guard;
    coro_stack_pool_release(&pool);
    give_budget_back(pages, nguards - 10);
    assert_true(nguards > 0);
    assert_true(tenth_is_guarded);
    assert_int_equal(guard, CORO_GUARD_CANARY);
    assert_int_equal(ncanaries, 30);
    for (int i = 0; i < 40; i++)
        assert_int_equal(stacks[i].has_canary, i >= 10);
}

static void a_released_pool_gives_its_part_of_the_budget_back(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    struct coro_stack stack;
    char *pages;
    size_t before = use_up_budget(&pages);
    give_budget_back(pages, before);
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_MPROTECT);
    for (int i = 0; i < 100; i++)
        take(&pool, &stack);
    coro_stack_pool_release(&pool);
    size_t after = use_up_budget(&pages);
    give_budget_back(pages, after);
    assert_int_equal(after, before);
}

/* --- figures ------------------------------------------------------------- */

static void touched_bytes_reach_from_the_top_to_the_deepest_page(void **state)
{
    (void)state;
    size_t page_bytes = coro_page_bytes();
    struct coro_stack_pool pool;
    struct coro_stack stack;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    take(&pool, &stack);
    assert_int_equal(coro_stack_touched_bytes(&stack), 0);
    stack.top[-1] = 1;
    assert_in_range(coro_stack_touched_bytes(&stack), 1, page_bytes);
    stack.top[-(ptrdiff_t)(5 * page_bytes)] = 1;
    assert_in_range(coro_stack_touched_bytes(&stack), 5 * page_bytes,
                    6 * page_bytes);
    stack.bottom[0] = 1;
    assert_int_equal(coro_stack_touched_bytes(&stack),
                     (size_t)(stack.top - stack.bottom));
    coro_stack_pool_release(&pool);
}

static void the_high_water_mark_is_the_lowest_byte_written(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    struct coro_stack stack;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    take(&pool, &stack);
    assert_int_equal(coro_stack_high_water(&stack), 0);
    static const size_t depths[] = {8, 200, 5000, 9000, 60000};
    /* valgrind is shown whole pages only. */
    size_t exact = test_is_under_valgrind() ? coro_page_bytes() : 8;
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        stack.top[-(ptrdiff_t)depths[i]] = 1;
        size_t found = coro_stack_high_water(&stack);
        assert_in_range(found, depths[i], depths[i] + exact - 1);
    }
    coro_stack_pool_release(&pool);
}

static void looking_for_the_mark_touches_no_page(void **state)
{
    (void)state;
    struct coro_stack_pool pool;
    struct coro_stack stack;
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    take(&pool, &stack);
    stack.top[-1] = 1;
    size_t before = coro_stack_touched_bytes(&stack);
    coro_stack_high_water(&stack);
    assert_int_equal(coro_stack_touched_bytes(&stack), before);
    coro_stack_pool_release(&pool);
}

static void a_hundred_thousand_stacks_are_all_guarded(void **state)
{
    (void)state;
    size_t nstacks = test_scale(100000, 2000);
    struct coro_stack_pool pool;
    struct coro_stack *stacks = calloc(nstacks, sizeof *stacks);
    assert_non_null(stacks);
    coro_stack_pool_init(&pool, CORO_STACK_BYTES, CORO_GUARD_KERNEL);
    enum coro_guard best = pool.guard;
    size_t ncanaries = 0;
    for (size_t i = 0; i < nstacks; i++) {
        take(&pool, &stacks[i]);
        ncanaries += stacks[i].has_canary;
    }
    assert_int_equal(pool.nstacks, nstacks);
    assert_int_equal(pool.ncanaries, ncanaries);
    if (best == CORO_GUARD_KERNEL)
        assert_int_equal(ncanaries, 0);
    for (size_t i = 0; i < nstacks; i += nstacks / 9)
        assert_true(stacks[i].has_canary || is_guarded(stacks[i]));
    assert_true(stacks[nstacks - 1].has_canary ||
                is_guarded(stacks[nstacks - 1]));
    coro_stack_pool_release(&pool);
    free(stacks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_a_stack_can_be_written),
        cmocka_unit_test(stacks_do_not_overlap),
        cmocka_unit_test(the_stack_given_back_last_is_taken_first),
        cmocka_unit_test(a_stack_has_at_least_one_page_besides_its_guard),
        cmocka_unit_test(a_size_is_rounded_up_to_whole_pages),
        cmocka_unit_test(an_unused_pool_can_be_released),
        cmocka_unit_test(overflow_faults_with_the_best_guard_there_is),
        cmocka_unit_test(overflow_faults_with_mprotect),
        cmocka_unit_test(overflow_is_found_by_the_canary),
        cmocka_unit_test(a_lesser_guard_is_used_when_asked_for),
        cmocka_unit_test(each_guard_has_a_name),
        cmocka_unit_test(locked_memory_is_guarded_by_mprotect),
        cmocka_unit_test(beyond_the_budget_of_mprotect_there_are_canaries),
        cmocka_unit_test(a_released_pool_gives_its_part_of_the_budget_back),
        cmocka_unit_test(touched_bytes_reach_from_the_top_to_the_deepest_page),
        cmocka_unit_test(the_high_water_mark_is_the_lowest_byte_written),
        cmocka_unit_test(looking_for_the_mark_touches_no_page),
        cmocka_unit_test(a_hundred_thousand_stacks_are_all_guarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
