/* SPDX-License-Identifier: ISC */
/* Which strings count as reads. */
#include "base/unit.h"

#include "reads_private.h"
#include "sql/facts.h"

static const char *const reads[] = {
    "SELECT 1",
    "select a, b from t where c = $1 and d like 'x%' order by 1 limit 5;",
    "VALUES (1), (2)",
    "TABLE t",
    "SHOW work_mem",
    "SHOW ALL",
    "SELECT 1; SHOW a; TABLE t",
    " ; SELECT 1 ; ",
    "SELECT count(*), sum(a) FILTER (WHERE b) OVER (PARTITION BY c) FROM t GROUP BY ROLLUP (d) HAVING max(e) > "
    "1",
    "WITH a AS (SELECT 1), b AS MATERIALIZED (TABLE t) SELECT * FROM a, b",
    "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT * FROM a",
    "SELECT (SELECT max(x) FROM u) FROM t WHERE EXISTS (SELECT FROM v) UNION SELECT random()",
    "SELECT pg_catalog.lower(a), PG_CATALOG.Upper(b), \"now\"() FROM t",
    "SELECT extract(year FROM now()), trim(both ' ' FROM a), substring(a FROM 2), position('a' IN b), "
    "overlay(a "
    "PLACING b FROM 1), a AT TIME ZONE 'UTC', normalize(a), a IS NORMALIZED, a SIMILAR TO b, cast(a AS text), "
    "(a, b) OVERLAPS (c, d), coalesce(a, b), greatest(a, b), current_date, current_user, collation for (a) "
    "FROM t",
    "SELECT * FROM generate_series(1, 10) AS g, LATERAL unnest(a) WITH ORDINALITY, jsonb_to_recordset(j) AS "
    "x(a int)",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), json_each(j)) AS r",
    "SELECT * FROM t TABLESAMPLE bernoulli (10), u TABLESAMPLE system (random()) REPEATABLE (1)",
    "SELECT clock_timestamp(), timeofday(), pg_sleep(1), pg_backend_pid(), pg_current_wal_lsn(), "
    "gen_random_uuid()",
    "SELECT pg_total_relation_size('t'), pg_get_viewdef('v'), has_table_privilege('t', 'select'), "
    "to_regclass('t')",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a), string_agg(DISTINCT a, ',' ORDER BY a) FROM t",
    "SELECT a <@> b, a OPERATOR(public.+) b, a::public.thing FROM t",
    "EXPLAIN SELECT 1",
    "EXPLAIN (COSTS OFF, FORMAT json) DELETE FROM t WHERE a = lower(b)",
    "EXPLAIN WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
    "EXPLAIN SELECT * FROM t FOR UPDATE",
    "EXPLAIN CREATE TABLE a AS SELECT 1",
    "EXPLAIN ANALYZE SELECT now() FROM t",
    "EXPLAIN (ANALYZE, BUFFERS) VALUES (1)",
};

static const char *const others[] = {
    "",
    ";",
    "SELEC 1",
    "INSERT INTO t VALUES (1)",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE",
    "TRUNCATE t",
    "CALL p()",
    "DO 'BEGIN END'",
    "COPY t TO STDOUT",
    "COPY (SELECT 1) TO STDOUT",
    "COPY t FROM STDIN",
    "BEGIN",
    "COMMIT",
    "SET a = 1",
    "RESET a",
    "LISTEN a",
    "NOTIFY a",
    "LOCK t",
    "VACUUM",
    "EXECUTE a",
    "PREPARE a AS SELECT 1",
    "DECLARE c CURSOR FOR SELECT 1",
    "FETCH c",
    "CREATE TABLE t (a int)",
    "CREATE TABLE t AS SELECT 1",
    "REFRESH MATERIALIZED VIEW v",
    "SELECT * INTO u FROM t",
    "SELECT * INTO TEMP u FROM t",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED",
    "SELECT * FROM t FOR SHARE",
    "SELECT * FROM t FOR KEY SHARE OF t NOWAIT",
    "SELECT * FROM (SELECT * FROM t FOR UPDATE) AS s",
    "SELECT 1 WHERE EXISTS (SELECT FROM t FOR SHARE)",
    "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
    "WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT 1",
    "WITH a AS (UPDATE t SET a = 1) SELECT 1",
    "SELECT (WITH a AS (SELECT 1) SELECT * FROM a) FROM (WITH b AS (DELETE FROM t RETURNING 1) TABLE b) AS s",
    "WITH a AS (SELECT 1) DELETE FROM t",
    "SELECT nextval('s')",
    "SELECT pg_catalog.nextval('s')",
    "SELECT setval('s', 1)",
    "SELECT currval('s')",
    "SELECT lastval()",
    "SELECT setseed(0.5)",
    "SELECT mine()",
    "SELECT public.lower('A')",
    "SELECT a.pg_temp.lower('A')",
    "SELECT \"LOWER\"('A')",
    "SELECT lower(mine('A'))",
    "SELECT coalesce(a, case when b then mine() end) FROM t",
    "SELECT 1 FROM t ORDER BY mine(a)",
    "SELECT 1 LIMIT mine()",
    "SELECT sum(a) FILTER (WHERE mine(b)) FROM t",
    "SELECT sum(a) OVER (ORDER BY mine(b)) FROM t",
    "SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY mine(b))",
    "SELECT * FROM t, mine(t.a)",
    "SELECT * FROM t JOIN u ON mine(t.a)",
    "SELECT * FROM t TABLESAMPLE mine (10)",
    "SELECT * FROM t TABLESAMPLE public.system (10)",
    "SELECT * FROM t TABLESAMPLE system (mine())",
    "SELECT a[mine()] FROM t",
    "VALUES (mine())",
    "SELECT 1 UNION SELECT mine()",
    "SELECT set_config('a', 'b', true)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_xact_lock_shared(1)",
    "SELECT pg_advisory_unlock_all()",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_switch_wal()",
    "SELECT pg_stat_reset()",
    "SELECT pg_export_snapshot()",
    "SELECT pg_logical_emit_message(true, 'a', 'b')",
    "SELECT txid_current()",
    "SELECT pg_current_xact_id()",
    "SELECT lo_get(1)",
    "SELECT lo_create(0)",
    "SELECT lowrite(0, 'a')",
    "SELECT query_to_xml('DELETE FROM t', true, true, '')",
    "SELECT table_to_xml('t', true, true, '')",
    "SELECT ts_stat('SELECT 1')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT 1')",
    "SELECT * FROM dblink('a', 'DELETE FROM t') AS t(a int)",
    "SELECT log('a')",
    "EXPLAIN ANALYZE DELETE FROM t",
    "EXPLAIN (ANALYZE) WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
    "EXPLAIN ANALYZE SELECT * FROM t FOR UPDATE",
    "EXPLAIN ANALYZE SELECT mine()",
    "EXPLAIN ANALYZE CREATE TABLE a AS SELECT 1",
    "EXPLAIN ANALYZE EXECUTE a",
    "EXPLAIN (ANALYZE false) DELETE FROM t", /* not worth a closer look */
    "EXPLAIN SELECT mine()",
    "SELECT 1; DELETE FROM t",
    "DELETE FROM t; SELECT 1",
    "SELECT 1; SELECT nextval('s'); SELECT 1",
    "BEGIN; SELECT 1; COMMIT",
};

static bool
is_read(struct facts_table *t, const char *sql)
{
    struct slice copy = exact(slice_str(sql));
    const struct facts *f = facts_of(t, copy, true, NULL);
    bool read = f->reads_only;

    facts_drop(f);
    exact_free(copy);
    return read;
}

static void
reads_are_reads_and_nothing_else_is(void **state)
{
    struct facts_table *t = facts_table_new(1000, 3);

    (void)state;
    for (size_t i = 0; i < COUNT(reads); i++)
        if (!is_read(t, reads[i]))
            fail_msg("is a read: %s", reads[i]);
    for (size_t i = 0; i < COUNT(others); i++)
        if (is_read(t, others[i]))
            fail_msg("is not known to be a read: %s", others[i]);
    facts_table_free(t);
}

/* The second time from the table, with another literal. */
static void
what_is_kept_says_the_same(void **state)
{
    struct facts_table *t = facts_table_new(1000, 3);

    (void)state;
    assert_true(is_read(t, "SELECT lower('a') FROM t WHERE b = 1"));
    assert_true(is_read(t, "SELECT lower('b') FROM t WHERE b = 2"));
    assert_false(is_read(t, "SELECT mine('a') FROM t WHERE b = 1"));
    assert_false(is_read(t, "SELECT mine('b') FROM t WHERE b = 2"));
    assert_int_equal(facts_table_stats(t).parses, 2);
    facts_table_free(t);
}

static void
what_was_not_parsed_is_not_a_read(void **state)
{
    struct facts_table *t = facts_table_new(1000, 3);
    const struct facts *f = facts_of(t, SLICE("SELECT 1"), false, NULL);

    (void)state;
    assert_false(f->analysed || f->reads_only);
    facts_drop(f);
    facts_table_free(t);
}

/* "SELECT mine" without its parenthesis reads a column; with it, half or whole, the string is no read. */
static void
a_string_cut_anywhere_is_a_read_only_when_it_parses(void **state)
{
    static const char sql[] = "WITH a AS (SELECT lower(b) FROM t) SELECT * FROM a; SELECT mine(c) FROM t";
    struct facts_table *t = facts_table_new(1000, 3);

    (void)state;
    for (size_t n = 0; n < sizeof(sql); n++) {
        struct slice cut = exact(slice_of(sql, n));
        const struct facts *f = facts_of(t, cut, true, NULL);

        assert_true(f->analysed || !f->reads_only);
        assert_false(f->reads_only &&
                     n > strlen("WITH a AS (SELECT lower(b) FROM t) SELECT * FROM a; SELECT mine("));
        facts_drop(f);
        exact_free(cut);
    }
    facts_table_free(t);
}

/* Whatever they call. */
static const char *const by_grammar[] = {
    "SELECT mine(), nextval('s')",
    "SELECT * FROM dblink('a', 'DELETE FROM t') AS t(a int)",
    "COPY t TO STDOUT",
    "COPY (SELECT mine()) TO STDOUT WITH (FORMAT csv)",
    "EXPLAIN ANALYZE SELECT mine()",
    "EXPLAIN SELECT mine()",
    "EXPLAIN MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE",
    "SELECT 1; COPY t TO STDOUT; SHOW a",
};

static const char *const not_by_grammar[] = {
    "COPY t FROM STDIN",
    "COPY t TO '/tmp/x'",
    "COPY t TO PROGRAM 'x'",
    "COPY (DELETE FROM t RETURNING *) TO STDOUT",
    "COPY (SELECT * FROM t FOR UPDATE) TO STDOUT",
    "COPY (SELECT * FROM (WITH a AS (DELETE FROM t RETURNING *) TABLE a) b) TO STDOUT",
    "EXPLAIN ANALYZE SELECT * FROM t FOR SHARE",
    "EXPLAIN EXECUTE a",
    "EXPLAIN CREATE TABLE a AS SELECT 1",
    "SELECT mine() INTO t",
    "SELECT 1; SELECT 1 FOR UPDATE",
    "DECLARE c CURSOR FOR SELECT 1",
    "FETCH c",
    "CLOSE c",
    "CALL mine()",
    "DO ''",
    "SET a = 1",
    "BEGIN",
    "",
    "SELEC 1",
};

static bool
reads_by_its_grammar(struct facts_table *t, const char *sql)
{
    const struct facts *f = facts_of(t, slice_str(sql), true, NULL);
    bool read = f->reads_by_grammar;

    facts_drop(f);
    return read;
}

static void
grammar_alone_decides_whatever_is_called(void **state)
{
    struct facts_table *t = facts_table_new(1000, 3);

    (void)state;
    for (size_t i = 0; i < COUNT(by_grammar); i++)
        if (!reads_by_its_grammar(t, by_grammar[i]))
            fail_msg("is a read: %s", by_grammar[i]);
    for (size_t i = 0; i < COUNT(not_by_grammar); i++)
        if (reads_by_its_grammar(t, not_by_grammar[i]))
            fail_msg("is no read: %s", not_by_grammar[i]);
    for (size_t i = 0; i < COUNT(reads); i++)
        if (!reads_by_its_grammar(t, reads[i]) && strncmp(reads[i], "EXPLAIN CREATE", 14) != 0)
            fail_msg("what only reads is a read: %s", reads[i]);
    facts_table_free(t);
}

static const char *const harmless[] = {
#define HARMLESS(name) #name,
#define VOLATILE(name) #name,
#include "harmless.def"
#undef HARMLESS
#undef VOLATILE
};

static void
harmless_functions_are_in_order_and_leave_no_state(void **state)
{
    static const char *const stateful[] = {
#define FUNCTION(name, home, pin) #name,
#define UNPINS(name, home, pin)   #name,
#include "functions.def"
#undef FUNCTION
#undef UNPINS
    };

    (void)state;
    for (size_t i = 1; i < COUNT(harmless); i++)
        if (strcmp(harmless[i - 1], harmless[i]) >= 0)
            fail_msg("%s stands before %s", harmless[i - 1], harmless[i]);
    for (size_t i = 0; i < COUNT(harmless); i++)
        for (size_t j = 0; j < COUNT(stateful); j++)
            assert_string_not_equal(harmless[i], stateful[j]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_are_reads_and_nothing_else_is),
        cmocka_unit_test(what_is_kept_says_the_same),
        cmocka_unit_test(what_was_not_parsed_is_not_a_read),
        cmocka_unit_test(a_string_cut_anywhere_is_a_read_only_when_it_parses),
        cmocka_unit_test(grammar_alone_decides_whatever_is_called),
        cmocka_unit_test(harmless_functions_are_in_order_and_leave_no_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
