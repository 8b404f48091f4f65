/* SPDX-License-Identifier: ISC */
/* The table of facts: what is shared, what is kept, what is refused; classes; and that the parser bears all
 * that the digest calls safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "sql/digest.h"
#include "sql/facts.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct facts *
facts_str(struct facts_table *t, const char *sql)
{
    return facts_of(t, slice_str(sql), true, NULL);
}

static const struct {
    const char *sql;
    enum statement_class class;
    unsigned n_statements;
    bool transaction_block;
} classes[] = {
    { "", CLASS_EMPTY, 0, false },
    { " ;; /* a */ ; ", CLASS_EMPTY, 0, false },
    { "BEGIN", CLASS_BEGIN, 1, true },
    { "begin work isolation level serializable;", CLASS_BEGIN, 1, true },
    { "START TRANSACTION READ ONLY", CLASS_BEGIN, 1, true },
    { "BEGIN; SELECT 1", CLASS_OTHER, 2, true },
    { "SELECT 1; BEGIN", CLASS_OTHER, 2, true },
    { "COMMIT", CLASS_END, 1, false },
    { ";END TRANSACTION;", CLASS_END, 1, false },
    { "ROLLBACK", CLASS_END, 1, false },
    { "ABORT", CLASS_END, 1, false },
    { "COMMIT; COMMIT", CLASS_OTHER, 2, false },
    { "COMMIT AND CHAIN", CLASS_OTHER, 1, true },
    { "ROLLBACK AND NO CHAIN", CLASS_END, 1, false },
    { "ROLLBACK TO a", CLASS_OTHER, 1, false },
    { "SAVEPOINT a", CLASS_OTHER, 1, false },
    { "PREPARE TRANSACTION 'a'", CLASS_OTHER, 1, false },
    { "COMMIT PREPARED 'a'", CLASS_OTHER, 1, false },
    { "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", CLASS_MODE, 1, false },
    { "SET TRANSACTION SNAPSHOT '1-1'", CLASS_OTHER, 1, false },
    { "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", CLASS_OTHER, 1, false },
    { "SHOW \"Search_Path\"", CLASS_SHOW, 1, false },
    { "SHOW a; SHOW b", CLASS_OTHER, 2, false },
    { "SELECT 1", CLASS_OTHER, 1, false },
    { "SET a = 1", CLASS_OTHER, 1, false },
    { "EXPLAIN (pgweir) SELECT 1", CLASS_EXPLAIN, 1, false },
    { "EXPLAIN SELECT 1; SELECT 1", CLASS_OTHER, 2, false },
    { "SELEC 1", CLASS_UNKNOWN, 0, false },
    { "SELECT 'a", CLASS_UNKNOWN, 0, false },
};

static void
strings_have_the_class_of_the_table(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);

    (void)state;
    for (size_t i = 0; i < N(classes); i++) {
        const struct facts *f = facts_str(t, classes[i].sql);

        if (f->class != classes[i].class || f->n_statements != classes[i].n_statements ||
            f->transaction_block != classes[i].transaction_block || f->analysed != (f->class != CLASS_UNKNOWN))
            fail_msg("%s: class %d, %u statements", classes[i].sql, (int)f->class, f->n_statements);
        facts_drop(f);
    }
    facts_table_free(t);
}

static const struct {
    const char *sql;
    bool ends_block, in_steps;
} steps[] = {
    { "SELECT 1", false, false },
    { "COMMIT", true, false },
    { "END AND CHAIN", true, false },
    { "ROLLBACK", true, false },
    { "PREPARE TRANSACTION 'a'", true, false },
    { "COMMIT PREPARED 'a'", false, false },
    { "BEGIN", false, false },
    { "ROLLBACK TO a", false, false },
    { "RELEASE a", false, false },
    { "SELECT 1; COMMIT; SELECT 2", true, false },
    { "CALL p()", false, true },
    { "SELECT 1; DO 'BEGIN END'", false, true },
    { "VACUUM t", false, true },
    { "ANALYZE", false, true },
    { "CLUSTER", false, true },
    { "REINDEX DATABASE a", false, true },
    { "CREATE INDEX ON t (a)", false, false },
    { "CREATE INDEX CONCURRENTLY ON t (a)", false, true },
    { "DROP INDEX a", false, false },
    { "DROP INDEX CONCURRENTLY a", false, true },
    { "ALTER TABLE t DETACH PARTITION a", false, false },
    { "ALTER TABLE t DETACH PARTITION a CONCURRENTLY", false, true },
    { "ALTER TABLE t ADD a int", false, false },
    { "CREATE DATABASE a", false, true },
    { "DROP DATABASE a", false, true },
    { "ALTER DATABASE a SET TABLESPACE b", false, true },
    { "CREATE TABLESPACE a LOCATION 'b'", false, true },
    { "DROP TABLESPACE a", false, true },
    { "ALTER SYSTEM SET a = 1", false, true },
    { "DROP SUBSCRIPTION a", false, true },
};

static void
what_commits_on_its_way_is_known(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);

    (void)state;
    for (size_t i = 0; i < N(steps); i++) {
        const struct facts *f = facts_str(t, steps[i].sql);

        if (!f->analysed || f->ends_block != steps[i].ends_block || f->in_steps != steps[i].in_steps)
            fail_msg("%s: ends_block %d, in_steps %d", steps[i].sql, f->ends_block, f->in_steps);
        facts_drop(f);
    }
    facts_table_free(t);
}

static void
what_a_session_must_look_at_is_not_plain(void **state)
{
    static const char *const plain[] = { "SELECT 1", "insert into t values (1)", "CREATE TABLE t (a int)",
                                         "COPY t FROM STDIN", "/* a */ UPDATE t SET a = 1;" };
    static const char *const others[] = { "",
                                          "SELEC 1",
                                          "SELECT 1; SELECT 1",
                                          "BEGIN",
                                          "COMMIT",
                                          "COMMIT AND CHAIN",
                                          "SET TRANSACTION READ ONLY",
                                          "SET a = 1",
                                          "RESET ALL",
                                          "DISCARD ALL",
                                          "SELECT set_config('a', 'b', false)",
                                          "SHOW a",
                                          "EXPLAIN (PGWEIR) SELECT 1",
                                          "PREPARE a AS SELECT 1",
                                          "EXECUTE a",
                                          "DEALLOCATE a",
                                          "SELECT name FROM pg_prepared_statements",
                                          "LISTEN a",
                                          "UNLISTEN *",
                                          "NOTIFY a",
                                          "SELECT pg_notify('a', x) FROM t",
                                          "SAVEPOINT a",
                                          "ROLLBACK TO a",
                                          "CREATE TEMP TABLE t (a int)",
                                          "SELECT currval('s')",
                                          "SELECT pg_advisory_lock(1)",
                                          "DO 'SELECT pg_advisory_lock(1)'" };
    struct facts_table *t = facts_table_new(100, 1);

    (void)state;
    for (size_t i = 0; i < N(plain) + N(others); i++) {
        const char *sql = i < N(plain) ? plain[i] : others[i - N(plain)];
        const struct facts *f = facts_str(t, sql);

        if (f->plain != (i < N(plain)))
            fail_msg("%s", sql);
        facts_drop(f);
    }
    assert_false(facts_unknown()->plain);
    facts_table_free(t);
}

static void
statements_about_a_whole_transaction_have_a_tag(void **state)
{
    static const char *const tags[][2] = {
        { "BEGIN READ ONLY", "BEGIN" },
        { "/* a */ start transaction", "START TRANSACTION" },
        { "END", "COMMIT" },
        { "commit work;", "COMMIT" },
        { "-- a\nABORT", "ROLLBACK" },
        { "SET TRANSACTION READ ONLY", "SET" },
    };
    static const char *const none[] = { "COMMIT AND CHAIN", "ROLLBACK TO a", "COMMIT PREPARED 'a'",
                                        "SAVEPOINT a",      "BEGIN; BEGIN",  "SET a = 1",
                                        "SELECT 1",         "SELEC" };
    struct facts_table *t = facts_table_new(100, 1);
    const struct facts *f;

    (void)state;
    for (size_t i = 0; i < N(tags); i++) {
        assert_string_equal((f = facts_str(t, tags[i][0]))->tag, tags[i][1]);
        facts_drop(f);
    }
    for (size_t i = 0; i < N(none); i++) {
        assert_null((f = facts_str(t, none[i]))->tag);
        facts_drop(f);
    }
    facts_table_free(t);
}

static void
show_tells_its_name_in_lower_case(void **state)
{
    static const char *const shows[][2] = { { "SHOW \"Search_Path\"", "search_path" },
                                            { "SHOW TIME ZONE", "timezone" },
                                            { "show pgweir.LSN;", "pgweir.lsn" },
                                            { "SHOW TRANSACTION ISOLATION LEVEL", "transaction_isolation" },
                                            { "SHOW ALL", "all" } };
    struct facts_table *t = facts_table_new(100, 1);

    (void)state;
    for (size_t i = 0; i < N(shows); i++) {
        const struct facts *f = facts_str(t, shows[i][0]);

        assert_int_equal(f->class, CLASS_SHOW);
        assert_true(slice_is(f->show_name, shows[i][1]));
        facts_drop(f);
    }
    facts_table_free(t);
}

static void
the_parser_runs_once_for_statements_that_differ_in_literals(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);
    const struct facts *a, *b;
    bool parsed;

    (void)state;
    a = facts_of(t, SLICE("SELECT * FROM t WHERE a = 1"), true, &parsed);
    assert_true(parsed);
    b = facts_of(t, SLICE("select *\n from T where A = 'x' -- y"), true, &parsed);
    assert_false(parsed);
    assert_ptr_equal(a, b);
    assert_int_equal(facts_table_stats(t).parses, 1);
    assert_int_equal(facts_table_stats(t).hits, 1);
    facts_drop(a);
    facts_drop(b);
    facts_table_free(t);
}

static void
effects_with_literals_are_shared_by_their_bytes_only(void **state)
{
    static const char *const different[] = { "SET a = 'b'",
                                             "SET a = 'c'",
                                             "SET  a = 'b'",
                                             "SELECT set_config('a', 'b', false)",
                                             "SELECT set_config('a', 'c', false)",
                                             "SELECT set_config('a', 'c', 't')",
                                             "LOAD 'a'",
                                             "LOAD 'b'" };
    const struct facts *held[N(different)];
    struct facts_table *t = facts_table_new(100, 1);

    (void)state;
    for (size_t i = 0; i < N(different); i++) {
        held[i] = facts_str(t, different[i]);
        assert_true(held[i]->has_literals);
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(held[i], held[k]);
    }
    for (size_t i = 0; i < N(different); i++) {
        const struct facts *again = facts_str(t, different[i]);

        assert_ptr_equal(again, held[i]);
        facts_drop(again);
        facts_drop(held[i]);
    }
    assert_int_equal(facts_table_stats(t).parses, N(different));
    facts_table_free(t);
}

static void
effects_without_literals_are_shared_by_digest(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);
    const struct facts *a = facts_str(t, "SET search_path TO a, b"),
                       *b = facts_str(t, "set search_path  to A,b");
    const struct facts *c = facts_str(t, "INSERT INTO t VALUES ('x'); SELECT pg_advisory_lock(1)");

    (void)state;
    assert_ptr_equal(a, b);
    assert_false(a->has_literals);
    assert_false(c->has_literals);
    facts_drop(a);
    facts_drop(b);
    facts_drop(c);
    facts_table_free(t);
}

/* U&'\zz' is no string: that must not make its neighbours unknown. */
static void
a_literal_that_does_not_parse_spoils_nothing(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);
    const struct facts *f = facts_str(t, "SELECT pg_advisory_lock(U&'\\zz')");
    bool parsed;

    (void)state;
    assert_int_equal(f->class, CLASS_UNKNOWN);
    facts_drop(f);
    f = facts_str(t, "SELECT pg_advisory_lock('1')");
    assert_true(f->analysed);
    assert_int_equal(f->n_effects, 1);
    facts_drop(f);
    f = facts_of(t, SLICE("SELECT pg_advisory_lock(("), true, &parsed);
    assert_true(parsed && !f->analysed);
    facts_drop(f);
    f = facts_of(t, SLICE("SELECT pg_advisory_lock(("), true, &parsed);
    assert_false(parsed || f->analysed);
    facts_drop(f);
    assert_int_equal(facts_table_stats(t).failed, 2);
    facts_table_free(t);
}

static void
what_may_not_be_parsed_is_unknown_and_is_not_kept(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);
    bool parsed;
    const struct facts *f = facts_of(t, SLICE("BEGIN"), false, &parsed);

    (void)state;
    assert_false(parsed || f->analysed);
    assert_int_equal(f->class, CLASS_UNKNOWN);
    facts_drop(f);
    f = facts_of(t, SLICE("BEGIN"), true, &parsed);
    assert_true(parsed && f->analysed);
    facts_drop(f);
    f = facts_of(t, SLICE("BEGIN"), false, &parsed);
    assert_true(!parsed && f->analysed);
    facts_drop(f);
    assert_int_equal(facts_table_stats(t).refused, 1);
    facts_table_free(t);
}

static void
the_least_recently_used_goes_first(void **state)
{
    struct facts_table *t = facts_table_new(16, 1);
    char sql[32];
    bool parsed;

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        snprintf(sql, sizeof(sql), "SELECT a%u", i);
        facts_drop(facts_of(t, slice_str(sql), true, &parsed));
        assert_true(parsed);
        facts_drop(facts_of(t, SLICE("SELECT a0"), true, &parsed));
        assert_false(parsed);
        assert_true(facts_table_stats(t).entries <= 16);
    }
    facts_drop(facts_of(t, SLICE("SELECT a63"), true, &parsed));
    assert_false(parsed);
    facts_drop(facts_of(t, SLICE("SELECT a1"), true, &parsed));
    assert_true(parsed);
    facts_table_free(t);
}

static void
the_table_is_bounded_in_bytes(void **state)
{
    struct facts_table *t = facts_table_new(16, 1);
    struct text sql = { 0 };

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        text_clear(&sql);
        text_printf(&sql, "SET a.b%u = '%*s'", i, (int)(i * 20), "");
        facts_drop(facts_of(t, text_slice(&sql), true, NULL));
        assert_true(facts_table_stats(t).bytes <= 16 * 2048);
    }
    assert_true(facts_table_stats(t).entries > 0);
    text_done(&sql);
    facts_table_free(t);
}

static void
facts_may_outlive_their_table(void **state)
{
    struct facts_table *t = facts_table_new(16, 1);
    const struct facts *a = facts_str(t, "SET a.b = 'c'"), *b = facts_hold(a);
    const struct facts *unknown = facts_hold(facts_str(t, "'"));

    (void)state;
    facts_table_free(t);
    facts_drop(a);
    assert_true(slice_is(b->effects[0].replay, "SET a.b = 'c'"));
    facts_drop(b);
    facts_drop(unknown);
    facts_drop(unknown);
    facts_drop(NULL);
    facts_table_free(NULL);
}

static void
strings_are_read_within_their_bytes_at_every_cut(void **state)
{
    const struct slice whole =
        SLICE("SET a.b = E'c\\'d'; SELECT set_config('x', 'y', false), \"q\"; LISTEN z -- e");
    struct facts_table *t = facts_table_new(64, 1);

    (void)state;
    for (size_t len = 0; len <= whole.len; len++) {
        uint8_t *copy = mem_alloc(len);

        memcpy(copy, whole.data, len);
        facts_drop(facts_of(t, slice_of(copy, len), true, NULL));
        mem_free(copy);
    }
    facts_drop(facts_of(t, slice_of(NULL, 0), true, NULL));
    facts_table_free(t);
}

static const struct shape {
    const char *name, *before, *opening, *middle, *closing, *after;
} shapes[] = {
#define SHAPE(name, before, opening, middle, closing, after) { #name, before, opening, middle, closing, after },
#include "shapes.def"
#undef SHAPE
};

static void
build(struct text *t, const struct shape *s, unsigned n)
{
    text_clear(t);
    text_add_str(t, s->before);
    for (unsigned i = 0; i < n; i++)
        text_add_str(t, s->opening);
    text_add_str(t, s->middle);
    for (unsigned i = 0; i < n; i++)
        text_add_str(t, s->closing);
    text_add_str(t, s->after);
}

static bool
is_safe(struct text *t, const struct shape *s, unsigned n)
{
    struct digest d;

    if (n * (strlen(s->opening) + strlen(s->closing)) > DIGEST_MAX_LEN)
        return false;
    build(t, s, n);
    digest_of(text_slice(t), 1, &d);
    return d.safe;
}

/* The deepest of shape S that the digest lets through goes into T; returns how often it is nested. */
static unsigned
build_deepest(struct text *t, const struct shape *s)
{
    unsigned low = 0, high = DIGEST_MAX_LEN;

    while (high - low > 1) {
        unsigned n = (low + high) / 2;

        *(is_safe(t, s, n) ? &low : &high) = n;
    }
    build(t, s, low);
    return low;
}

static void *
run_shapes(void *arg)
{
    struct facts_table *table = facts_table_new(256, 1);
    struct text t = { 0 };
    size_t *n_bad = arg;

    for (size_t i = 0; i < N(shapes); i++) {
        unsigned n = build_deepest(&t, &shapes[i]);
        const struct facts *f = facts_of(table, text_slice(&t), true, NULL);

        if (n < 40 || !f->analysed || is_safe(&t, &shapes[i], n + 1)) {
            print_error("shape %s, nested %u times\n", shapes[i].name, n);
            ++*n_bad;
        }
        facts_drop(f);
    }
    text_done(&t);
    facts_table_free(table);
    return NULL;
}

static void
run_in_thread(size_t stack, void *(*run)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstacksize(&attr, stack), 0);
    assert_int_equal(pthread_create(&thread, &attr, run, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attr);
}

/* Production gives its workers 64 MB; the deepest shapes need 2 MB, and have room in 16. */
static void
the_deepest_safe_statements_are_parsed_on_a_worker_stack(void **state)
{
    size_t n_bad = 0;

    (void)state;
    run_in_thread(64u << 20, run_shapes, &n_bad);
    run_in_thread(16u << 20, run_shapes, &n_bad);
    assert_int_equal(n_bad, 0);
    assert_true(N(shapes) >= 27);
}

static void *
run_many(void *arg)
{
    struct facts_table *t = facts_table_new(16, 1);
    char sql[64];

    for (unsigned i = 0; i < 500; i++) {
        snprintf(sql, sizeof(sql), i % 3 == 0 ? "SELECT (a%u" : "SET a.b = 'c%u'", i);
        facts_drop(facts_of(t, slice_str(sql), true, NULL));
    }
    facts_table_free(t);
    return arg;
}

/* The leak checker sees what a thread's end forgets. */
static void
threads_that_parsed_may_come_and_go(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        run_in_thread(64u << 20, run_many, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_have_the_class_of_the_table),
        cmocka_unit_test(what_commits_on_its_way_is_known),
        cmocka_unit_test(what_a_session_must_look_at_is_not_plain),
        cmocka_unit_test(statements_about_a_whole_transaction_have_a_tag),
        cmocka_unit_test(show_tells_its_name_in_lower_case),
        cmocka_unit_test(the_parser_runs_once_for_statements_that_differ_in_literals),
        cmocka_unit_test(effects_with_literals_are_shared_by_their_bytes_only),
        cmocka_unit_test(effects_without_literals_are_shared_by_digest),
        cmocka_unit_test(a_literal_that_does_not_parse_spoils_nothing),
        cmocka_unit_test(what_may_not_be_parsed_is_unknown_and_is_not_kept),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(the_table_is_bounded_in_bytes),
        cmocka_unit_test(facts_may_outlive_their_table),
        cmocka_unit_test(strings_are_read_within_their_bytes_at_every_cut),
        cmocka_unit_test(the_deepest_safe_statements_are_parsed_on_a_worker_stack),
        cmocka_unit_test(threads_that_parsed_may_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
