/* SPDX-License-Identifier: ISC */
/* What an admin said on the console. */
#include <stdio.h>

#include "admin_tests.h"

static const struct {
    const char *sql;
    enum admin_verb verb;
    const char *name;
} good[] = {
    { "PAUSE", ADMIN_PAUSE, "" },
    { "pause app;", ADMIN_PAUSE, "app" },
    { "  Pause  \"My App\" ; ; ", ADMIN_PAUSE, "My App" },
    { "RESUME 'app'", ADMIN_RESUME, "app" },
    { "RELOAD;", ADMIN_RELOAD, "" },
    { "SUSPEND", ADMIN_SUSPEND, "" },
    { "DISABLE app", ADMIN_DISABLE, "app" },
    { "ENABLE app", ADMIN_ENABLE, "app" },
    { "RECONNECT", ADMIN_RECONNECT, "" },
    { "KILL app", ADMIN_KILL, "app" },
    { "SWITCHOVER main", ADMIN_SWITCHOVER, "main" },
    { "switchover \"My Cluster\" To pg2;", ADMIN_SWITCHOVER, "My Cluster" },
    { "WAIT_CLOSE", ADMIN_WAIT_CLOSE, "" },
    { "SHUTDOWN", ADMIN_SHUTDOWN, "" },
    { "shutdown wait_for_servers", ADMIN_SHUTDOWN_SERVERS, "" },
    { "SHUTDOWN WAIT_FOR_CLIENTS;", ADMIN_SHUTDOWN_CLIENTS, "" },
    { "BEGIN ISOLATION LEVEL SERIALIZABLE", ADMIN_BEGIN, "" },
    { "DISCARD ALL", ADMIN_DISCARD, "" },
    { "", ADMIN_EMPTY, "" },
    { " ; ", ADMIN_EMPTY, "" },
    { "SELECT 1", ADMIN_FAKE, "?column?" },
    { "SELECT version()", ADMIN_FAKE, "version" },
    { "select pg_catalog.version();", ADMIN_FAKE, "version" },
    { "SHOW server_version", ADMIN_FAKE, "server_version" },
    { "SHOW TRANSACTION ISOLATION LEVEL", ADMIN_FAKE, "transaction_isolation" },
    { "SHOW TIME ZONE", ADMIN_FAKE, "timezone" },
    { "SELECT oid FROM pg_catalog.pg_type", ADMIN_CATALOG, "" },
    { "SELECT table_name FROM information_schema.tables", ADMIN_CATALOG, "" },
    { "SET client_encoding TO 'UTF8'", ADMIN_SET_IGNORED, "client_encoding" },
    { "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", ADMIN_SET_IGNORED, "" },
};

static void
every_command_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        struct admin_command c;

        if (!parse(good[i].sql, &c))
            fail_msg("refused: %s", good[i].sql);
        if (c.verb != good[i].verb)
            fail_msg("taken for %d: %s", (int)c.verb, good[i].sql);
        assert_string_equal(c.name, good[i].name);
    }
}

static const char *const bad[] = { "NONSENSE",
                                   "SHOW",
                                   "SHOW nothing",
                                   "SHOW POOLS x",
                                   "SHOW POOLS WHERE",
                                   "SHOW POOLS WHERE nothing = 1",
                                   "SHOW POOLS WHERE database",
                                   "SHOW POOLS WHERE database = ",
                                   "SHOW POOLS FORMAT XML",
                                   "SELECT",
                                   "SELECT 1 FROM t",
                                   "SELECT 1; SELECT 2",
                                   "SELECT version(",
                                   "SET",
                                   "SET a",
                                   "SET a =",
                                   "SET a = b c",
                                   "PAUSE a b",
                                   "PAUSE ''",
                                   "ENABLE",
                                   "SWITCHOVER",
                                   "SWITCHOVER ''",
                                   "SWITCHOVER main pg2",
                                   "SWITCHOVER main TO",
                                   "SWITCHOVER main TO pg2 pg3",
                                   "KILL_CLIENT",
                                   "KILL_CLIENT x",
                                   "KILL_CLIENT c",
                                   "KILL_CLIENT 1x",
                                   "KILL_CLIENT 1234567890123456789012345",
                                   "RELOAD now",
                                   "SHUTDOWN later",
                                   "'",
                                   "\"",
                                   "\001\002" };

static void
everything_else_is_42601_with_a_hint_and_08P01_for_pgbouncers_users(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct admin_command c;
        struct fault why = { .message = "" };

        if (parse_slice(slice_str(bad[i]), false, &c, &why))
            fail_msg("accepted: %s", bad[i]);
        assert_string_equal(why.sqlstate, "42601");
        assert_true(why.hint[0] != '\0');
        assert_false(parse_slice(slice_str(bad[i]), true, &c, &why));
        assert_string_equal(why.sqlstate, "08P01");
    }
}

static void
pgbouncers_texts_are_kept(void **state)
{
    struct admin_command c;
    struct fault why;

    (void)state;
    assert_false(parse_slice(SLICE("NONSENSE"), true, &c, &why));
    assert_string_equal(why.message, "invalid command 'NONSENSE', use SHOW HELP;");
    assert_false(parse_slice(SLICE("ENABLE"), true, &c, &why));
    assert_string_equal(why.message, "a database is required");
    assert_false(parse_slice(SLICE("KILL_CLIENT 1x"), true, &c, &why));
    assert_string_equal(why.message, "invalid client pointer supplied");
}

static void
show_and_select_name_the_same_tables(void **state)
{
    struct admin_command c;
    struct text sql = { 0 };

    (void)state;
    for (unsigned v = 0; v < ADMIN_NVIEWS; v++)
        for (unsigned i = 0; i < 2; i++) {
            text_clear(&sql);
            text_printf(&sql, "%s %s;", i == 0 ? "show" : "SELECT", admin_view_name(v));
            assert_true(parse(text_str(&sql), &c));
            assert_int_equal(c.verb, ADMIN_SHOW);
            assert_int_equal(c.view, v);
            assert_int_equal(c.where, -1);
        }
    text_done(&sql);
}

static void
where_and_format_are_read(void **state)
{
    struct admin_command c;

    (void)state;
    assert_true(parse("SHOW POOLS WHERE user = 'it''s' FORMAT JSON", &c));
    assert_int_equal(c.where, 1);
    assert_string_equal(c.value, "it's");
    assert_true(c.json);
    assert_true(parse("SHOW POOLS WHERE \"database\" = app;", &c));
    assert_int_equal(c.where, 0);
    assert_false(c.json);
}

static void
set_reads_name_and_value(void **state)
{
    static const char *const all[] = { "SET pool_mode = 'a b'", "set pool_mode to 'a b';",
                                       "SET pool_mode='a b'" };
    struct admin_command c;
    struct text tag = { 0 };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(parse(all[i], &c));
        assert_int_equal(c.verb, ADMIN_SET);
        assert_string_equal(c.name, "pool_mode");
        assert_string_equal(c.value, "a b");
    }
    admin_tag(&c, &tag);
    assert_string_equal(text_str(&tag), "SET pool_mode=a b");
    text_done(&tag);
}

static void
a_client_is_named_by_its_id_or_as_in_the_log(void **state)
{
    struct admin_command c;

    (void)state;
    assert_true(parse("KILL_CLIENT 17", &c));
    assert_int_equal(c.id, 17);
    assert_true(parse("kill_client c18;", &c));
    assert_int_equal(c.id, 18);
}

static void
a_name_of_63_bytes_fits_and_one_of_64_is_refused(void **state)
{
    struct admin_command c;
    char sql[128];

    (void)state;
    for (size_t len = 63; len <= 64; len++) {
        strcpy(sql, "PAUSE ");
        memset(sql + 6, 'x', len);
        sql[6 + len] = '\0';
        assert_int_equal(parse(sql, &c), len == 63);
    }
}

static void
a_command_cut_anywhere_is_read_within_its_bytes(void **state)
{
    static const char *const all[] = { "SHOW POOLS WHERE user = 'it''s' FORMAT JSON;",
                                       "SET server_reset_query TO 'DISCARD ALL'",
                                       "SELECT a.b, count(*) AS \"n\" FROM pg_catalog.pg_class -- x",
                                       "/* c */ KILL_CLIENT c18;" };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (size_t cut = 0; cut <= strlen(all[i]); cut++) {
            struct admin_command c;
            struct fault why;

            parse_slice(slice_head(slice_str(all[i]), cut), cut % 2 == 0, &c, &why);
        }
}

static void
a_long_command_is_quoted_without_splitting_a_character(void **state)
{
    struct admin_command c;
    struct fault why;
    char sql[80];
    char expected[100];

    (void)state;
    memset(sql, 'x', 59);
    strcpy(sql + 59, "\xc3\xa4\xc3\xa4");
    assert_false(parse_slice(slice_str(sql), true, &c, &why));
    snprintf(expected, sizeof(expected), "invalid command '%.59s', use SHOW HELP;", sql);
    assert_string_equal(why.message, expected);
}

static void
only_an_admin_may_change_anything(void **state)
{
    static const char *const look[] = { "SHOW POOLS", "SELECT 1", "SHOW HELP", "SET timezone = 'x'", "BEGIN" };
    static const char *const change[] = { "PAUSE",         "RELOAD",   "SHUTDOWN",      "KILL app",
                                          "SET x = y",     "SHOW FDS", "KILL_CLIENT 1", "RESUME",
                                          "RECONNECT app", "SUSPEND",  "DISABLE app",   "ENABLE app",
                                          "WAIT_CLOSE" };
    struct admin_command c;
    struct fault why;

    (void)state;
    for (size_t i = 0; i < sizeof(look) / sizeof(*look); i++) {
        assert_true(parse(look[i], &c));
        assert_true(admin_may(&c, false, false, &why));
    }
    for (size_t i = 0; i < sizeof(change) / sizeof(*change); i++) {
        assert_true(parse(change[i], &c));
        assert_true(admin_may(&c, true, false, &why));
        assert_false(admin_may(&c, false, false, &why));
        assert_string_equal(why.sqlstate, "42501");
        assert_false(admin_may(&c, false, true, &why));
        assert_string_equal(why.message, "admin access needed");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_understood),
        cmocka_unit_test(everything_else_is_42601_with_a_hint_and_08P01_for_pgbouncers_users),
        cmocka_unit_test(pgbouncers_texts_are_kept),
        cmocka_unit_test(show_and_select_name_the_same_tables),
        cmocka_unit_test(where_and_format_are_read),
        cmocka_unit_test(set_reads_name_and_value),
        cmocka_unit_test(a_client_is_named_by_its_id_or_as_in_the_log),
        cmocka_unit_test(a_name_of_63_bytes_fits_and_one_of_64_is_refused),
        cmocka_unit_test(a_command_cut_anywhere_is_read_within_its_bytes),
        cmocka_unit_test(a_long_command_is_quoted_without_splitting_a_character),
        cmocka_unit_test(only_an_admin_may_change_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
