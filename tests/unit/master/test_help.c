#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "master/cli/help.h"

static int run_nothing(const struct options *options, int argc, char **argv)
{
    (void)options;
    (void)argc;
    (void)argv;
    return 0;
}

static const struct command walk = {"walk", "WHERE", "go on foot", run_nothing};
static const struct command sit = {"sit", "", "stay", run_nothing};

static const struct command_entry entries[] = {
    {&walk, COMMAND_FLAG_RUN},
    {&sit, COMMAND_FLAG_NONE},
};

/* The help for @entry, or the general one when that is NULL. */
static char *help_for(const struct command_entry *entry)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    if (entry)
        help_print_command(out, entry);
    else
        help_print(out, entries, 2);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_help_has(const struct command_entry *entry, const char *part)
{
    char *text = help_for(entry);
    if (!strstr(text, part))
        assert_string_equal(text, part);
    free(text);
}

static void the_general_help_lists_the_commands(void **state)
{
    (void)state;
    assert_help_has(NULL, "\n  walk                go on foot\n");
    assert_help_has(NULL, "\n  sit                 stay\n");
}

static void the_general_help_lists_the_exit_codes(void **state)
{
    (void)state;
    assert_help_has(NULL, "\n  75   Redis did not answer");
    assert_help_has(NULL, "\n  78   bad configuration");
}

static void a_commands_help_begins_with_its_usage(void **state)
{
    (void)state;
    char *text = help_for(&entries[0]);
    const char *usage = "Usage: corq walk [OPTION]... WHERE\n";
    assert_int_equal(strncmp(text, usage, strlen(usage)), 0);
    free(text);
    assert_help_has(&entries[1], "Usage: corq sit\n");
}

static void every_option_is_explained_with_its_default(void **state)
{
    (void)state;
    char *text = help_for(&entries[0]);
    for (size_t i = 0; i < options_count(); i++) {
        const struct option_spec *spec = options_spec(i);
        if (!(spec->commands & COMMAND_FLAG_RUN))
            continue;
        char option[64];
        snprintf(option, sizeof(option), "\n  --%s", spec->name);
        const char *at = strstr(text, option);
        assert_non_null(at);
        at = strstr(at, "(default:");
        assert_non_null(at);
        assert_non_null(strstr(at, spec->fallback));
        assert_non_null(strstr(at, spec->environment));
    }
    free(text);
}

static void only_the_options_of_a_command_are_explained(void **state)
{
    (void)state;
    struct command_entry push = {&walk, COMMAND_FLAG_PUSH};
    char *text = help_for(&push);
    assert_non_null(strstr(text, "--redis URL"));
    assert_null(strstr(text, "--queue"));
    assert_non_null(strstr(text, "since 1970, or a time in UTC"));
    assert_non_null(strstr(text, "  corq push queue 5 --in 10m\n"));
    assert_null(strstr(text, "(null)"));
    free(text);
}

static void a_command_without_options_says_nothing_of_them(void **state)
{
    (void)state;
    char *text = help_for(&entries[1]);
    assert_null(strstr(text, "OPTION"));
    assert_null(strstr(text, "environment"));
    free(text);
}

static void what_runs_jobs_explains_its_signals(void **state)
{
    (void)state;
    assert_help_has(&entries[0], "\n  TERM, INT ");
    assert_help_has(&entries[0], "\nExamples:\n  corq run ");
}

static void no_line_is_wider_than_a_screen(void **state)
{
    (void)state;
    const struct command_entry push = {&walk, COMMAND_FLAG_PUSH};
    const struct command_entry *const shown[] = {NULL, &entries[0], &push};
    for (size_t i = 0; i < 3; i++) {
        char *text = help_for(shown[i]);
        for (const char *line = text; *line;) {
            size_t width = strcspn(line, "\n");
            assert_in_range(width, 0, 79);
            line += width + (line[width] != '\0');
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_general_help_lists_the_commands),
        cmocka_unit_test(the_general_help_lists_the_exit_codes),
        cmocka_unit_test(a_commands_help_begins_with_its_usage),
        cmocka_unit_test(every_option_is_explained_with_its_default),
        cmocka_unit_test(only_the_options_of_a_command_are_explained),
        cmocka_unit_test(a_command_without_options_says_nothing_of_them),
        cmocka_unit_test(what_runs_jobs_explains_its_signals),
        cmocka_unit_test(no_line_is_wider_than_a_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
