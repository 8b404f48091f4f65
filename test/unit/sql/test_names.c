/* SPDX-License-Identifier: ISC */
/* Which functions and relations a string names, and what it says of transactions. */
#include <stdio.h>

#include "base/text.h"
#include "base/unit.h"
#include "sql/facts.h"

/* NAMES: functions, a semicolon, relations, each with its schema when it has one, in the order of the text. */
static const struct {
    const char *sql, *names;
} rows[] = {
    { "SELECT 1", ";" },
    { "SELECT now(), pg_catalog.now(), A.B(1), \"X y\"(), now()", "now pg_catalog.now a.b X y;" },
    { "SELECT * FROM t, S.T, \"T\", a.b.c", ";t s.t T b.c" },
    { "SELECT 1 + 2 * 3 = 4 AND 1 < 2", "* +;" },
    { "SELECT a OPERATOR(x.=) b, a OPERATOR(pg_catalog.+) c, -d, e OPERATOR(x.#) f", "x.# -;" },
    { "SELECT a::int, b::thing, CAST(c AS s.thing[]), d::text", "thing s.thing text;" },
    { "SELECT a BETWEEN 1 AND 2, a NOT BETWEEN SYMMETRIC 1 AND 2, a IN (1), a LIKE 'x'", "~~;" },
    { "SELECT * FROM t TABLESAMPLE m (1) ORDER BY a USING ~~~", "m ~~~;t" },
    { "SELECT a ## ANY (SELECT 1)", "##;" },
    { "SELECT extract(year FROM a), trim(b)", "pg_catalog.extract pg_catalog.btrim;" },
    { "WITH x AS (SELECT f()) SELECT * FROM x, y", "f;y" },
    { "WITH x AS (TABLE a), y AS (TABLE x) SELECT * FROM x JOIN y ON true UNION TABLE x", ";a" },
    { "WITH x AS (TABLE x) TABLE x", ";x" },
    { "WITH x AS (TABLE y), y AS (SELECT 1) TABLE y", ";y" },
    { "WITH RECURSIVE x AS (TABLE y), y AS (TABLE x) TABLE y", ";" },
    { "WITH x AS (SELECT 1) TABLE public.x", ";public.x" },
    { "SELECT * FROM (WITH x AS (SELECT 1) TABLE x) a, x", ";x" },
    { "SELECT * FROM x, (WITH x AS (SELECT 1) TABLE x) a", ";x" },
    { "WITH x AS (SELECT 1) SELECT (WITH y AS (TABLE x) SELECT a FROM y, x, z)", ";z" },
    { "WITH x AS (WITH y AS (SELECT 1) TABLE y) SELECT * FROM x, y", ";y" },
    { "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x, y", ";t y" },
    { "WITH x AS (SELECT 1) DELETE FROM t USING x, y", ";t y" },
    { "WITH x AS (SELECT 1) UPDATE t SET a = 1 FROM x, y", ";t y" },
    { "WITH x AS (SELECT 1) MERGE INTO t USING x ON true WHEN MATCHED THEN DELETE", ";t" },
    { "TABLE a; WITH a AS (SELECT 1) TABLE a; TABLE b", ";a b" },
    { "COPY s.t TO STDOUT", ";s.t" },
    { "EXPLAIN DELETE FROM t", ";t" },
    { "SELECT * FROM U&\"d\\0061t\"", ";dat" },
    { "SELEC x()", ";" },
};

static void
add_names(struct text *out, const struct facts_name *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            text_add_char(out, ' ');
        text_add(out, names[i].schema);
        if (names[i].schema.len > 0)
            text_add_char(out, '.');
        text_add(out, names[i].name);
    }
}

/* Words come in no particular order: two texts are the same when each word of one is in the other. */
static bool
same_words(const char *a, const char *b)
{
    size_t len = strlen(a);
    bool all = len == strlen(b);

    for (const char *p = a; all && *p != '\0'; p += *p == ' ') {
        char word[64];
        size_t n = strcspn(p, " ");

        snprintf(word, sizeof(word), "%.*s", (int)n, p);
        all = strstr(b, word) != NULL;
        p += n;
    }
    return all;
}

static void
names_are_those_of_the_text_without_ctes_in_scope(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);
    struct text functions = { 0 }, relations = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice sql = exact(slice_str(rows[i].sql));
        const struct facts *f = facts_of(t, sql, true, NULL);
        char want[128];

        snprintf(want, sizeof(want), "%s", rows[i].names);
        *strchr(want, ';') = '\0';
        text_clear(&functions);
        text_clear(&relations);
        add_names(&functions, f->functions, f->n_functions);
        add_names(&relations, f->relations, f->n_relations);
        if (!same_words(want, text_str(&functions)) ||
            !same_words(strchr(rows[i].names, ';') + 1, text_str(&relations)))
            fail_msg("%s: %s; %s", rows[i].sql, text_str(&functions), text_str(&relations));
        facts_drop(f);
        exact_free(sql);
    }
    text_done(&functions);
    text_done(&relations);
    facts_table_free(t);
}

/* Long identifiers are cut as PostgreSQL cuts them: 63 bytes. */
static void
names_are_cut_as_postgresql_cuts_them(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);
    struct text sql = { 0 };
    const struct facts *f;

    (void)state;
    text_printf(&sql, "SELECT * FROM a%0*d", 99, 0);
    f = facts_of(t, text_slice(&sql), true, NULL);
    assert_int_equal(f->relations[0].name.len, 63);
    facts_drop(f);
    text_done(&sql);
    facts_table_free(t);
}

static void
more_names_than_there_is_room_for_are_no_read(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);
    struct text sql = { 0 };

    (void)state;
    for (unsigned n = FACTS_MAX_NAMES - 1; n < FACTS_MAX_NAMES + 3; n++) {
        for (unsigned kind = 0; kind < 2; kind++) {
            const struct facts *f;

            text_clear(&sql);
            text_add_str(&sql, kind == 0 ? "SELECT f()" : "SELECT 1 FROM f");
            for (unsigned i = 1; i < n; i++)
                text_printf(&sql, kind == 0 ? ", f%u()" : ", f%u", i);
            f = facts_of(t, text_slice(&sql), true, NULL);
            assert_int_equal(f->names_complete, n <= FACTS_MAX_NAMES);
            assert_int_equal(f->reads_by_grammar, n <= FACTS_MAX_NAMES);
            facts_drop(f);
        }
    }
    text_done(&sql);
    facts_table_free(t);
}

static bool
may_have(struct facts_table *t, const char *sql, const char *field)
{
    const struct facts *f = facts_of(t, slice_str(sql), true, NULL);
    bool may = facts_may_have_field(f, facts_field_mark(slice_str(field)));

    facts_drop(f);
    return may;
}

static void
every_name_behind_a_dot_is_found_and_few_others(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);
    unsigned n_wrong = 0;
    char name[16];

    (void)state;
    assert_true(may_have(t, "SELECT t.a, (t).b, ((SELECT t)).c[1].d, s.t.e, t.*", "a"));
    assert_true(may_have(t, "SELECT t.a, (t).b, ((SELECT t)).c[1].d, s.t.e, t.*", "b"));
    assert_true(may_have(t, "SELECT t.a, (t).b, ((SELECT t)).c[1].d, s.t.e, t.*", "c"));
    assert_true(may_have(t, "SELECT t.a, (t).b, ((SELECT t)).c[1].d, s.t.e, t.*", "d"));
    assert_true(may_have(t, "SELECT t.a, (t).b, ((SELECT t)).c[1].d, s.t.e, t.*", "e"));
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        assert_false(may_have(t, "SELECT a, f1, f2, f3(f4) FROM f5", name));
        n_wrong += may_have(t, "SELECT t.a, t.b, t.c, t.d, t.e, t.g, t.h FROM f5", name);
    }
    assert_true(n_wrong < 30);
    facts_table_free(t);
}

static const struct {
    const char *sql;
    enum begin_mode begin, transaction, session;
    bool serializable;
} modes[] = {
#define DEFAULT BEGIN_DEFAULT
#define ONLY    BEGIN_READ_ONLY
#define WRITE   BEGIN_READ_WRITE
    { "BEGIN", DEFAULT, DEFAULT, DEFAULT, false },
    { "BEGIN READ ONLY", ONLY, DEFAULT, DEFAULT, false },
    { "BEGIN READ WRITE", WRITE, DEFAULT, DEFAULT, false },
    { "START TRANSACTION READ ONLY, READ WRITE", WRITE, DEFAULT, DEFAULT, false },
    { "BEGIN ISOLATION LEVEL SERIALIZABLE", DEFAULT, DEFAULT, DEFAULT, true },
    { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ONLY, DEFAULT, DEFAULT, false },
    { "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE", ONLY, DEFAULT, DEFAULT, true },
    { "SET TRANSACTION READ ONLY", DEFAULT, ONLY, DEFAULT, false },
    { "SET LOCAL TRANSACTION READ WRITE", DEFAULT, WRITE, DEFAULT, false },
    { "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", DEFAULT, DEFAULT, DEFAULT, true },
    { "SET transaction_read_only = on", DEFAULT, ONLY, DEFAULT, false },
    { "SET transaction_read_only TO false", DEFAULT, WRITE, DEFAULT, false },
    { "SET LOCAL transaction_read_only = 1", DEFAULT, ONLY, DEFAULT, false },
    { "SET LOCAL transaction_read_only = 0", DEFAULT, WRITE, DEFAULT, false },
    { "SET transaction_isolation = 'serializable'", DEFAULT, DEFAULT, DEFAULT, true },
    { "SET transaction_isolation = 'read committed'", DEFAULT, DEFAULT, DEFAULT, false },
    { "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", DEFAULT, DEFAULT, ONLY, false },
    { "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", DEFAULT, DEFAULT, DEFAULT,
      false },
    { "SET default_transaction_read_only = 'yes'", DEFAULT, DEFAULT, ONLY, false },
    { "SET default_transaction_read_only = 'no'", DEFAULT, DEFAULT, WRITE, false },
    { "SET work_mem = 1", DEFAULT, DEFAULT, DEFAULT, false },
    { "BEGIN; SET TRANSACTION READ ONLY; SELECT 1", DEFAULT, ONLY, DEFAULT, false },
    { "SELECT 1", DEFAULT, DEFAULT, DEFAULT, false },
#undef DEFAULT
#undef ONLY
#undef WRITE
};

static void
modes_are_those_of_the_table(void **state)
{
    struct facts_table *t = facts_table_new(100, 1);

    (void)state;
    for (size_t i = 0; i < COUNT(modes); i++) {
        const struct facts *f = facts_of(t, slice_str(modes[i].sql), true, NULL);

        if (f->begin != modes[i].begin || f->set_transaction != modes[i].transaction ||
            f->set_session != modes[i].session || f->serializable != modes[i].serializable)
            fail_msg("%s: %d %d %d %d", modes[i].sql, (int)f->begin, (int)f->set_transaction,
                     (int)f->set_session, f->serializable);
        facts_drop(f);
    }
    facts_table_free(t);
}

static void
harmless_names_are_found_whole_only(void **state)
{
    (void)state;
    assert_true(facts_is_harmless(SLICE("lower")));
    assert_true(facts_is_harmless(SLICE("abbrev")));
    assert_false(facts_is_harmless(SLICE("lowe")));
    assert_false(facts_is_harmless(SLICE("lower_")));
    assert_false(facts_is_harmless(SLICE("")));
    assert_false(facts_is_harmless(SLICE("nextval")));
    assert_false(facts_is_harmless(SLICE("zzzz")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_text_without_ctes_in_scope),
        cmocka_unit_test(names_are_cut_as_postgresql_cuts_them),
        cmocka_unit_test(more_names_than_there_is_room_for_are_no_read),
        cmocka_unit_test(every_name_behind_a_dot_is_found_and_few_others),
        cmocka_unit_test(modes_are_those_of_the_table),
        cmocka_unit_test(harmless_names_are_found_whole_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
