/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

static char last[4096];
static int n_lines;
static enum log_level last_level;

static void
sink(enum log_level level, const char *line)
{
    last_level = level;
    n_lines++;
    snprintf(last, sizeof(last), "%s", line);
}

static int
set_up(void **state)
{
    (void)state;
    n_lines = 0;
    last[0] = '\0';
    log_set_sink(sink);
    log_set_level(LOG_LEVEL_INFO);
    return 0;
}

static void
no_byte_from_outside_can_forge_a_line(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char name[2] = { (char)c, 0 };
        bool control = c < 0x20 || c == 0x7f;

        log_info("user=\"%s\" end", name);
        assert_int_equal(last[6], control ? '?' : (char)c);
        assert_string_equal(last + 7, "\" end");
    }
    assert_int_equal(n_lines, 255);
    log_error("%s", "a\nFATAL forged\r\n\033[31m");
    assert_string_equal(last, "a?FATAL forged???[31m");
    assert_int_equal(last_level, LOG_LEVEL_ERROR);
}

static void
a_line_is_cut_at_its_limit(void **state)
{
    static char big[10000];

    (void)state;
    memset(big, 'y', sizeof(big) - 1);
    log_info("%s", big);
    assert_true(strlen(last) < 2000 && strlen(last) > 1900);
}

static void
only_lines_up_to_the_level_are_written(void **state)
{
    (void)state;
    for (int level = LOG_LEVEL_FATAL; level <= LOG_LEVEL_DEBUG; level++) {
        log_set_level((enum log_level)level);
        n_lines = 0;
        for (int each = LOG_LEVEL_FATAL; each <= LOG_LEVEL_DEBUG; each++)
            log_line((enum log_level)each, "line");
        assert_int_equal(n_lines, level + 1);
        assert_int_equal(last_level, level);
    }
}

static void
every_level_has_its_own_name(void **state)
{
    (void)state;
    for (int a = LOG_LEVEL_FATAL; a <= LOG_LEVEL_DEBUG; a++)
        for (int b = LOG_LEVEL_FATAL; b < a; b++)
            assert_string_not_equal(log_level_name((enum log_level)a), log_level_name((enum log_level)b));
}

static void
without_a_sink_lines_go_to_standard_error(void **state)
{
    char got[64] = "";
    int fds[2], saved;
    ssize_t n;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(fds[1], STDERR_FILENO) >= 0);
    log_set_sink(NULL);
    log_warning("careful\n");
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    n = read(fds[0], got, sizeof(got) - 1);
    assert_true(n > 0);
    assert_string_equal(got, "WARNING careful?\n");
    assert_int_equal(n_lines, 0);
    close(saved);
    close(fds[0]);
    close(fds[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(no_byte_from_outside_can_forge_a_line, set_up),
        cmocka_unit_test_setup(a_line_is_cut_at_its_limit, set_up),
        cmocka_unit_test_setup(only_lines_up_to_the_level_are_written, set_up),
        cmocka_unit_test(every_level_has_its_own_name),
        cmocka_unit_test_setup(without_a_sink_lines_go_to_standard_error, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
