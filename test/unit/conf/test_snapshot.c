/* SPDX-License-Identifier: ISC */
/* Looking things up in a published configuration, holding it, and changing one option of a copy. */
#include "conf_tests.h"

static void
a_database_is_found_by_name_or_by_the_fallback(void **state)
{
    struct conf *c = good("[databases]\na = host=x\n* = host=any\n[users]\nu =\n");

    (void)state;
    assert_string_equal(conf_find_database(c, SLICE("a"))->host, "x");
    assert_string_equal(conf_find_database(c, SLICE("b"))->host, "any");
    assert_string_equal(conf_find_user(c, SLICE("u"))->name, "u");
    assert_null(conf_find_user(c, SLICE("v")));
    conf_drop(c);
    c = good("[databases]\na = host=x\n");
    assert_null(conf_find_database(c, SLICE("b")));
    conf_drop(c);
}

static void
lists_are_separated_by_commas(void **state)
{
    (void)state;
    assert_true(conf_list_has("a, bc ,d", SLICE("a")));
    assert_true(conf_list_has("a, bc ,d", SLICE("bc")));
    assert_true(conf_list_has("a, bc ,d", SLICE("d")));
    assert_false(conf_list_has("a, bc ,d", SLICE("b")));
    assert_false(conf_list_has("a, bc ,d", SLICE("a, bc")));
    assert_false(conf_list_has("a,,b", SLICE("")));
    assert_false(conf_list_has("", SLICE("")));
}

static void
a_held_configuration_outlives_its_first_owner(void **state)
{
    struct conf *c = good("[databases]\na = host=x\n"), *same = conf_hold(c);

    (void)state;
    conf_drop(c);
    assert_string_equal(conf_find_database(same, SLICE("a"))->host, "x");
    conf_drop(same);
    conf_drop(NULL);
}

static void
one_option_changes_in_a_copy_only(void **state)
{
    struct conf *c = good(
        "[pgweir]\nserver_reset_query = r\n[databases]\na = host=x password=p\nb = host=y,z\n[users]\nu =\n"
        "[nodes]\nn = cluster=k host=h\n[clusters]\nk = monitor_password=m\n");
    struct conf *d = conf_with(c, SLICE("server_reset_query"), SLICE("s"), NULL);

    (void)state;
    assert_string_equal(c->general.server_reset_query, "r");
    conf_drop(c);
    assert_string_equal(d->general.server_reset_query, "s");
    assert_string_equal(conf_find_database(d, SLICE("a"))->password, "p");
    assert_non_null(conf_find_user(d, SLICE("u")));
    assert_int_equal(d->n_nodes, 3);
    assert_string_equal(d->nodes[2].host, "z");
    assert_string_equal(d->clusters[0].monitor_password, "m");
    assert_string_equal(conf_cluster_of(d, conf_find_database(d, SLICE("b")))->name, "b");
    assert_null(conf_cluster_of(d, conf_find_database(d, SLICE("a"))));
    conf_drop(d);
}

static void
what_is_read_at_start_only_is_accepted_and_changes_nothing(void **state)
{
    struct conf *c = good(""), *d = conf_with(c, SLICE("listen_port"), SLICE("nonsense"), NULL);

    (void)state;
    assert_int_equal(d->general.listen_port, 6432);
    conf_drop(c);
    conf_drop(d);
}

static void
a_bad_change_is_refused(void **state)
{
    struct conf *c = good(""), *p = good("[pgbouncer]\n"), *d;
    struct fault why;

    (void)state;
    assert_null(conf_with(c, SLICE("pool_mod"), SLICE("session"), &why));
    assert_string_equal(why.message, "unknown option pool_mod");
    assert_null(conf_with(c, SLICE("pool_mode"), SLICE("x"), &why));
    assert_string_equal(why.message, "pool_mode must be session, transaction or statement");
    assert_null(conf_with(c, SLICE("auth_type"), SLICE("hba"), &why));
    assert_string_equal(why.message, "auth_type = hba needs auth_hba_file");
    assert_null(conf_with(c, SLICE("pkt_buf"), SLICE("1"), &why));
    d = conf_with(p, SLICE("pkt_buf"), SLICE("1"), &why);
    assert_non_null(d);
    conf_drop(d);
    conf_drop(c);
    conf_drop(p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_is_found_by_name_or_by_the_fallback),
        cmocka_unit_test(lists_are_separated_by_commas),
        cmocka_unit_test(a_held_configuration_outlives_its_first_owner),
        cmocka_unit_test(one_option_changes_in_a_copy_only),
        cmocka_unit_test(what_is_read_at_start_only_is_accepted_and_changes_nothing),
        cmocka_unit_test(a_bad_change_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
