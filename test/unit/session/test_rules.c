/* SPDX-License-Identifier: ISC */
/* Which rule a statement matches, and what it may change. */
#include "base/unit.h"

#include "base/mem.h"
#include "session/rules.h"

#define PLACES                                                                          \
    "[nodes]\npg1 = cluster=m host=h\npg2 = cluster=m host=i\nfar = cluster=o host=j\n" \
    "[databases]\napp = cluster=m\nother = cluster=o\none = host=h\n[rules]\n"

struct scene {
    struct facts_table *facts;
    struct conf *conf;
    struct rules *rules;
    struct rule_set mine;
};

static struct conf *
read_rules(const char *text)
{
    char *all = mem_printf("%s%s", PLACES, text);
    struct fault why = { .message = "" };
    struct conf *c = conf_parse(slice_str(all), "t.ini", &why);

    if (c == NULL)
        fail_msg("refused: %s", why.message);
    mem_free(all);
    return c;
}

static void
be(struct scene *s, const char *user, const char *database, const char *application)
{
    struct rule_who who = { slice_str(user), slice_str(database), slice_str(application) };

    rules_of_session(s->rules, &who, &s->mine);
}

/* Rules of TEXT, and a session of user u in database app. */
static void
begin(struct scene *s, const char *text)
{
    s->conf = read_rules(text);
    s->facts = facts_table_new(4096, 77);
    s->rules = rules_new(s->conf, NULL, 5);
    be(s, "u", "app", "");
}

static void
end(struct scene *s)
{
    rules_free(s->rules);
    conf_drop(s->conf);
    facts_table_free(s->facts);
}

/* The name of the rule that SQL matches, or "". */
static const char *
match_len(struct scene *s, struct slice sql)
{
    const struct facts *f = facts_of(s->facts, sql, true, NULL);
    int rule = rules_find(s->rules, &s->mine, f, sql);

    assert_int_equal(rules_find(s->rules, &s->mine, f, sql), rule); /* remembered, or not */
    facts_drop(f);
    return rule == RULE_NONE ? "" : rules_name(s->rules, rule);
}

static const char *
match(struct scene *s, const char *sql)
{
    return match_len(s, slice_str(sql));
}

static void
without_rules_nothing_matches(void **state)
{
    struct scene s = { 0 };

    (void)state;
    begin(&s, "");
    assert_null(s.rules);
    assert_string_equal(match(&s, "SELECT * FROM t"), "");
    assert_int_equal(rules_matches(s.rules, 0), 0);
    end(&s);
}

static void
tables_match_wherever_they_are_named(void **state)
{
    static const char *const named[] = {
        "SELECT 1 FROM t",          "select 1 from T",
        "SELECT 1 FROM \"T\"",      "SELECT 1 FROM a.t",
        "INSERT INTO t VALUES (1)", "SELECT 1 WHERE EXISTS (SELECT FROM a, b.t)",
        "SELECT 1; DELETE FROM t",  "WITH x AS (SELECT * FROM t) SELECT * FROM x",
        "COPY t TO STDOUT",         "EXPLAIN SELECT * FROM t",
    };
    static const char *const others[] = {
        "SELECT 't'",
        "SELECT t FROM u",
        "SELECT * FROM u AS t",
        "SELECT t.a FROM tt t",
        "SELECT 1 -- FROM t",
        "WITH t AS (SELECT 1) SELECT * FROM t",
        "",
    };
    struct scene s = { 0 };

    (void)state;
    begin(&s, "r = table=t route=primary\n");
    for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
        assert_string_equal(match(&s, named[i]), "r");
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_string_equal(match(&s, others[i]), "");
    end(&s);
}

static void
a_schema_counts_where_both_have_one(void **state)
{
    struct scene s = { 0 };

    (void)state;
    begin(&s, "r = table=A.t route=primary\n");
    assert_string_equal(match(&s, "SELECT FROM a.t"), "r");
    assert_string_equal(match(&s, "SELECT FROM t"), "r");
    assert_string_equal(match(&s, "SELECT FROM b.t"), "");
    assert_string_equal(match(&s, "SELECT FROM a.u"), "");
    end(&s);
}

static void
a_digest_is_the_same_in_every_process_and_for_all_literals(void **state)
{
    uint64_t a[2], b[2];
    struct scene s = { 0 };
    char *text;

    (void)state;
    assert_true(rules_digest(SLICE("SELECT a FROM t WHERE i = 1"), a));
    assert_true(rules_digest(SLICE("select a  from T where i = 'x' -- y"), b));
    assert_memory_equal(a, b, sizeof(a));
    assert_false(rules_digest(SLICE("SELECT 'a"), b));
    /* Written into configurations: a change of it breaks them. */
    text = mem_printf("%016llx%016llx", (unsigned long long)a[0], (unsigned long long)a[1]);
    assert_string_equal(text, "ba1421867e8b42f3e2625cf6336f91bf");
    mem_free(text);
    text =
        mem_printf("r = digest=%016llX%016llx node=pg2\n", (unsigned long long)a[0], (unsigned long long)a[1]);
    begin(&s, text);
    mem_free(text);
    assert_string_equal(match(&s, "SELECT a FROM t WHERE i = 1"), "r");
    assert_string_equal(match(&s, "/* x */ SELECT a FROM t WHERE i = 22;"), "r");
    assert_string_equal(match(&s, "SELECT b FROM t WHERE i = 1"), "");
    assert_string_equal(match(&s, "SELECT a FROM t WHERE i = '"), "");
    end(&s);
}

static void
a_regex_sees_the_first_4_kb_of_the_trimmed_text(void **state)
{
    struct scene s = { 0 };
    struct text t = { 0 };

    (void)state;
    begin(&s, "r = regex=\"^select .* from (scores|marks)\" route=replica\ne = regex=end$ route=primary\n");
    assert_string_equal(match(&s, "\n SELECT a FROM Scores WHERE x"), "r");
    assert_string_equal(match(&s, "SELECT a FROM score"), "");
    assert_string_equal(match(&s, "no SQL at all, to the END"), "e");
    assert_string_equal(match(&s, "no SQL at all, to the END "), "e");
    text_add_str(&t, "SELECT '");
    while (t.len < 4096 - strlen("' FROM scores"))
        text_add_char(&t, 'x');
    text_add_str(&t, "' FROM scores");
    assert_int_equal(t.len, 4096);
    assert_string_equal(match(&s, text_str(&t)), "r");
    text_add_str(&t, "s, the end");
    assert_string_equal(match(&s, text_str(&t)), "r");
    t.data[8] = ' ';
    memmove(t.data + 9, t.data + 8, t.len - 9); /* the last letter moves out of sight */
    assert_string_equal(match(&s, text_str(&t)), "");
    while (t.len < 200000) /* not even its digest is known */
        text_add_str(&t, " and no end");
    assert_string_equal(match(&s, text_str(&t)), "");
    text_done(&t);
    end(&s);
}

static void
all_conditions_must_hold_and_the_first_rule_counts(void **state)
{
    struct scene s = { 0 };

    (void)state;
    begin(&s, "a = table=t regex=limit user=v route=primary\nb = table=t regex=limit route=primary\n"
              "c = table=t route=primary\nd = user=v route=replica\n");
    assert_string_equal(match(&s, "SELECT FROM t"), "c");
    assert_string_equal(match(&s, "SELECT FROM t LIMIT 1"), "b");
    assert_string_equal(match(&s, "SELECT FROM u LIMIT 1"), "");
    be(&s, "v", "app", ""); /* what is remembered of texts is not of the session */
    assert_string_equal(match(&s, "SELECT FROM t"), "c");
    assert_string_equal(match(&s, "SELECT FROM t LIMIT 1"), "a");
    assert_string_equal(match(&s, "SELECT FROM u LIMIT 1"), "d");
    assert_int_equal(rules_find(s.rules, &s.mine, NULL, SLICE("")), 3); /* nothing is known of it */
    end(&s);
}

static void
sessions_match_exactly(void **state)
{
    struct scene s = { 0 };

    (void)state;
    begin(&s, "a = user=u application_name='my app' database=app route=primary\nb = user=u node=pg2\n"
              "c = user=x node=far\nd = application_name=any route=auto\n");
    be(&s, "u", "app", "my app");
    assert_string_equal(match(&s, "SELECT 1"), "a");
    be(&s, "u", "app", "my apps");
    assert_string_equal(match(&s, "SELECT 1"), "b");
    be(&s, "U", "app", "my app");
    assert_string_equal(match(&s, "SELECT 1"), "");
    be(&s, "u", "other", "my app"); /* pg2 is none of its nodes */
    assert_string_equal(match(&s, "SELECT 1"), "");
    be(&s, "x", "app", "any");
    assert_string_equal(match(&s, "SELECT 1"), "d");
    be(&s, "x", "other", "any");
    assert_string_equal(match(&s, "SELECT 1"), "c");
    be(&s, "x", "one", "any");
    assert_string_equal(match(&s, "SELECT 1"), "d");
    end(&s);
}

/* As many rules as there may be, and more texts than are remembered: the answer is that of the rule alone. */
static void
every_rule_is_found_by_its_table(void **state)
{
    struct scene s = { 0 };
    struct text t = { 0 };

    (void)state;
    for (unsigned i = 0; i < CONF_MAX_RULES; i++)
        text_printf(&t, "r%u = table=t%u route=primary%s\n", i, i, i == 100 ? " regex=from" : "");
    begin(&s, text_str(&t));
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 3000; i++) {
            char *sql = mem_printf("SELECT %u FROM t%u", i / 2, i % 300), *name = mem_printf("r%u", i % 300);

            assert_string_equal(match(&s, sql), i % 300 < CONF_MAX_RULES ? name : "");
            mem_free(sql);
            mem_free(name);
        }
    text_done(&t);
    end(&s);
}

/* A session that sent too many new shapes is not answered for ever by what was seen then. */
static void
a_text_that_was_not_analysed_is_looked_at_again(void **state)
{
    const struct slice sql = SLICE("SELECT 5 FROM t");
    struct scene s = { 0 };
    const struct facts *f;

    (void)state;
    begin(&s, "r = table=t route=primary\n");
    f = facts_of(s.facts, sql, false, NULL);
    assert_false(f->analysed);
    assert_int_equal(rules_find(s.rules, &s.mine, f, sql), RULE_NONE);
    facts_drop(f);
    assert_string_equal(match_len(&s, sql), "r");
    end(&s);
}

static void
a_rule_changes_what_it_names_and_the_session_has_not_set(void **state)
{
    struct scene s = { 0 };
    struct route_wishes w;

    (void)state;
    begin(&s, "a = table=t route=replica max_lag=2s\nb = table=t node=pg2 consistency=global\n");
    for (unsigned own = 0; own < 8; own++) {
        wishes_init(&w);
        w.wish = ROUTE_NODE;
        memcpy(w.node, "pg1", 4);
        assert_int_equal(rules_apply(s.rules, 0, own, &w), (own & RULE_OWN_ROUTE) == 0);
        assert_int_equal(w.wish, (own & RULE_OWN_ROUTE) != 0 ? ROUTE_NODE : ROUTE_REPLICA);
        assert_string_equal(w.node, (own & RULE_OWN_ROUTE) != 0 ? "pg1" : "");
        assert_int_equal(w.max_lag_us, (own & RULE_OWN_MAX_LAG) != 0 ? -1 : 2000000);
        assert_int_equal(w.consistency, -1);
        wishes_init(&w);
        assert_int_equal(rules_apply(s.rules, 1, own, &w), (own & RULE_OWN_ROUTE) == 0);
        assert_int_equal(w.wish, (own & RULE_OWN_ROUTE) != 0 ? ROUTE_AUTO : ROUTE_NODE);
        assert_string_equal(w.node, (own & RULE_OWN_ROUTE) != 0 ? "" : "pg2");
        assert_int_equal(w.max_lag_us, -1);
        assert_int_equal(w.consistency, (own & RULE_OWN_CONSISTENCY) != 0 ? -1 : CLUSTER_GLOBAL);
    }
    end(&s);
}

static void
counts_follow_the_name_of_a_rule(void **state)
{
    struct scene s = { 0 };
    struct rules *next;
    struct conf *c = read_rules("new = table=n route=primary\nb = table=x route=replica\n");

    (void)state;
    begin(&s, "a = table=t route=primary\nb = table=t route=primary\n");
    for (int i = 0; i < 3; i++)
        rules_count(s.rules, 1);
    assert_int_equal(rules_matches(s.rules, 0), 0);
    assert_int_equal(rules_matches(s.rules, 1), 3);
    next = rules_new(c, s.rules, 5);
    conf_drop(c);
    assert_int_equal(rules_matches(next, 0), 0);
    assert_int_equal(rules_matches(next, 1), 3);
    assert_int_equal(rules_matches(next, 2), 0);
    rules_free(next);
    end(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_nothing_matches),
        cmocka_unit_test(tables_match_wherever_they_are_named),
        cmocka_unit_test(a_schema_counts_where_both_have_one),
        cmocka_unit_test(a_digest_is_the_same_in_every_process_and_for_all_literals),
        cmocka_unit_test(a_regex_sees_the_first_4_kb_of_the_trimmed_text),
        cmocka_unit_test(all_conditions_must_hold_and_the_first_rule_counts),
        cmocka_unit_test(sessions_match_exactly),
        cmocka_unit_test(every_rule_is_found_by_its_table),
        cmocka_unit_test(a_text_that_was_not_analysed_is_looked_at_again),
        cmocka_unit_test(a_rule_changes_what_it_names_and_the_session_has_not_set),
        cmocka_unit_test(counts_follow_the_name_of_a_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
