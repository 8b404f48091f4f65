/* SPDX-License-Identifier: ISC */
/* The settings pgweir.*: what may be said, and what is answered to the rest. */
#include "base/unit.h"

#include "route/wish.h"

struct row {
    const char *name, *value, *shown; /* shown NULL: refused */
};

static const struct row rows[] = {
    { "pgweir.route", "auto", "auto" },
    { "pgweir.route", "primary", "primary" },
    { "pgweir.route", " Replica ", "replica" },
    { "PgWeir.Route", "PREFER-replica", "prefer-replica" },
    { "pgweir.route", "node:pg2", "node:pg2" },
    { "pgweir.route", "NODE:Pg 2", "node:Pg 2" },
    { "pgweir.route", "node:", NULL },
    { "pgweir.route", "node:a\0b", "node:a" },
    { "pgweir.route", "node:0123456789012345678901234567890123456789012345678901234567890123", NULL },
    { "pgweir.route", "node:012345678901234567890123456789012345678901234567890123456789012",
      "node:012345678901234567890123456789012345678901234567890123456789012" },
    { "pgweir.route", "", NULL },
    { "pgweir.route", "default", NULL },
    { "pgweir.consistency", "eventual", "eventual" },
    { "pgweir.consistency", "Session", "session" },
    { "pgweir.consistency", "global", "global" },
    { "pgweir.consistency", "default", "default" },
    { "pgweir.consistency", "strong", NULL },
    { "pgweir.max_lag", "5", "5s" },
    { "pgweir.max_lag", "5s", "5s" },
    { "pgweir.max_lag", "5000 ms", "5s" },
    { "pgweir.max_lag", "0.5", "500ms" },
    { "pgweir.max_lag", "1.5min", "90s" },
    { "pgweir.max_lag", "60", "1min" },
    { "pgweir.max_lag", "120min", "2h" },
    { "pgweir.max_lag", "24h", "1d" },
    { "pgweir.max_lag", "7us", "7us" },
    { "pgweir.max_lag", "0", "0" },
    { "pgweir.max_lag", "0.0000001", "0" },
    { "pgweir.max_lag", "default", "default" },
    { "pgweir.max_lag", "-1", NULL },
    { "pgweir.max_lag", "", NULL },
    { "pgweir.max_lag", "s", NULL },
    { "pgweir.max_lag", "5.", NULL },
    { "pgweir.max_lag", "5.5.5", NULL },
    { "pgweir.max_lag", "5 weeks", NULL },
    { "pgweir.max_lag", "86401", NULL },
    { "pgweir.max_lag", "1.00001d", NULL },
    { "pgweir.max_lag", "99999999999999999999999999", NULL },
    { "pgweir.min_lsn", "16/B374D848", "16/B374D848" },
    { "pgweir.min_lsn", "ffffffff/ffffffff", "FFFFFFFF/FFFFFFFF" },
    { "pgweir.min_lsn", "0/0", "0/0" },
    { "pgweir.min_lsn", "00000000/000000a0", "0/A0" },
    { "pgweir.min_lsn", "0", NULL },
    { "pgweir.min_lsn", "/1", NULL },
    { "pgweir.min_lsn", "1/", NULL },
    { "pgweir.min_lsn", "1/2/3", NULL },
    { "pgweir.min_lsn", "1/123456789", NULL },
    { "pgweir.min_lsn", "1/g", NULL },
    { "pgweir.min_lsn", "", NULL },
};

static void
assert_shown(const struct route_wishes *w, const char *name, const char *shown)
{
    struct text t = { 0 };

    assert_true(wishes_print(w, slice_str(name), &t));
    assert_string_equal(text_str(&t), shown);
    text_done(&t);
}

static void
value_is_shown_as_it_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *r = &rows[i];
        struct slice value = exact(slice_str(r->value));
        struct route_wishes w, before;
        struct fault why = { .sqlstate = "" };

        wishes_init(&w);
        before = w;
        assert_int_equal(wishes_set(&w, slice_str(r->name), value, &why), r->shown != NULL);
        exact_free(value);
        if (r->shown != NULL) {
            assert_shown(&w, r->name, r->shown);
            assert_true(wishes_set(&w, slice_str(r->name), slice_str(r->shown), NULL));
            assert_shown(&w, r->name, r->shown);
        } else {
            assert_memory_equal(&w, &before, sizeof(w));
            assert_string_equal(why.sqlstate, "22023");
            assert_non_null(strstr(why.hint, "Available values: "));
        }
    }
}

static void
bad_value_is_told_with_what_would_do(void **state)
{
    struct route_wishes w;
    struct fault why;

    (void)state;
    wishes_init(&w);
    assert_false(wishes_set(&w, SLICE("pgweir.route"), SLICE("standby"), &why));
    assert_string_equal(why.message, "invalid value for parameter \"pgweir.route\": \"standby\"");
    assert_string_equal(why.hint, "Available values: auto, primary, replica, prefer-replica, node:NAME.");
}

/* A character that is cut in two would be an encoding error for the client. */
static void
long_value_is_cut_between_characters(void **state)
{
    struct route_wishes w;
    struct fault why;
    char value[101];

    (void)state;
    wishes_init(&w);
    memset(value, 'x', sizeof(value));
    memcpy(value + 62, "\xE2\x82\xAC", 3);
    assert_false(wishes_set(&w, SLICE("pgweir.route"), slice_of(value, 100), &why));
    assert_non_null(strstr(why.message, "xx\""));
    assert_null(strchr(why.message, '\xE2'));
}

static void
unknown_and_fixed_names_are_told_apart(void **state)
{
    static const char *const unknown[] = { "pgweir.", "pgweir.rout", "pgweir.routes", "route", "pgweir",
                                           "",        "x.route",     "pgweir.node" };
    static const char *const fixed[] = { "pgweir.lsn", "pgweir.last_node", "pgweir.last_route_reason",
                                         "PGWEIR.LAST_CACHE" };
    struct route_wishes w;
    struct fault why;

    (void)state;
    wishes_init(&w);
    for (size_t i = 0; i < COUNT(unknown); i++) {
        assert_false(wishes_set(&w, slice_str(unknown[i]), SLICE("primary"), &why));
        assert_string_equal(why.sqlstate, "42704");
        assert_false(wishes_print(&w, slice_str(unknown[i]), NULL));
    }
    for (size_t i = 0; i < COUNT(fixed); i++) {
        assert_false(wishes_set(&w, slice_str(fixed[i]), SLICE("primary"), &why));
        assert_string_equal(why.sqlstate, "55P02");
        assert_false(wishes_print(&w, slice_str(fixed[i]), NULL));
    }
}

static void
cache_is_checked_only(void **state)
{
    static const char *const good[] = { "on", "OFF", "refresh", "60s", "1" };
    static const char *const bad[] = { "", "maybe", "-1", "60 x" };
    struct route_wishes w, before;

    (void)state;
    wishes_init(&w);
    before = w;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(wishes_set(&w, SLICE("pgweir.cache"), slice_str(good[i]), NULL));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(wishes_set(&w, SLICE("pgweir.cache"), slice_str(bad[i]), NULL));
    assert_memory_equal(&w, &before, sizeof(w));
}

static void
question_carries_the_wishes(void **state)
{
    struct route_wishes w;
    struct route_question q = { .is_read = true };

    (void)state;
    wishes_init(&w);
    wishes_ask(&w, &q);
    assert_true(q.wish == ROUTE_AUTO && q.consistency == -1 && q.max_lag_us == -1 && q.min_lsn == 0 &&
                q.is_read);
    assert_true(wishes_set(&w, SLICE("pgweir.route"), SLICE("node:a"), NULL));
    assert_true(wishes_set(&w, SLICE("pgweir.max_lag"), SLICE("3ms"), NULL));
    assert_true(wishes_set(&w, SLICE("pgweir.min_lsn"), SLICE("0/7"), NULL));
    assert_true(wishes_set(&w, SLICE("pgweir.consistency"), SLICE("global"), NULL));
    wishes_ask(&w, &q);
    assert_true(q.wish == ROUTE_NODE && q.consistency == CLUSTER_GLOBAL && q.max_lag_us == 3000 &&
                q.min_lsn == 7);
    assert_string_equal(q.node, "a");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_is_shown_as_it_is_understood),
        cmocka_unit_test(bad_value_is_told_with_what_would_do),
        cmocka_unit_test(long_value_is_cut_between_characters),
        cmocka_unit_test(unknown_and_fixed_names_are_told_apart),
        cmocka_unit_test(cache_is_checked_only),
        cmocka_unit_test(question_carries_the_wishes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
