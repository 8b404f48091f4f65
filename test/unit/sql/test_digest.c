/* SPDX-License-Identifier: ISC */
/* What digest_of() takes as the same statement, and what it says about its shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sql/digest.h"

#define SEED 42
#define N(a) (sizeof(a) / sizeof((a)[0]))

/* On the heap without a byte to spare, so that a sanitizer sees each read too far. */
static struct digest
digest_at_edge(struct slice sql)
{
    struct digest d;
    uint8_t *copy = mem_alloc(sql.len);

    if (sql.len > 0)
        memcpy(copy, sql.data, sql.len);
    digest_of(slice_of(copy, sql.len), SEED, &d);
    mem_free(copy);
    return d;
}

static struct digest
digest_str(const char *sql)
{
    return digest_at_edge(slice_str(sql));
}

static bool
same(const char *a, const char *b)
{
    struct digest x = digest_str(a), y = digest_str(b);

    return memcmp(x.hash, y.hash, sizeof(x.hash)) == 0;
}

static const char *const alike[][2] = {
    { "SELECT 1", "select 2" },
    { "SELECT 1", "  SELECT\t\r\n\f1  " },
    { "SELECT 1", "SELECT 'a'" },
    { "SELECT 1", "SELECT 1.5e-10" },
    { "SELECT 1", "SELECT .5" },
    { "SELECT 1", "SELECT 1." },
    { "SELECT 1", "SELECT E'a\\'b'" },
    { "SELECT 1", "SELECT e'\\\\'" },
    { "SELECT 1", "SELECT $$it's$$" },
    { "SELECT 1", "SELECT $a$ $$ $b$ $a$" },
    { "SELECT 1", "SELECT $a$ $a $aa$a$" },
    { "SELECT 1", "SELECT $\xc3\xa4$'$\xc3\xa4$" },
    { "SELECT 1", "SELECT U&'d\\0061t'" },
    { "SELECT 1", "SELECT B'101'" },
    { "SELECT 1", "SELECT x'1F'" },
    { "SELECT 1", "SELECT 'it''s'" },
    { "SELECT 1", "SELECT 'a' -- more\n  'b'" },
    { "SELECT 1", "SELECT E'a'\n'b\\'c'" },
    { "SELECT 1", "SELECT 'a\\b'" },
    { "SELECT 1", "SELECT 'a\\\\'" },
    { "SELECT 1", "SELECT/* a /* b */ ' */1" },
    { "SELECT 1", "SELECT --' \n1" },
    { "SELECT 1", "-- a\rSELECT 1--" },
    { "SELECT a+1", "SELECT a+/**/2" },
    { "SELECT a+1", "SELECT a+--\n2" },
    { "SELECT N'a'", "SELECT n 'b'" },
    { "SELECT ABC", "SELECT abc" },
    { "SELECT a->>'b'", "SELECT A->>'c'" },
    { "SELECT a::int", "SELECT A::INT" },
    { "SELECT U&\"a\" UESCAPE '!'", "select U&\"a\" uescape  '!'" },
};

static const char *const unlike[][2] = {
    { "SELECT a", "SELECT b" },
    { "SELECT a", "SELECT \"a\"" },
    { "SELECT \"A\"", "SELECT \"a\"" },
    { "SELECT \"a b\"", "SELECT \"a  b\"" },
    { "SELECT ab", "SELECT a b" },
    { "SELECT $1", "SELECT $2" },
    { "SELECT $1", "SELECT 1" },
    { "SELECT + +a", "SELECT ++a" },
    { "SELECT a: :int", "SELECT a::int" },
    { "SELECT a.b", "SELECT a b" },
    { "SELECT 1", "SELECT 1;" },
    { "SELECT 1", "SELECT -1" },
    { "SELECT 1", "SELECT \x02" },
    { "SELECT 1", "SELECT \v1" },
    { "SELECT a\x01", "SELECT a" },
    { "SELECT 'a' 'b'", "SELECT 'a'\n'b'" },
    { "SELECT 'a' /* \n */ 'b'", "SELECT 'a'\n'b'" },
    { "SELECT U&\"a!0061\" UESCAPE '!'", "SELECT U&\"a!0061\" UESCAPE '?'" },
    { "SELECT U&\"a\"", "SELECT \"a\"" },
    /* With standard_conforming_strings off the first of each is another statement than the second. */
    { "SELECT 'a\\', ' , b --'", "SELECT 'a\\', ' , c --'" },
    { "SELECT '\\'' , b --'", "SELECT '\\'' , c --'" },
    { "SELECT 'a\\'", "SELECT 'b\\'" },
};

static void
statements_that_differ_in_blanks_and_literals_are_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(alike); i++)
        if (!same(alike[i][0], alike[i][1]))
            fail_msg("not alike: %s | %s", alike[i][0], alike[i][1]);
}

static void
statements_that_mean_different_things_are_not_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(unlike); i++)
        if (same(unlike[i][0], unlike[i][1]))
            fail_msg("alike: %s | %s", unlike[i][0], unlike[i][1]);
}

static void
the_seed_changes_the_hash(void **state)
{
    struct digest a, b;

    (void)state;
    digest_of(SLICE("SELECT 1"), 1, &a);
    digest_of(SLICE("SELECT 1"), 2, &b);
    assert_memory_not_equal(a.hash, b.hash, sizeof(a.hash));
}

static void
what_is_left_open_is_not_complete(void **state)
{
    static const char *const open[] = { "SELECT 'a",   "SELECT E'a\\'", "SELECT \"a",      "SELECT $$a$",
                                        "SELECT $a$b", "SELECT /*",     "SELECT /* /* */", "SELECT U&\"a",
                                        "SELECT b'1",  "SELECT E'\\",   "SELECT 'a'\n'b",  "SELECT /*/" };

    (void)state;
    for (size_t i = 0; i < N(open); i++) {
        struct digest d = digest_str(open[i]);

        if (d.complete || d.safe)
            fail_msg("complete: %s", open[i]);
    }
}

static void
a_nul_byte_is_never_safe(void **state)
{
    struct digest d = digest_at_edge(SLICE("SELECT 1 /*\0*/"));

    (void)state;
    assert_false(d.complete);
    assert_false(d.safe);
}

/* libpg_query takes what follows the comment for a string of its own, without escapes. */
static void
a_string_that_goes_on_after_a_comment_is_not_safe(void **state)
{
    (void)state;
    assert_false(digest_str("DO E'a' --\n'b\\' ; SELECT 1+1 --'").safe);
    assert_true(digest_str("DO E'a'\n'b\\' ; SELECT 1+1 --'").safe);
    assert_true(digest_str("SELECT 'a' -- 'b'").safe);
}

static void
tokens_and_literals_are_counted(void **state)
{
    struct digest d = digest_str("SELECT a.b, 'x', 1.5, $1 FROM \"t\" -- c");

    (void)state;
    assert_int_equal(d.n_tokens, 12);
    assert_int_equal(d.n_literals, 2);
    d = digest_str(" /**/ ");
    assert_int_equal(d.n_tokens, 0);
    assert_true(d.safe);
}

static unsigned
chain(const char *sql)
{
    return digest_str(sql).chain;
}

static void
a_chain_grows_with_what_nests_and_not_with_lists(void **state)
{
    (void)state;
    assert_true(chain("SELECT 1+1+1+1") > chain("SELECT 1+1"));
    assert_int_equal(chain("SELECT a+1, a+1, a+1"), chain("SELECT a+1"));
    assert_int_equal(chain("SELECT a=1 OR a=2 OR a=3"), chain("SELECT a=1 OR a=2"));
    assert_true(chain("SELECT a.or+a.or+a.or") > chain("SELECT a.or"));
    assert_true(chain("SELECT 1,2 UNION SELECT 1,2 UNION SELECT 1,2") > chain("SELECT 1,2 UNION SELECT 1,2"));
    assert_true(chain("SELECT (1+(1+(1)))") > chain("SELECT (1+1+1)"));
    assert_int_equal(chain("SELECT 1; SELECT 1"), chain("SELECT 1"));
    assert_true(chain("SELECT 1; SELECT a+b+c") >= chain("SELECT a+b+c"));
    assert_int_equal(chain("SELECT CASE WHEN a THEN b WHEN a THEN b END"),
                     chain("SELECT CASE WHEN a THEN b END"));
    assert_int_equal(digest_str("SELECT ((CASE a WHEN 1 THEN b[1] END))").depth, 4);
}

/* Long words and many of them pass the buffer's end. */
static void
long_statements_are_told_apart_to_the_last_byte(void **state)
{
    char a[5000], b[5000];

    (void)state;
    for (size_t len = 1; len < sizeof(a) - 10; len += 61) {
        memset(a, 'x', len);
        memcpy(a + len, " y", 3);
        memcpy(b, a, sizeof(a));
        assert_true(same(a, b));
        b[len - 1] = 'z';
        assert_false(same(a, b));
        b[len - 1] = 'X';
        assert_true(same(a, b));
        a[0] = b[0] = '"';
        a[len] = b[len] = '"';
        b[len - 1] = 'z';
        assert_false(same(a, b));
    }
}

static void
every_cut_is_read_within_its_bytes(void **state)
{
    static const char sql[] =
        "SELECT U&\"a\" UESCAPE '!', E'\\'x'\n'y', $a$b$a$, \"q\"\"\", 1.5e+3::int, .5, $1 "
        "/* c /* d */ */ FROM t -- e\n WHERE x->>'k' = B'1' AND y := CASE WHEN 1..2 THEN 'a\\' END;";
    struct slice whole = slice_str(sql);

    (void)state;
    for (size_t from = 0; from <= whole.len; from++)
        for (size_t to = from; to <= whole.len; to++) {
            struct digest d = digest_at_edge(slice_of(whole.data + from, to - from));

            assert_true(d.n_literals <= d.n_tokens && d.n_tokens <= to - from);
        }
    assert_true(digest_at_edge(slice_of(NULL, 0)).safe);
}

static void
what_is_too_long_or_too_deep_is_not_safe(void **state)
{
    size_t len = DIGEST_MAX_LEN + 1;
    char *sql = mem_alloc(len);
    struct digest d;

    (void)state;
    memset(sql, ' ', len);
    digest_of(slice_of(sql, DIGEST_MAX_LEN), SEED, &d);
    assert_true(d.safe);
    digest_of(slice_of(sql, len), SEED, &d);
    assert_true(d.complete);
    assert_false(d.safe);
    memset(sql, '(', len);
    digest_of(slice_of(sql, 2 * DIGEST_MAX_DEPTH), SEED, &d);
    assert_false(d.safe);
    assert_true(d.chain > DIGEST_MAX_DEPTH);
    memset(sql, '-', len);
    for (size_t i = 1; i < len; i += 2)
        sql[i] = '+';
    digest_of(slice_of(sql, DIGEST_MAX_DEPTH + 1), SEED, &d);
    assert_false(d.safe);
    mem_free(sql);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_that_differ_in_blanks_and_literals_are_alike),
        cmocka_unit_test(statements_that_mean_different_things_are_not_alike),
        cmocka_unit_test(the_seed_changes_the_hash),
        cmocka_unit_test(what_is_left_open_is_not_complete),
        cmocka_unit_test(a_nul_byte_is_never_safe),
        cmocka_unit_test(a_string_that_goes_on_after_a_comment_is_not_safe),
        cmocka_unit_test(tokens_and_literals_are_counted),
        cmocka_unit_test(a_chain_grows_with_what_nests_and_not_with_lists),
        cmocka_unit_test(long_statements_are_told_apart_to_the_last_byte),
        cmocka_unit_test(every_cut_is_read_within_its_bytes),
        cmocka_unit_test(what_is_too_long_or_too_deep_is_not_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
