#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coro/base/nearest.h"

static const char *const words[] = {"run",         "push",     "check",
                                    "version",     "help",     "queue",
                                    "concurrency", "delivery", "wait-redis"};

static const char *nearest(const char *word)
{
    return coro_nearest(word, words, sizeof(words) / sizeof(words[0]));
}

static void a_dropped_letter_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("concurency"), "concurrency");
}

static void a_doubled_letter_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("runn"), "run");
}

static void two_swapped_letters_are_one_step(void **state)
{
    (void)state;
    assert_string_equal(nearest("chekc"), "check");
    assert_string_equal(nearest("urn"), "run");
}

static void a_replaced_letter_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("pish"), "push");
}

static void case_does_not_count(void **state)
{
    (void)state;
    assert_string_equal(nearest("VERSION"), "version");
}

static void a_word_unlike_all_has_no_nearest(void **state)
{
    (void)state;
    assert_null(nearest("install"));
    assert_null(nearest("stop"));
}

static void a_longer_word_may_have_more_mistakes(void **state)
{
    (void)state;
    assert_string_equal(nearest("concurrncey"), "concurrency");
    assert_string_equal(nearest("wait_rediss"), "wait-redis");
}

static void the_nearer_of_two_wins(void **state)
{
    (void)state;
    const char *const near[] = {"log-formats", "log-former", "log-format"};
    assert_string_equal(coro_nearest("log-forma", near, 3), "log-format");
}

static void the_first_of_equally_near_ones_wins(void **state)
{
    (void)state;
    const char *const near[] = {"bat", "cat"};
    assert_string_equal(coro_nearest("rat", near, 2), "bat");
}

static void an_empty_word_has_no_nearest(void **state)
{
    (void)state;
    assert_null(nearest(""));
}

static void one_letter_has_no_nearest(void **state)
{
    (void)state;
    const char *const letters[] = {"a", "b"};
    assert_null(coro_nearest("x", letters, 2));
}

static void an_empty_list_has_no_nearest(void **state)
{
    (void)state;
    assert_null(coro_nearest("run", words, 0));
}

static void overlong_words_are_left_alone(void **state)
{
    (void)state;
    char word[200];
    memset(word, 'a', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    const char *const list[] = {word};
    assert_null(coro_nearest(word, words, 9));
    assert_null(coro_nearest("aaaa", list, 1));
    word[64] = '\0';
    assert_ptr_equal(coro_nearest(word, list, 1), word);
}

static void random_words_stay_within_bounds(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        char word[80];
        size_t len = (size_t)rand_r(&seed) % sizeof(word);
        for (size_t i = 0; i < len; i++)
            word[i] = (char)(rand_r(&seed) % 255 + 1);
        word[len == 0 ? 0 : len - 1] = '\0';
        const char *found = nearest(word);
        if (found)
            assert_in_range(strlen(word), 2, 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dropped_letter_is_found),
        cmocka_unit_test(a_doubled_letter_is_found),
        cmocka_unit_test(two_swapped_letters_are_one_step),
        cmocka_unit_test(a_replaced_letter_is_found),
        cmocka_unit_test(case_does_not_count),
        cmocka_unit_test(a_word_unlike_all_has_no_nearest),
        cmocka_unit_test(a_longer_word_may_have_more_mistakes),
        cmocka_unit_test(the_nearer_of_two_wins),
        cmocka_unit_test(the_first_of_equally_near_ones_wins),
        cmocka_unit_test(an_empty_word_has_no_nearest),
        cmocka_unit_test(one_letter_has_no_nearest),
        cmocka_unit_test(an_empty_list_has_no_nearest),
        cmocka_unit_test(overlong_words_are_left_alone),
        cmocka_unit_test(random_words_stay_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
