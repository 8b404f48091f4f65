/* SPDX-License-Identifier: ISC */
/* Hints: where they count, and what they change. */
#include "route/hint.h"

#include <stdio.h>

#include "base/unit.h"

/* Applied to nothing special: the wishes as "route consistency max_lag min_lsn", or "none". */
static const char *
hinted(const char *sql, struct fault *warning)
{
    static const char *const names[] = { "pgweir.route", "pgweir.consistency", "pgweir.max_lag",
                                         "pgweir.min_lsn" };
    static char out[200];
    struct slice s = exact(slice_str(sql));
    struct text t = { 0 };
    struct route_wishes w;
    bool found;

    wishes_init(&w);
    found = hint_apply(s, &w, warning);
    exact_free(s);
    for (size_t i = 0; i < COUNT(names); i++) {
        text_add_str(&t, i > 0 ? " " : "");
        assert_true(wishes_print(&w, slice_str(names[i]), &t));
    }
    snprintf(out, sizeof(out), "%s", found ? text_str(&t) : "none");
    text_done(&t);
    return out;
}

static const struct {
    const char *sql, *wishes;
} good[] = {
    { "/* pgweir: route=primary */ SELECT 1", "primary default default 0/0" },
    { "SELECT 1 /* pgweir: route=primary */", "primary default default 0/0" },
    { "\n ; /*pgweir:route=primary*/SELECT 1", "primary default default 0/0" },
    { "SELECT 1/*PgWeir:  Route = PRIMARY ,*/ ; \t;\r\n", "primary default default 0/0" },
    { "/* pgweir: route=replica, max_lag=5s, consistency=eventual, min_lsn=1/2, cache=60s */ SELECT 1",
      "replica eventual 5s 1/2" },
    { "/* pgweir: route=replica, max_lag=1min */ SELECT 1 /* pgweir: max_lag=2min */",
      "replica default 2min 0/0" },
    { "/* pgweir: node=pg2 */ SELECT 1", "node:pg2 default default 0/0" },
    { "/* pgweir: route=node:pg2 */ SELECT 1", "node:pg2 default default 0/0" },
    { "/* pgweir: node=pg2 */", "node:pg2 default default 0/0" },
    { "/* pgweir: */ SELECT 1", "auto default default 0/0" },
    { "/* x */ SELECT 1 /* pgweir: route=primary */", "primary default default 0/0" },
    { "SELECT '/* pgweir: route=replica' /* pgweir: route=primary */", "primary default default 0/0" },
    { "SELECT 1 -- /* pgweir: route=primary */", "primary default default 0/0" },
    { "", "none" },
    { "/", "none" },
    { "*/", "none" },
    { "/*/", "none" },
    { "/**/", "none" },
    { "/*pgweir:", "none" },
    { "/* pgweir: route=primary SELECT 1", "none" },
    { "pgweir: route=primary */", "none" },
    { "SELECT 1", "none" },
    { "SELECT 1 / 2", "none" },
    { "SELECT 1 /* weir: route=primary */", "none" },
    { "SELECT 1 /* a pgweir: route=primary */", "none" },
    { "SELECT /* pgweir: route=primary */ 1", "none" },
    { "SELECT '/* pgweir: route=primary */'", "none" },
    { "SELECT \"/* pgweir: route=primary */\"", "none" },
    { "SELECT $$/* pgweir: route=primary */$$", "none" },
    { "SELECT $a$/* pgweir: route=primary */$a$ ;", "none" },
    { "'/* pgweir: route=primary */ SELECT 1'", "none" },
    { "-- /* pgweir: route=primary */\nSELECT 1", "none" },
    { "SELECT '/* pgweir: route=replica, x=' -- */", "none" },
    { "SELECT '/* pgweir: route=replica, x=' - */", "none" },
    { "SELECT '/* pgweir: route=replica, x='*/", "none" },
    { "SELECT $a$/* pgweir: route=replica, x=$a$*/", "none" },
    { "SELECT 1 /* a */* pgweir: route=primary */", "none" },
    { "/* pgweir: route=primary /* a */ */ SELECT 1", "none" },
    { "/* a /* pgweir: route=primary */ */ SELECT 1", "none" },
    { "SELECT 1 /* /* a */ pgweir: route=primary */", "none" },
    { "SELECT 1 /* a /* pgweir: route=primary */ */", "none" },
    { "/* a */ /* pgweir: route=primary */ SELECT 1", "none" },
};

static void
hints_count_at_both_ends_and_nowhere_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct fault warning;

        assert_string_equal(hinted(good[i].sql, &warning), good[i].wishes);
        assert_string_equal(warning.sqlstate, "");
    }
}

static void
bad_hint_is_a_warning_and_the_rest_counts(void **state)
{
    struct fault warning;

    (void)state;
    assert_string_equal(hinted("/* pgweir: route=no, max_lag=5s, colour=red */ SELECT 1", &warning),
                        "auto default 5s 0/0");
    assert_string_equal(warning.sqlstate, "22023");
    assert_string_equal(warning.message, "invalid value for parameter \"pgweir.route\": \"no\"");
    assert_string_equal(hinted("/* pgweir: colour=red, max_lag=5s */ SELECT 1", &warning),
                        "auto default 5s 0/0");
    assert_string_equal(warning.sqlstate, "42704");
    assert_string_equal(warning.message, "unrecognized hint \"colour\"");
    assert_string_equal(hinted("/* pgweir: route */ SELECT 1 /* pgweir: max_lag=1d */", &warning),
                        "auto default 1d 0/0");
    assert_string_equal(warning.sqlstate, "22023");
    assert_string_equal(hinted("/* pgweir: cache=sometimes */", &warning), "auto default default 0/0");
    assert_string_equal(warning.sqlstate, "22023");
    assert_string_equal(hinted("/* pgweir: lsn=0/0 */", &warning), "auto default default 0/0");
    assert_string_equal(warning.sqlstate, "42704");
    assert_string_equal(hinted("/* pgweir: = */", &warning), "auto default default 0/0");
    assert_string_equal(warning.sqlstate, "42704");
}

/* A statement that is no comment to its beginning must not be searched to its beginning. */
static void
long_comment_is_no_hint(void **state)
{
    struct fault warning;
    char sql[HINT_MAX_LEN + 100];

    (void)state;
    for (int at_end = 0; at_end < 2; at_end++)
        for (int over = 0; over < 2; over++) {
            int pad = HINT_MAX_LEN - (int)strlen("pgweir: max_lag=5s") + over - (at_end ? 0 : 2);

            snprintf(sql, sizeof(sql), "%s/*pgweir: max_lag=5s%*s*/%s", at_end ? "SELECT 1" : "", pad, "",
                     at_end ? "" : "SELECT 1");
            assert_string_equal(hinted(sql, &warning), over ? "none" : "auto default 5s 0/0");
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hints_count_at_both_ends_and_nowhere_else),
        cmocka_unit_test(bad_hint_is_a_warning_and_the_rest_counts),
        cmocka_unit_test(long_comment_is_no_hint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
