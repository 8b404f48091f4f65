/* SPDX-License-Identifier: ISC */
/* Words of a console command. */
#include "admin_tests.h"
#include "scan_private.h"

static void
tokens_are(const char *sql, const char *kinds, ...)
{
    struct admin_scan s = { .rest = slice_str(sql) };
    char out[64];
    va_list ap;

    va_start(ap, kinds);
    for (; *kinds != '\0'; kinds++) {
        static const char letters[] = "EWNTSB";

        assert_int_equal(letters[admin_scan_next(&s)], *kinds);
        assert_true(admin_scan_copy(&s, out, sizeof(out)));
        assert_string_equal(out, va_arg(ap, const char *));
    }
    va_end(ap);
    assert_int_equal(admin_scan_next(&s), TOKEN_END);
}

static void
quotes_are_undone(void **state)
{
    (void)state;
    tokens_are("\"a\"\"b\" 'it''s' ''", "NTT", "a\"b", "it's", "");
    tokens_are("'a\"\"b'", "T", "a\"\"b");
}

static void
comments_and_white_space_are_skipped(void **state)
{
    (void)state;
    tokens_are("/* x */ SHOW -- y\n\tpools/* z */;", "WWS", "SHOW", "pools", ";");
    tokens_are("a-b /* open", "W", "a-b");
}

static void
signs_part_words(void **state)
{
    (void)state;
    tokens_are("a=b,(c)", "WSWSSWS", "a", "=", "b", ",", "(", "c", ")");
}

static void
an_open_quote_and_a_control_byte_end_the_scan(void **state)
{
    static const char *const bad[] = { "'", "\"", "'a", "'a''", "\001", "\177" };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct admin_scan s = { .rest = slice_str(bad[i]) };

        assert_int_equal(admin_scan_next(&s), TOKEN_BAD);
        assert_int_equal(admin_scan_next(&s), TOKEN_BAD);
    }
}

static void
a_copy_fits_or_is_refused(void **state)
{
    struct admin_scan s = { .rest = SLICE("'abc'") };
    char out[4];

    (void)state;
    admin_scan_next(&s);
    assert_true(admin_scan_copy(&s, out, sizeof(out)));
    assert_string_equal(out, "abc");
    assert_false(admin_scan_copy(&s, out, 3));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_are_undone),
        cmocka_unit_test(comments_and_white_space_are_skipped),
        cmocka_unit_test(signs_part_words),
        cmocka_unit_test(an_open_quote_and_a_control_byte_end_the_scan),
        cmocka_unit_test(a_copy_fits_or_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
