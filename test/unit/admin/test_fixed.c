/* SPDX-License-Identifier: ISC */
/* Answers that need nothing but words. */
#include "admin_tests.h"

/* The types of the messages that answer SQL; the last body is in *LAST. "" when it is not a fixed answer. */
static const char *
types_of(const char *sql, struct text *out)
{
    static char types[16];
    struct admin_command c;
    struct slice body;
    size_t at = 0, n = 0;

    text_clear(out);
    assert_true(parse(sql, &c));
    if (admin_put_fixed(out, &c, slice_str(sql), "our version"))
        for (uint8_t type; (type = next_message(out, &at, &body)) != 0;)
            types[n++] = (char)type;
    types[n] = '\0';
    return types;
}

static bool
says(const struct text *out, const char *what)
{
    return memmem(out->data, out->len, what, strlen(what)) != NULL;
}

static void
drivers_get_the_answers_that_they_expect(void **state)
{
    struct text out = { 0 };

    (void)state;
    assert_string_equal(types_of("SELECT 1", &out), "TDC");
    assert_true(says(&out, "SELECT 1"));
    assert_string_equal(types_of("SELECT version()", &out), "TDC");
    assert_true(says(&out, "our version"));
    assert_string_equal(types_of("SHOW server_version", &out), "TDC");
    assert_true(says(&out, "our version") && says(&out, "SHOW"));
    assert_string_equal(types_of("SHOW client_encoding", &out), "TDC");
    assert_true(says(&out, "UTF8"));
    assert_string_equal(types_of("SET client_encoding TO 'UTF8'", &out), "NC");
    assert_true(says(&out, "SET ignored"));
    assert_string_equal(types_of("BEGIN", &out), "C");
    assert_string_equal(types_of(";", &out), "I");
    text_done(&out);
}

static void
a_catalog_query_gives_its_columns_and_no_row(void **state)
{
    struct text out = { 0 };

    (void)state;
    assert_string_equal(types_of("SELECT t.oid, f(a, b) AS \"x y\", 1 FROM pg_type t", &out), "TC");
    assert_memory_equal(out.data + 5, "\0\3oid", 6);
    assert_true(says(&out, "x y") && says(&out, "SELECT 0"));
    text_done(&out);
}

static void
help_is_a_notice_with_all_commands(void **state)
{
    struct text out = { 0 };

    (void)state;
    assert_string_equal(types_of("SHOW HELP", &out), "NC");
    assert_true(says(&out, "Console usage") && says(&out, "POOLS") && says(&out, "KILL_CLIENT id"));
    assert_false(says(&out, "DISCARD"));
    text_done(&out);
}

static void
commands_that_act_are_not_answered_here(void **state)
{
    struct text out = { 0 };

    (void)state;
    assert_string_equal(types_of("PAUSE", &out), "");
    assert_string_equal(types_of("SHOW POOLS", &out), "");
    assert_int_equal(out.len, 0);
    text_done(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drivers_get_the_answers_that_they_expect),
        cmocka_unit_test(a_catalog_query_gives_its_columns_and_no_row),
        cmocka_unit_test(help_is_a_notice_with_all_commands),
        cmocka_unit_test(commands_that_act_are_not_answered_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
