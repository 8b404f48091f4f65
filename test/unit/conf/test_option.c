/* SPDX-License-Identifier: ISC */
/* Rows of the tables. */
#include "conf_tests.h"
#include "option_private.h"

typedef const struct conf_option *rows_function(void);
static rows_function *const tables[] = { conf_general_options, conf_database_options, conf_user_options,
                                         conf_node_options,    conf_cluster_options,  conf_rule_options };

static void
rows_are_complete_and_their_names_differ(void **state)
{
    (void)state;
    for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
        for (const struct conf_option *o = tables[t](); o->name != NULL; o++) {
            assert_true(strlen(o->help) > 3);
            assert_true(o->low <= o->high);
            assert_ptr_equal(conf_option_find(tables[t](), slice_str(o->name)), o);
            assert_null(conf_option_find(conf_kept_options(), slice_str(o->name)));
        }
}

/* SHOW CONFIG of PgBouncer 1.25 has 100 rows, in the order of their names. */
static void
all_keys_of_pgbouncer_have_a_row(void **state)
{
    const char *before = "";
    const struct conf_option *o;
    bool unset;
    size_t n = 0;

    (void)state;
    for (; (o = conf_pgbouncer_key(n, &unset)) != NULL; n++) {
        assert_true(strcmp(before, o->name) < 0);
        before = o->name;
    }
    assert_int_equal(n, 100);
}

/* What SHOW CONFIG prints must be legal in a file and mean the same. */
static void
every_value_prints_as_it_reads(void **state)
{
    struct conf *c = good("[pgweir]\nstats_period = 1.5\ntcp_user_timeout = 2s\nmax_statement_size = 8kB\n");
    struct text first = { 0 }, second = { 0 };

    (void)state;
    for (const struct conf_option *o = conf_general_options(); o->name != NULL; o++) {
        struct conf_general again = c->general;

        text_clear(&first);
        text_clear(&second);
        conf_print(o, &c->general, &first);
        conf_section_unshare(conf_general_options(), &again);
        assert_true(conf_section_set(o, &again, text_slice(&first), NULL));
        conf_print(o, &again, &second);
        assert_string_equal(text_str(&first), text_str(&second));
        conf_section_done(conf_general_options(), &again);
    }
    text_done(&first);
    text_done(&second);
    conf_drop(c);
}

static void
values_print_as_pgbouncer_prints_them(void **state)
{
    static const char *const cases[][2] = {
        { "stats_period", "1.5" },      { "tcp_user_timeout", "2000" }, { "max_statement_size", "8192" },
        { "unix_socket_mode", "0700" }, { "log_stats", "1" },           { "auth_type", "scram-sha-256" }
    };
    struct conf *c = good("[pgweir]\nstats_period = 1500ms\ntcp_user_timeout = 2s\nmax_statement_size = 8kB\n"
                          "unix_socket_mode = 700\nlog_stats = yes\n");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct text out = { 0 };

        conf_print(conf_option_find(conf_general_options(), slice_str(cases[i][0])), &c->general, &out);
        assert_string_equal(text_str(&out), cases[i][1]);
        text_done(&out);
    }
    conf_drop(c);
}

static void
a_secret_is_never_printed(void **state)
{
    struct conf *c = good("[databases]\na = password=hush\n");
    const struct conf_option *o = conf_option_find(conf_database_options(), SLICE("password"));
    struct text out = { 0 };

    (void)state;
    assert_true(o->secret);
    assert_string_equal(c->databases[0].password, "hush");
    conf_print(o, &c->databases[0], &out);
    assert_string_equal(text_str(&out), "");
    text_done(&out);
    conf_drop(c);
}

static void
only_a_near_name_is_suggested(void **state)
{
    const struct conf_option *rows = conf_general_options();
    char *endless = mem_printf("%0999d", 0);

    (void)state;
    assert_string_equal(conf_option_nearest(rows, SLICE("listenport")), "listen_port");
    assert_string_equal(conf_option_nearest(rows, SLICE("max_clients_conn")), "max_client_conn");
    assert_string_equal(conf_option_nearest(rows, SLICE("pool_siz")), "default_pool_size");
    assert_string_equal(conf_option_nearest(rows, SLICE("idle_timeout")), "server_idle_timeout");
    assert_string_equal(conf_option_nearest(rows, SLICE("default_pool_mode")), "pool_mode");
    assert_string_equal(conf_option_nearest(conf_database_options(), SLICE("default_pool_size")), "pool_size");
    assert_null(conf_option_nearest(rows, SLICE("max_us")));
    assert_null(conf_option_nearest(rows, SLICE("completely_different")));
    assert_null(conf_option_nearest(rows, SLICE("")));
    assert_null(conf_option_nearest(rows, slice_str(endless)));
    mem_free(endless);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete_and_their_names_differ),
        cmocka_unit_test(all_keys_of_pgbouncer_have_a_row),
        cmocka_unit_test(every_value_prints_as_it_reads),
        cmocka_unit_test(values_print_as_pgbouncer_prints_them),
        cmocka_unit_test(a_secret_is_never_printed),
        cmocka_unit_test(only_a_near_name_is_suggested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
