/* SPDX-License-Identifier: ISC */
/* Sections, defaults, repeated keys, PgBouncer's files. */
#include "base/log.h"
#include "conf_tests.h"

static void
sections_merge_and_the_last_of_repeated_keys_counts(void **state)
{
    struct conf *c =
        good("[pgweir]\nlisten_port = 1\n[databases]\na = host=one pool_size=1\nb=\n[pgweir]\n"
             "listen_port = 7\n[databases]\na = host=two\n[users]\nu = pool_size=3\nu = pool_mode=session\n");

    (void)state;
    assert_int_equal(c->general.listen_port, 7);
    assert_int_equal(c->n_databases, 2);
    assert_string_equal(c->databases[0].name, "a");
    assert_string_equal(c->databases[0].host, "two");
    assert_int_equal(c->databases[0].pool_size, -1);
    assert_int_equal(c->databases[0].line, 9);
    assert_int_equal(c->n_users, 1);
    assert_int_equal(c->users[0].pool_size, -1);
    assert_int_equal(c->users[0].pool_mode, CONF_POOL_SESSION);
    conf_drop(c);
}

static void
an_empty_text_gives_the_defaults_of_pgweir(void **state)
{
    struct conf *c = good("");

    (void)state;
    assert_int_equal(c->general.pool_mode, CONF_POOL_TRANSACTION);
    assert_int_equal(c->general.query_wait_timeout, 10000000);
    assert_int_equal(c->general.max_client_conn, 10000);
    assert_int_equal(c->general.max_statement_size, 1048576);
    assert_int_equal(c->general.unix_socket_mode, 0777);
    assert_int_equal(c->general.auth_type, CONF_AUTH_SCRAM);
    assert_string_equal(c->general.server_check_query, "<empty>");
    assert_int_equal(c->n_databases, 0);
    conf_drop(c);
}

static void
a_pgbouncer_section_gives_the_defaults_of_pgbouncer(void **state)
{
    struct conf *c = good("[databases]\n* =\n[pgbouncer]\nlisten_addr = *\n");

    (void)state;
    assert_int_equal(c->general.compat, CONF_COMPAT_PGBOUNCER);
    assert_int_equal(c->general.pool_mode, CONF_POOL_SESSION);
    assert_int_equal(c->general.query_wait_timeout, 120000000);
    assert_int_equal(c->general.max_client_conn, 100);
    assert_int_equal(c->general.auth_type, CONF_AUTH_MD5);
    assert_string_equal(c->general.listen_addr, "*");
    conf_drop(c);
}

static void
the_option_compat_overrules_the_section(void **state)
{
    struct conf *c = good("[pgbouncer]\ncompat = pgbouncer\ncompat = none\n");

    (void)state;
    assert_int_equal(c->general.compat, CONF_COMPAT_NONE);
    assert_int_equal(c->general.max_client_conn, 10000);
    conf_drop(c);
    c = good("[pgweir]\ncompat = 'pgbouncer'\n");
    assert_int_equal(c->general.compat, CONF_COMPAT_PGBOUNCER);
    assert_int_equal(c->general.max_client_conn, 100);
    conf_drop(c);
    refused("[pgweir]\ncompat = odyssey\n", "t.ini:2: compat must be none or pgbouncer");
}

/* The sink takes no argument of ours: what it got stands here. */
static char logged[4][200];
static int n_logged;

static void
keep_line(enum log_level level, const char *line)
{
    assert_int_equal(level, LOG_LEVEL_WARNING);
    assert_true(n_logged < 4);
    strncpy(logged[n_logged++], line, sizeof(*logged) - 1);
}

static void
keys_that_only_pgbouncer_has_are_kept_in_its_files_with_one_warning_each(void **state)
{
    struct conf *c;

    (void)state;
    n_logged = 0;
    log_set_sink(keep_line);
    c = good("[pgbouncer]\njob_name = pgbouncer\n\nservice_name = 8192\npkt_buf = 8192\n"
             "track_extra_parameters = IntervalStyle, search_path\nsbuf_loopcnt = 3\n[databases]\n"
             "a = host=h load_balance_hosts=disable port=7\n");
    log_set_sink(NULL);
    assert_int_equal(n_logged, 1);
    assert_string_equal(logged[0], "t.ini:4: service_name changes nothing: it belongs to Windows");
    assert_int_equal(c->kept.pkt_buf, 8192);
    assert_string_equal(c->kept.job_name, "pgbouncer");
    assert_int_equal(c->databases[0].port, 7);
    conf_drop(c);
}

/* In PgBouncer hosts are a list, not a cluster that is watched. */
static void
several_hosts_are_no_cluster_in_a_file_of_pgbouncer(void **state)
{
    struct conf *c = good("[pgbouncer]\n[databases]\na = host=h,i port=7\n");

    (void)state;
    assert_int_equal(c->n_nodes + c->n_clusters, 0);
    assert_string_equal(c->databases[0].host, "h,i");
    assert_int_equal(c->databases[0].load_balance_hosts, CONF_HOSTS_ROUND_ROBIN);
    conf_drop(c);
}

static void
unknown_keys_are_refused_with_the_nearest_name(void **state)
{
    (void)state;
    refused("[pgweir]\n\nlisten_prot = 1\n", "t.ini:3: unknown option listen_prot; did you mean listen_port?");
    refused("[pgbouncer]\npool_mod = session\n", "t.ini:2: unknown option pool_mod; did you mean pool_mode?");
    refused("[databases]\na = hots=x\n", "t.ini:2: unknown option hots; did you mean host?");
    refused("[users]\na = pool_sise=1\n", "t.ini:2: unknown option pool_sise; did you mean pool_size?");
    refused("[nodes]\na = wieght=1\n", "t.ini:2: unknown option wieght; did you mean weight?");
    refused("[clusters]\na = failover_time=1\n",
            "t.ini:2: unknown option failover_time; did you mean failover_wait?");
    refused("[pgweir]\nzzzzzzzzzzzz = 1\n", "t.ini:2: unknown option zzzzzzzzzzzz");
    refused("[pgweir]\npkt_buf = 1\n", "t.ini:2: pgweir has no use for PgBouncer's pkt_buf; take it out");
}

static void
peers_have_a_number_and_a_host(void **state)
{
    struct conf *c =
        good("[pgbouncer]\npeer_id = 2\n[peers]\n1 = host=/tmp\n16383 = host=b port=7000 pool_size=3\n");

    (void)state;
    assert_int_equal(c->general.peer_id, 2);
    assert_int_equal(c->n_peers, 2);
    assert_string_equal(conf_find_peer(c, 1)->host, "/tmp");
    assert_int_equal(conf_find_peer(c, 1)->port, 6432);
    assert_int_equal(conf_find_peer(c, 16383)->pool_size, 3);
    assert_null(conf_find_peer(c, 2));
    conf_drop(c);
    refused("[pgweir]\npeer_id = 16384\n", "t.ini:2: peer_id must be a whole number from 0 to 16383");
    refused("[peers]\n0 = host=a\n", "t.ini:2: a peer's name is its peer_id, from 1 to 16383");
    refused("[peers]\n16384 = host=a\n", "t.ini:2: a peer's name is its peer_id, from 1 to 16383");
    refused("[peers]\n01 = host=a\n", "t.ini:2: a peer's name is its peer_id, from 1 to 16383");
    refused("[peers]\none = host=a\n", "t.ini:2: a peer's name is its peer_id, from 1 to 16383");
    refused("[peers]\n1 = port=5\n", "t.ini:2: peer 1 needs a host");
}

static void
sections_that_do_not_exist_or_exclude_each_other_are_refused(void **state)
{
    (void)state;
    refused("\n[node]\n",
            "t.ini:2: unknown section [node]; there are [pgweir], [pgbouncer], [databases], [users], "
            "[nodes], [clusters], [rules], [peers]");
    refused("[pgweir]\n[pgbouncer]\n", "t.ini:2: [pgweir] and [pgbouncer] cannot stand in one configuration");
    refused("listen_port = 1\n", "t.ini:1: listen_port stands before the first [section]");
}

static void
values_may_be_quoted_and_hold_variables(void **state)
{
    struct conf *c;

    (void)state;
    setenv("CONF_TEST_PORT", "7123", 1);
    setenv("CONF_TEST_SECRET", "a b'c", 1);
    c = good("[pgweir]\nlisten_port = ${CONF_TEST_PORT}\nserver_check_query = 'select ''x'';'\n"
             "auth_query = select $1, '$$'\n[databases]\n"
             "a = password=${CONF_TEST_SECRET} user='${CONF_TEST_PORT}x' connect_query='set a = ''b'''\n"
             "\"we ird\" = dbname=w\n");
    assert_int_equal(c->general.listen_port, 7123);
    assert_string_equal(c->general.server_check_query, "select 'x';");
    assert_string_equal(c->general.auth_query, "select $1, '$$'");
    assert_string_equal(c->databases[0].password, "a b'c");
    assert_string_equal(c->databases[0].user, "7123x");
    assert_string_equal(c->databases[0].connect_query, "set a = 'b'");
    assert_string_equal(conf_find_database(c, SLICE("we ird"))->dbname, "w");
    conf_drop(c);
    unsetenv("CONF_TEST_NONE");
    refused("[databases]\na = password=${CONF_TEST_NONE}\n",
            "t.ini:2: the environment has no variable CONF_TEST_NONE");
    refused("[pgweir]\nuser = ${CONF_TEST_NONE}\n", "t.ini:2: the environment has no variable CONF_TEST_NONE");
}

static void
the_older_spelling_of_reserve_pool_size_is_taken(void **state)
{
    struct conf *c = good("[databases]\na = reserve_pool=3\n");

    (void)state;
    assert_int_equal(c->databases[0].reserve_pool_size, 3);
    conf_drop(c);
}

/* LeakSanitizer looks at the end of the program: whatever a refused reload keeps shows there. */
static void
a_text_cut_anywhere_is_whole_or_refused_and_leaks_nothing(void **state)
{
    static const char whole[] =
        "[pgweir]\nlisten_port = 7\nuser = 'x'\n[databases]\na = host=h password='p''q' port=1\n"
        "\"b\" = user=u\na = host=i\n[users]\nu = pool_size=1 query_timeout=1s\n";

    (void)state;
    for (size_t cut = 0; cut < sizeof(whole); cut++) {
        uint8_t *text = exact(whole, cut);
        struct fault why = { .message = "" };
        struct conf *c = conf_parse(slice_of(text, cut), "t.ini", &why);

        assert_true(c != NULL || strncmp(why.message, "t.ini:", 6) == 0);
        conf_drop(c);
        free(text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_merge_and_the_last_of_repeated_keys_counts),
        cmocka_unit_test(an_empty_text_gives_the_defaults_of_pgweir),
        cmocka_unit_test(a_pgbouncer_section_gives_the_defaults_of_pgbouncer),
        cmocka_unit_test(the_option_compat_overrules_the_section),
        cmocka_unit_test(peers_have_a_number_and_a_host),
        cmocka_unit_test(keys_that_only_pgbouncer_has_are_kept_in_its_files_with_one_warning_each),
        cmocka_unit_test(several_hosts_are_no_cluster_in_a_file_of_pgbouncer),
        cmocka_unit_test(unknown_keys_are_refused_with_the_nearest_name),
        cmocka_unit_test(sections_that_do_not_exist_or_exclude_each_other_are_refused),
        cmocka_unit_test(values_may_be_quoted_and_hold_variables),
        cmocka_unit_test(the_older_spelling_of_reserve_pool_size_is_taken),
        cmocka_unit_test(a_text_cut_anywhere_is_whole_or_refused_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
