/* SPDX-License-Identifier: ISC */
/* Lines, lists and values of the INI dialect. */
#include "conf_tests.h"
#include "scan_private.h"

static void
line_is(struct scan *s, enum scan_answer answer, const char *key, const char *value, int line)
{
    struct fault why;

    assert_int_equal(scan_next(s, &why), answer);
    assert_string_equal(text_str(&s->key), key);
    if (answer != SCAN_SECTION)
        assert_true(slice_is(s->value, value));
    assert_int_equal(s->line, line);
}

static void
sections_pairs_and_includes_come_in_order(void **state)
{
    struct scan s = { .rest = SLICE("\xef\xbb\xbf; c\n\n  [ one ] ; note\r\n a=1\n\tb  =  x ; y  \r\n#no\n"
                                    "%include f.ini \n\"q\"\"x y\" = \n*=z") };

    (void)state;
    line_is(&s, SCAN_SECTION, "one", NULL, 3);
    line_is(&s, SCAN_PAIR, "a", "1", 4);
    line_is(&s, SCAN_PAIR, "b", "x ; y", 5);
    line_is(&s, SCAN_INCLUDE, "", "f.ini", 7);
    line_is(&s, SCAN_PAIR, "q\"x y", "", 8);
    line_is(&s, SCAN_PAIR, "*", "z", 9);
    assert_int_equal(scan_next(&s, NULL), SCAN_END);
    text_done(&s.key);
}

static void
broken_lines_are_refused_with_their_number(void **state)
{
    static const char *const broken[] = { "[a",       "[a] b",    "a",           "=1",     "a b = 1", "\"a = 1",
                                          "\"\" = 1", "%include", "%includes x", "%inc x", "a\x01=1" };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        char *text = mem_printf("ok = 1\n\n%s\n", broken[i]);
        struct scan s = { .rest = slice_str(text) };
        struct fault why = { .message = "" };

        assert_int_equal(scan_next(&s, &why), SCAN_PAIR);
        assert_int_equal(scan_next(&s, &why), SCAN_BAD);
        assert_int_equal(s.line, 3);
        assert_string_not_equal(why.message, "");
        text_done(&s.key);
        mem_free(text);
    }
}

static void
a_nul_byte_is_refused(void **state)
{
    struct scan s = { .rest = SLICE("a = x\0y\n") };
    struct fault why;

    (void)state;
    assert_int_equal(scan_next(&s, &why), SCAN_BAD);
    text_done(&s.key);
}

static void
a_text_cut_anywhere_is_read_to_its_end_and_no_further(void **state)
{
    static const char whole[] = "\xef\xbb\xbf[a]\n\"q\"\"\" = 'x'\n%include y\n;c\n b=${X}";

    (void)state;
    for (size_t cut = 0; cut < sizeof(whole); cut++) {
        uint8_t *text = exact(whole, cut);
        struct scan s = { .rest = slice_of(text, cut) };
        struct fault why;
        enum scan_answer answer;

        do
            answer = scan_next(&s, &why);
        while (answer != SCAN_END && answer != SCAN_BAD);
        if (answer == SCAN_END)
            assert_int_equal(s.rest.len, 0);
        text_done(&s.key);
        free(text);
    }
}

static void
pair_is(struct slice *rest, const char *key, const char *value)
{
    struct slice k;
    struct text v = { 0 };
    struct fault why;

    assert_int_equal(scan_pair(rest, "'", &k, &v, &why), SCAN_PAIR);
    assert_true(slice_is(k, key));
    assert_string_equal(text_str(&v), value);
    text_done(&v);
}

static void
a_list_is_read_like_a_connection_string(void **state)
{
    struct slice rest = SLICE("  host=a port = 5\tpassword='it''s = ; x' empty='' last= y");
    struct slice k;
    struct text v = { 0 };

    (void)state;
    pair_is(&rest, "host", "a");
    pair_is(&rest, "port", "5");
    pair_is(&rest, "password", "it's = ; x");
    pair_is(&rest, "empty", "");
    pair_is(&rest, "last", "y");
    assert_int_equal(scan_pair(&rest, "'", &k, &v, NULL), SCAN_END);
    text_done(&v);
}

static void
double_quotes_count_only_where_they_are_asked_for(void **state)
{
    const struct slice list = SLICE("a=\"it's \"\"x\"\" \\d\" b='\"'");
    struct slice rest = list, k;
    struct text v = { 0 };

    (void)state;
    assert_int_equal(scan_pair(&rest, "'\"", &k, &v, NULL), SCAN_PAIR);
    assert_string_equal(text_str(&v), "it's \"x\" \\d");
    assert_int_equal(scan_pair(&rest, "'\"", &k, &v, NULL), SCAN_PAIR);
    assert_string_equal(text_str(&v), "\"");
    assert_int_equal(scan_pair(&rest, "'\"", &k, &v, NULL), SCAN_END);
    text_done(&v);
    rest = list;
    pair_is(&rest, "a", "\"it's");
    for (const char *const *b = (const char *const[]){ "a=\"b", "a=\"b\"c", "a=\"b\"\"", NULL }; *b != NULL;
         b++) {
        struct fault why;

        rest = slice_str(*b);
        assert_int_equal(scan_pair(&rest, "'\"", &k, &v, &why), SCAN_BAD);
    }
    text_done(&v);
}

static void
a_broken_list_is_refused(void **state)
{
    static const char *const broken[] = { "a", "=b", "a b=c", "a='b", "a='b'c", "a='b''" };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        size_t len = strlen(broken[i]);
        uint8_t *text = exact(broken[i], len);
        struct slice rest = slice_of(text, len), k;
        struct text v = { 0 };
        struct fault why = { .message = "" };

        assert_int_equal(scan_pair(&rest, "'", &k, &v, &why), SCAN_BAD);
        assert_string_not_equal(why.message, "");
        text_done(&v);
        free(text);
    }
}

static void
only_a_whole_quoted_value_loses_its_quotes(void **state)
{
    static const char *const cases[][2] = {
        { "'a''b'", "a'b" }, { "''", "" },        { "'a' || 'b'", "'a' || 'b'" },
        { "'a", "'a" },      { "a'b'", "a'b'" },  { "", "" },
        { "'", "'" },        { "'a'b'", "'a'b'" }
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct text out = { 0 };

        scan_unquote(slice_str(cases[i][0]), &out);
        assert_string_equal(text_str(&out), cases[i][1]);
        text_done(&out);
    }
}

static void
expands_to(const char *in, const char *result)
{
    size_t len = strlen(in);
    uint8_t *text = exact(in, len);
    struct text out = { 0 };
    struct fault why = { .message = "" };
    bool ok = scan_expand(slice_of(text, len), &out, &why);

    assert_int_equal(ok, result != NULL);
    if (ok)
        assert_string_equal(text_str(&out), result);
    else
        assert_string_not_equal(why.message, "");
    text_done(&out);
    free(text);
}

static void
variables_are_replaced_and_other_dollars_stay(void **state)
{
    (void)state;
    setenv("CONF_TEST_A", "x ${CONF_TEST_A}", 1);
    setenv("CONF_TEST_EMPTY", "", 1);
    unsetenv("CONF_TEST_NONE");
    expands_to("a${CONF_TEST_A}b", "ax ${CONF_TEST_A}b");
    expands_to("${CONF_TEST_EMPTY}", "");
    expands_to("$1 $$ $ $$1 $x$", "$1 $$ $ $$1 $x$");
    expands_to("$${CONF_TEST_A}", "$${CONF_TEST_A}");
    expands_to("$$${CONF_TEST_EMPTY}", "$$");
    expands_to("${CONF_TEST_NONE}", NULL);
    expands_to("${", NULL);
    expands_to("${}", NULL);
    expands_to("${CONF_TEST_A", NULL);
    expands_to("${A B}", NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_pairs_and_includes_come_in_order),
        cmocka_unit_test(broken_lines_are_refused_with_their_number),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(a_text_cut_anywhere_is_read_to_its_end_and_no_further),
        cmocka_unit_test(a_list_is_read_like_a_connection_string),
        cmocka_unit_test(double_quotes_count_only_where_they_are_asked_for),
        cmocka_unit_test(a_broken_list_is_refused),
        cmocka_unit_test(only_a_whole_quoted_value_loses_its_quotes),
        cmocka_unit_test(variables_are_replaced_and_other_dollars_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
