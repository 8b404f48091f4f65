/* SPDX-License-Identifier: ISC */
/* Verdicts of a catalog that was read from a text as the loader makes it, without a server. */
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/unit.h"
#include "catalog_private.h"

/* Here '|' and a line feed stand for the separators. */
static const char lines[] = "f|f1|pg_catalog|lower|i\n"
                            "f|f2|pg_catalog|nextval|v\n"
                            "f|f3|pg_catalog|random|v\n"
                            "f|f4|pg_catalog|pg_backend_pid|s\n"
                            "f|f5|pg_catalog|txid_current|s\n"
                            "f|f6|pg_catalog|log|i\n"
                            "f|f7|pg_catalog|upper|i\n"
                            "f|f10|public|good|s\n"
                            "f|f11|public|bad|v\n"
                            "f|f12|public|over|i\n"
                            "f|f13|public|over|v\n"
                            "f|f14|public|two|i\n"
                            "f|f15|other|two|v\n"
                            "f|f16|other|upper|v\n"
                            "f|f17|public|reads_unl|s\n"
                            "f|f18|public|of_row|v\n"
                            "f|f19|public|of_row_too|s\n"
                            "f|f20|public|agg|i\n"
                            "o|o1|pg_catalog|+\n"
                            "o|o2|public|#+#\n"
                            "t|t1|pg_catalog|text\n"
                            "t|t2|public|thing\n"
                            "t|t3|public|whole\n"
                            "r|r1|public|t|p\n"
                            "r|r2|public|unl|u\n"
                            "r|r3|public|far|f\n"
                            "r|r4|public|v|v\n"
                            "r|r5|public|v_deep|v\n"
                            "r|r6|public|v_bad|v\n"
                            "r|r7|public|v_bad_deep|v\n"
                            "r|r8|public|v_lock|l\n"
                            "r|r9|other|t|p\n"
                            "r|r10|public|twice|p\n"
                            "r|r11|other|twice|u\n"
                            "r|r12|public|v_unl|v\n"
                            "r|r13|public|v_lost|v\n"
                            "r|r14|public|ring_a|v\n"
                            "r|r15|public|ring_b|v\n"
                            "r|r16|public|v_both|v\n"
                            "u|r4|r1\n"
                            "u|r5|r4\n"
                            "u|r5|f10\n"
                            "u|r7|r6\n"
                            "u|r6|f11\n"
                            "u|r12|r2\n"
                            "u|r13|r99\n"
                            "u|r14|r15\n"
                            "u|r15|r14\n"
                            "u|r16|r2\n"
                            "u|r16|f2\n"
                            "u|r98|r1\n"
                            "u|f17|r2\n"
                            "u|f20|f11\n"
                            "u|o2|f11\n"
                            "u|t2|f11\n"
                            "u|t3|t2\n"
                            "h|f1\n"
                            "c|f18\n"
                            "c|f19\n"
                            "c|f97\n";

static char *
with_separators(const char *readable)
{
    char *text = mem_strdup(readable);

    for (char *p = text; *p != '\0'; p++)
        *p = (char)(*p == '|' ? CATALOG_FIELD : *p == '\n' ? CATALOG_LINE : *p);
    return text;
}

static struct catalog *
read_lines(const char *readable)
{
    char *text = with_separators(readable);
    struct slice copy = exact(slice_str(text));
    struct fault why;
    struct catalog *c = catalog_read(copy, &why);

    exact_free(copy);
    mem_free(text);
    return c;
}

static enum catalog_verdict
judge(const struct catalog *c, const char *sql, struct text *because)
{
    struct facts_table *t = facts_table_new(16, 1);
    const struct facts *f = facts_of(t, slice_str(sql), true, NULL);
    struct slice name;
    enum catalog_verdict verdict = catalog_judge(c, f, &name);

    assert_int_equal(catalog_judge(c, f, NULL), verdict);
    if (because != NULL) {
        text_clear(because);
        text_add(because, name);
    }
    facts_drop(f);
    facts_table_free(t);
    return verdict;
}

static const struct {
    const char *sql;
    enum catalog_verdict verdict;
    const char *because;
} verdicts[] = {
#define READ  CATALOG_READ
#define WRITE CATALOG_WRITE
#define DOUBT CATALOG_DOUBT
    { "SELECT 1", READ, "" },
    { "SELECT 'a'::text || lower(b), 1 + 1 FROM t", DOUBT, "||" },
    { "SELECT 'a'::text, lower(b), 1 + 1 FROM t", READ, "" },
    { "SELECT random(), log(1)", READ, "" },
    { "SELECT nextval('s')", WRITE, "nextval" },
    { "SELECT pg_catalog.nextval('s')", WRITE, "nextval" },
    { "SELECT public.nextval('s')", DOUBT, "nextval" },
    { "SELECT pg_backend_pid()", DOUBT, "pg_backend_pid" },
    { "SELECT txid_current()", DOUBT, "txid_current" },
    { "SELECT upper('a')", WRITE, "upper" },
    { "SELECT pg_catalog.upper('a')", READ, "" },
    { "SELECT good(1)", READ, "" },
    { "SELECT public.good(1)", READ, "" },
    { "SELECT other.good(1)", DOUBT, "good" },
    { "SELECT \"GOOD\"(1)", DOUBT, "GOOD" },
    { "SELECT good(bad(1))", WRITE, "bad" },
    { "SELECT over(1)", WRITE, "over" },
    { "SELECT two(1)", WRITE, "two" },
    { "SELECT public.two(1)", READ, "" },
    { "SELECT other.two(1)", WRITE, "two" },
    { "SELECT agg(1)", WRITE, "agg" },
    { "SELECT reads_unl()", DOUBT, "reads_unl" },
    { "SELECT 1 #+# 2", WRITE, "#+#" },
    { "SELECT 1::thing", WRITE, "thing" },
    { "SELECT thing(1)", WRITE, "thing" },
    { "SELECT 1::whole", WRITE, "whole" },
    { "SELECT * FROM t", READ, "" },
    { "SELECT * FROM other.t", READ, "" },
    { "SELECT * FROM third.t", DOUBT, "t" },
    { "SELECT * FROM unl", DOUBT, "unl" },
    { "SELECT * FROM far", DOUBT, "far" },
    { "SELECT * FROM v", READ, "" },
    { "SELECT * FROM v_deep", READ, "" },
    { "SELECT * FROM v_bad", WRITE, "v_bad" },
    { "SELECT * FROM v_bad_deep", WRITE, "v_bad_deep" },
    { "SELECT * FROM v_lock", WRITE, "v_lock" },
    { "SELECT * FROM v_unl", DOUBT, "v_unl" },
    { "SELECT * FROM v_both", WRITE, "v_both" },
    { "SELECT * FROM v_lost", DOUBT, "v_lost" },
    { "SELECT * FROM ring_a, ring_b", READ, "" },
    { "SELECT * FROM twice", DOUBT, "twice" },
    { "SELECT * FROM public.twice", READ, "" },
    { "SELECT * FROM unl, v_bad", WRITE, "v_bad" },
    { "SELECT bad(1) FROM unl", WRITE, "bad" },
    { "SELECT missing()", DOUBT, "missing" },
    { "SELECT * FROM missing", DOUBT, "missing" },
    { "SELECT lower FROM t", READ, "" },
    { "SELECT * FROM lower", DOUBT, "lower" },
    { "SELECT t(1)", DOUBT, "t" },
    { "SELECT t.of_row FROM t", DOUBT, "" },
    { "SELECT t.of_row_too FROM t", READ, "" },
    { "SHOW work_mem", READ, "" },
    { "SHOW transaction_read_only", DOUBT, "" },
    { "EXPLAIN DELETE FROM t", READ, "" },
    { "COPY t TO STDOUT", READ, "" },
    { "DELETE FROM t", WRITE, "" },
    { "SELECT * FROM t FOR UPDATE", WRITE, "" },
    { "SELECT * INTO x FROM t", WRITE, "" },
    { "BEGIN", WRITE, "" },
    { "SELECT 1; SELECT bad(1)", WRITE, "bad" },
    { "SELEC 1", DOUBT, "" },
#undef READ
#undef WRITE
#undef DOUBT
};

static void
verdicts_are_those_of_the_table(void **state)
{
    struct catalog *c = read_lines(lines);
    struct text because = { 0 };

    (void)state;
    assert_non_null(c);
    for (size_t i = 0; i < COUNT(verdicts); i++) {
        enum catalog_verdict verdict = judge(c, verdicts[i].sql, &because);

        if (verdict != verdicts[i].verdict || strcmp(text_str(&because), verdicts[i].because) != 0)
            fail_msg("%s: %d because of %s", verdicts[i].sql, (int)verdict, text_str(&because));
    }
    text_done(&because);
    catalog_drop(c);
}

static void
without_a_catalog_only_what_is_surely_of_postgresql_is_a_read(void **state)
{
    (void)state;
    assert_int_equal(judge(NULL, "SELECT 1", NULL), CATALOG_READ);
    assert_int_equal(judge(NULL, "SELECT pg_catalog.lower('a')", NULL), CATALOG_READ);
    assert_int_equal(judge(NULL, "SHOW work_mem", NULL), CATALOG_READ);
    assert_int_equal(judge(NULL, "SELECT lower('a')", NULL), CATALOG_DOUBT);
    assert_int_equal(judge(NULL, "SELECT 1 FROM t", NULL), CATALOG_DOUBT);
    assert_int_equal(judge(NULL, "SELECT 1 FROM pg_catalog.pg_class", NULL), CATALOG_DOUBT);
    assert_int_equal(judge(NULL, "SELECT pg_catalog.nextval('a')", NULL), CATALOG_WRITE);
    assert_int_equal(judge(NULL, "DELETE FROM t", NULL), CATALOG_WRITE);
    assert_int_equal(judge(NULL, "SELEC 1", NULL), CATALOG_DOUBT);
}

/* An implied operator or an input function that writes can hide in anything but SHOW. */
static void
what_has_no_name_spoils_everything(void **state)
{
    struct catalog *bad = read_lines("f|f1|public|bad|v\nr|r1|public|t|p\nh|f1\n");
    struct catalog *gone = read_lines("r|r1|public|t|p\nh|f1\n");
    struct catalog *good = read_lines("f|f1|public|bad|s\nr|r1|public|t|p\nh|f1\n");

    (void)state;
    assert_int_equal(judge(bad, "SELECT * FROM t", NULL), CATALOG_DOUBT);
    assert_int_equal(judge(bad, "SELECT 1", NULL), CATALOG_DOUBT);
    assert_int_equal(judge(bad, "SHOW work_mem", NULL), CATALOG_READ);
    assert_int_equal(judge(gone, "SELECT * FROM t", NULL), CATALOG_DOUBT);
    assert_int_equal(judge(good, "SELECT * FROM t", NULL), CATALOG_READ);
    catalog_drop(bad);
    catalog_drop(gone);
    catalog_drop(good);
}

/* A chain of views, told in an order of its own: the function at its end decides, however long it is. */
static void
a_chain_of_any_length_and_order_is_followed(void **state)
{
    uint64_t seed = 5;

    (void)state;
    for (unsigned n = 1; n < 3000; n = n * 3 + 1) {
        struct text t = { 0 };
        struct catalog *c;
        unsigned first = (unsigned)(draw(&seed) % n);

        text_add_str(&t, "f|f1|public|bad|v\nf|f2|public|good|s\n");
        for (unsigned i = 0; i <= n; i++)
            text_printf(&t, "r|r%u|public|v%u|v\nr|r%u|public|w%u|v\n", i, i, 100000 + i, i);
        for (unsigned i = 0; i < n; i++) {
            unsigned at = (i + first) % n;

            text_printf(&t, "u|r%u|r%u\nu|r%u|r%u\n", at, at + 1, 100000 + at, 100001 + at);
        }
        text_printf(&t, "u|r%u|f1\nu|r%u|f2\n", n, 100000 + n);
        c = read_lines(text_str(&t));
        assert_int_equal(judge(c, "SELECT * FROM w0", NULL), CATALOG_READ);
        assert_int_equal(judge(c, "SELECT * FROM v0", NULL), CATALOG_WRITE);
        catalog_drop(c);
        text_done(&t);
    }
}

/* Ten thousand names: each is found, with its own verdict, and none of those that are not there. */
static void
every_name_is_found_and_no_other(void **state)
{
    static const char kinds[] = "pul";
    static const enum catalog_verdict want[] = { CATALOG_READ, CATALOG_DOUBT, CATALOG_WRITE };
    struct text t = { 0 };
    struct catalog *c;
    char sql[64];

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        text_printf(&t, "r|r%u|public|t%u|%c\n", i, i, kinds[i % 3]);
    c = read_lines(text_str(&t));
    for (unsigned i = 0; i < 10000; i += 7) {
        snprintf(sql, sizeof(sql), "TABLE t%u", i);
        assert_int_equal(judge(c, sql, NULL), want[i % 3]);
        snprintf(sql, sizeof(sql), "TABLE public.t%u", i);
        assert_int_equal(judge(c, sql, NULL), want[i % 3]);
        snprintf(sql, sizeof(sql), "TABLE x%u", i);
        assert_int_equal(judge(c, sql, NULL), CATALOG_DOUBT);
        snprintf(sql, sizeof(sql), "SELECT public.t%u()", i);
        assert_int_equal(judge(c, sql, NULL), CATALOG_DOUBT);
    }
    catalog_drop(c);
    text_done(&t);
}

static void
broken_lines_are_refused(void **state)
{
    static const char *const broken[] = { "x|r1|a|b|p", "r|r1|a|b", "r|r1|a|b|pp", "r|1|a|b|p",  "r|r|a|b|p",
                                          "f|f1|a|b|",  "o|o1|a",   "u|r1",        "u|r1|r2|r3", "h",
                                          "c|x",        "",         "|",           "r|r1x|a|b|p" };

    (void)state;
    for (size_t i = 0; i < COUNT(broken); i++) {
        struct text t = { 0 };
        struct catalog *c;

        text_printf(&t, "r|r7|public|t|p\n%s\nr|r8|public|u|p\n", broken[i]);
        c = read_lines(text_str(&t));
        if (c != NULL)
            fail_msg("is no line: %s", broken[i]);
        text_done(&t);
    }
}

/* Cut anywhere, a text is read within its bytes. */
static void
a_text_is_read_within_its_bytes_at_every_cut(void **state)
{
    char *text = with_separators(lines);
    struct fault why;

    (void)state;
    for (size_t n = 0; n <= strlen(text); n++) {
        struct slice cut = exact(slice_of(text, n));

        catalog_drop(catalog_read(cut, &why));
        exact_free(cut);
    }
    mem_free(text);
}

static void
a_catalog_lives_while_it_is_held(void **state)
{
    struct catalog *c = read_lines("r|r1|public|t|p\n");

    (void)state;
    assert_ptr_equal(catalog_hold(c), c);
    catalog_drop(c);
    assert_int_equal(judge(c, "TABLE t", NULL), CATALOG_READ);
    catalog_drop(c);
    catalog_drop(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_are_those_of_the_table),
        cmocka_unit_test(without_a_catalog_only_what_is_surely_of_postgresql_is_a_read),
        cmocka_unit_test(what_has_no_name_spoils_everything),
        cmocka_unit_test(a_chain_of_any_length_and_order_is_followed),
        cmocka_unit_test(every_name_is_found_and_no_other),
        cmocka_unit_test(broken_lines_are_refused),
        cmocka_unit_test(a_text_is_read_within_its_bytes_at_every_cut),
        cmocka_unit_test(a_catalog_lives_while_it_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
