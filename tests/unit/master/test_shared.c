#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/process/shared.h"

static char redis[] = "--redis", url[] = "redis://:secret@db", none[] = "",
            queue[] = "--queue", key[] = "a b";
static char *const words[] = {redis, url, none, queue, key};

static struct shared make(size_t nplaces, size_t nmarks)
{
    struct shared shared;
    assert_int_equal(shared_create(&shared,
                                   &(struct shared_options){
                                       .nplaces = nplaces,
                                       .nmarks = nmarks,
                                       .nwords = 5,
                                       .words = words,
                                   }),
                     0);
    return shared;
}

static void what_one_side_writes_the_other_reads(void **state)
{
    (void)state;
    struct shared shared = make(3, 10);
    assert_int_equal(shared_supervisor(&shared), getpid());
    pid_t pid = fork();
    if (pid == 0) {
        struct shared theirs;
        if (shared_attach(&theirs, shared.fd) < 0)
            _exit(1);
        struct vitals *vitals = shared_vitals(&theirs, 2);
        strcpy(vitals->identity, "host:1:00");
        atomic_store(&vitals->marks[9].number, 77);
        _exit(shared_nplaces(&theirs) == 3 && vitals->nmarks == 10 ? 0 : 2);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    const struct vitals *vitals = shared_vitals(&shared, 2);
    assert_string_equal(vitals->identity, "host:1:00");
    assert_int_equal(atomic_load(&vitals->marks[9].number), 77);
    assert_int_equal(vitals_count_started(vitals, 10), 1);
    assert_int_equal(vitals_count_started(shared_vitals(&shared, 1), 10), 0);
    shared_release(&shared);
}

static void a_place_that_is_cleared_is_as_new(void **state)
{
    (void)state;
    struct shared shared = make(2, 1000);
    memset(shared_vitals(&shared, 0)->identity, 'x', 10);
    memset(shared_vitals(&shared, 1)->identity, 'y', 10);
    atomic_store(&shared_vitals(&shared, 0)->marks[999].number, 1);
    shared_clear(&shared, 0);
    const struct vitals *vitals = shared_vitals(&shared, 0);
    assert_int_equal(vitals->identity[0], 0);
    assert_int_equal(vitals->nmarks, 1000);
    assert_int_equal(vitals_count_started(vitals, 1000), 0);
    assert_int_equal(shared_vitals(&shared, 1)->identity[0], 'y');
    shared_release(&shared);
}

/* What a job of some child has written over it is nobody else's undoing. */
static void who_has_it_knows_its_layout_whatever_is_written_there(void **state)
{
    (void)state;
    struct shared shared = make(2, 10);
    struct vitals *vitals = shared_vitals(&shared, 1);
    memset(shared.head, 0xff, shared.bytes);
    assert_ptr_equal(shared_vitals(&shared, 1), vitals);
    assert_int_equal(shared_nplaces(&shared), 2);
    assert_int_equal(shared_supervisor(&shared), getpid());
    assert_int_equal(vitals_count_started(vitals, 10), 10);
    shared_clear(&shared, 1);
    assert_int_equal(vitals_count_started(vitals, 10), 0);
    assert_int_equal(vitals->nmarks, 10);
    shared_release(&shared);
}

static void the_words_arrive_as_they_were(void **state)
{
    (void)state;
    struct shared shared = make(1, 1);
    int nwords;
    char **copy = shared_words(&shared, &nwords);
    assert_int_equal(nwords, 5);
    for (int i = 0; i < nwords; i++)
        assert_string_equal(copy[i], words[i]);
    assert_null(copy[nwords]);
    free(copy);
    shared_release(&shared);
}

static void nobody_can_cut_it_off(void **state)
{
    (void)state;
    struct shared shared = make(1, 1);
    assert_int_equal(ftruncate(shared.fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(shared.fd, (off_t)shared.bytes + 4096), -1);
    shared_release(&shared);
}

/* A file in memory of @bytes zeroes, or of something else. */
static int stranger(size_t bytes, uint64_t first)
{
    int fd = memfd_create("stranger", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    if (bytes >= sizeof first)
        assert_int_equal(pwrite(fd, &first, sizeof first, 0), sizeof first);
    return fd;
}

static void what_no_supervisor_has_made_is_refused(void **state)
{
    (void)state;
    struct shared shared;
    assert_int_equal(shared_attach(&shared, stranger(0, 0)), -EPROTO);
    assert_int_equal(shared_attach(&shared, stranger(10, 0)), -EPROTO);
    assert_int_equal(shared_attach(&shared, stranger(65536, 0)), -EPROTO);
    struct shared real = make(1, 1);
    uint64_t magic = *(const uint64_t *)(const void *)real.head;
    shared_release(&real);
    assert_int_equal(shared_attach(&shared, stranger(65536, magic)), -EPROTO);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(shared_attach(&shared, fd), -EPROTO);
    assert_int_equal(shared_attach(&shared, 9999), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_side_writes_the_other_reads),
        cmocka_unit_test(a_place_that_is_cleared_is_as_new),
        cmocka_unit_test(who_has_it_knows_its_layout_whatever_is_written_there),
        cmocka_unit_test(the_words_arrive_as_they_were),
        cmocka_unit_test(nobody_can_cut_it_off),
        cmocka_unit_test(what_no_supervisor_has_made_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
