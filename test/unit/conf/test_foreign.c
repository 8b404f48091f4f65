/* SPDX-License-Identifier: ISC */
/* Numbers as PgBouncer reads them, in its files and after SET there, and in no others. */
#include "conf_tests.h"

#define SECOND 1000000LL

static void
counts(void **state)
{
    struct conf *c =
        good("[pgbouncer]\nmax_client_conn = 0x20\nlisten_backlog = 100000\ndefault_pool_size = +5\n"
             "min_pool_size = 010\nmax_db_connections = -1\nreserve_pool_size = 99999999999999999999\n"
             "verbose = 7\nmax_packet_size = -1\nsbuf_loopcnt = -1\n");

    (void)state;
    assert_int_equal(c->general.max_client_conn, 32);
    assert_int_equal(c->general.listen_backlog, 65535);
    assert_int_equal(c->general.default_pool_size, 5);
    assert_int_equal(c->general.min_pool_size, 8);
    assert_int_equal(c->general.max_db_connections, 0);
    assert_int_equal(c->general.reserve_pool_size, 1000000);
    assert_int_equal(c->general.verbose, 3);
    assert_int_equal(c->general.max_packet_size, 2147483647);
    conf_drop(c);
}

static void
any_number_is_a_boolean(void **state)
{
    struct conf *c =
        good("[pgbouncer]\nlog_connections = 2\nserver_round_robin = -1\nlog_stats = 00\nso_reuseport = yes\n");

    (void)state;
    assert_true(c->general.log_connections && c->general.server_round_robin && c->general.so_reuseport);
    assert_false(c->general.log_stats);
    conf_drop(c);
}

static void
times(void **state)
{
    struct conf *c = good("[pgbouncer]\nserver_login_retry = .5\nquery_timeout = 5.\nserver_lifetime = 1e3\n"
                          "client_idle_timeout = 99999999999\nstats_period = 0\nquery_wait_timeout = 3min\n"
                          "suspend_timeout = inf\ntcp_user_timeout = 1500\n");

    (void)state;
    assert_int_equal(c->general.server_login_retry, SECOND / 2);
    assert_int_equal(c->general.query_timeout, 5 * SECOND);
    assert_int_equal(c->general.server_lifetime, 1000 * SECOND);
    assert_int_equal(c->general.client_idle_timeout, 31536000 * SECOND);
    assert_int_equal(c->general.stats_period, SECOND);
    assert_int_equal(c->general.query_wait_timeout, 180 * SECOND);
    assert_int_equal(c->general.suspend_timeout, 86400 * SECOND);
    assert_int_equal(c->general.tcp_user_timeout, 3 * SECOND / 2);
    conf_drop(c);
}

static void
lists(void **state)
{
    struct conf *c = good(
        "[pgbouncer]\n[databases]\na = pool_size=010 max_db_connections=-1 server_lifetime=.5 reserve_pool=-7\n"
        "[users]\nu = max_user_connections=99999999 query_timeout=-1\n");

    (void)state;
    assert_int_equal(c->databases[0].pool_size, 10);
    assert_int_equal(c->databases[0].max_db_connections, -1);
    assert_int_equal(c->databases[0].server_lifetime, SECOND / 2);
    assert_int_equal(c->databases[0].reserve_pool_size, -1);
    assert_int_equal(c->users[0].max_user_connections, 1000000);
    assert_int_equal(c->users[0].query_timeout, -1);
    conf_drop(c);
}

static void
what_is_no_number_there_either(void **state)
{
    (void)state;
    refused("[pgbouncer]\nmax_client_conn = 5k\n",
            "t.ini:2: max_client_conn must be a whole number from 1 to 1000000");
    refused("[pgbouncer]\nmax_client_conn =\n",
            "t.ini:2: max_client_conn must be a whole number from 1 to 1000000");
    refused("[pgbouncer]\nquery_timeout = nan\n",
            "t.ini:2: query_timeout must be a time from 0 to 31536000 seconds, such as 10, 0.5, 200ms or 1h");
    refused("[pgbouncer]\nquery_timeout = -1\n",
            "t.ini:2: query_timeout must be a time from 0 to 31536000 seconds, such as 10, 0.5, 200ms or 1h");
    refused("[pgbouncer]\nlisten_port = 70000\n",
            "t.ini:2: listen_port must be a whole number from 1 to 65535");
    refused("[pgbouncer]\npeer_id = 16384\n", "t.ini:2: peer_id must be a whole number from 0 to 16383");
}

static void
not_in_our_own_files(void **state)
{
    (void)state;
    refused("[pgweir]\nmax_client_conn = 0x20\n",
            "t.ini:2: max_client_conn must be a whole number from 1 to 1000000");
    refused("[pgweir]\nquery_timeout = .5\n",
            "t.ini:2: query_timeout must be a time from 0 to 31536000 seconds, such as 10, 0.5, 200ms or 1h");
}

static void
after_set(void **state)
{
    struct conf *c = good("[pgbouncer]\n"), *other;

    (void)state;
    other = conf_with(c, SLICE("max_client_conn"), SLICE("5000000"), NULL);
    assert_int_equal(other->general.max_client_conn, 1000000);
    conf_drop(other);
    other = conf_with(c, SLICE("server_lifetime"), SLICE(".5"), NULL);
    assert_int_equal(other->general.server_lifetime, SECOND / 2);
    conf_drop(other);
    conf_drop(c);
    c = good("[pgweir]\n");
    assert_null(conf_with(c, SLICE("server_lifetime"), SLICE(".5"), NULL));
    conf_drop(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(any_number_is_a_boolean),
        cmocka_unit_test(times),
        cmocka_unit_test(lists),
        cmocka_unit_test(what_is_no_number_there_either),
        cmocka_unit_test(not_in_our_own_files),
        cmocka_unit_test(after_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
