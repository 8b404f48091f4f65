/* SPDX-License-Identifier: ISC */
/* Rules that are each legal for the parser and make no sense; and how their values are read. */
#include "conf_tests.h"

#define PLACES                                                                 \
    "[nodes]\npg1 = cluster=m host=h\nother = cluster=o host=i\n[databases]\n" \
    "app = cluster=m\none = host=h\n[rules]\n" /* six lines */

static void
a_rule_has_a_condition_and_an_effect(void **state)
{
    (void)state;
    refused(
        "[rules]\n\nr = route=primary\n",
        "t.ini:3: rule \"r\" has no condition; add table, digest, regex, user, application_name or database");
    refused(
        "[rules]\nr = table='' route=primary\n",
        "t.ini:2: rule \"r\" has no condition; add table, digest, regex, user, application_name or database");
    refused("[rules]\nr = table=t\n",
            "t.ini:2: rule \"r\" has no effect; add route, node, consistency or max_lag");
    refused(PLACES "r = table=t route=auto node=pg1\n",
            "t.ini:8: route and node exclude each other; take one out");
}

static void
bad_conditions_are_told(void **state)
{
    static const char *const tables[] = { ".", "a.", ".a", "a.b.c", "a..b" };

    (void)state;
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        char *text = mem_printf("[rules]\nr = route=primary table=%s\n", tables[i]);
        char *message = mem_printf("t.ini:2: table \"%s\" must be NAME or SCHEMA.NAME", tables[i]);

        refused(text, message);
        mem_free(text);
        mem_free(message);
    }
    refused(
        "[rules]\nr = digest=12 max_lag=5s\n",
        "t.ini:2: digest \"12\" must be 32 hexadecimal digits; EXPLAIN (PGWEIR) of a statement shows its own");
    refused("[rules]\nr = digest=0123456789abcdef0123456789abcdeg max_lag=5s\n",
            "t.ini:2: digest \"0123456789abcdef0123456789abcdeg\" must be 32 hexadecimal digits; EXPLAIN "
            "(PGWEIR) of a statement shows its own");
    refused("[rules]\nr = regex=\"(a b\" max_lag=5s\n",
            "t.ini:2: regex \"(a b\" is not valid: Unmatched ( or \\(");
    refused("[rules]\nr = regex=\"a max_lag=5s\n", "t.ini:2: a quoted value needs a closing \"");
    refused("[rules]\nr = regex=\"a\"max_lag=5s\n",
            "t.ini:2: a space must follow the closing \" (a quote inside is doubled)");
    refused("[rules]\nr = tabel=a max_lag=5s\n", "t.ini:2: unknown option tabel; did you mean table?");
    refused("[rules]\nr = table=a route=far\n",
            "t.ini:2: route must be auto, primary, replica or prefer-replica");
}

static void
nodes_and_databases_of_rules_exist(void **state)
{
    (void)state;
    refused(PLACES "r = table=t node=pg9\n", "t.ini:8: node \"pg9\" of rule \"r\" is not in [nodes]");
    refused(PLACES "r = database=ap route=primary\n",
            "t.ini:8: database \"ap\" of rule \"r\" is not in [databases]");
    refused(PLACES "r = database=one route=primary\n",
            "t.ini:8: database \"one\" of rule \"r\" has one server, so that there is nothing to choose");
    refused(PLACES "r = database=app node=other\n",
            "t.ini:8: node \"other\" of rule \"r\" does not serve database \"app\"");
    conf_drop(good(PLACES "r = database=app node=pg1\ns = user=u node=other\n"));
    conf_drop(good("[databases]\n* = host=a,b\nt = host=a,b\n[rules]\nr = database=any user=u route=auto\n"
                   "s = user=u node=t-2\n"));
}

static void
all_of_a_rule_is_read(void **state)
{
    struct conf *c = good(PLACES "r = regex=\"^select \"\"A\"\" 'x' [0-9]\" user='the user' max_lag=5s\n"
                                 "q = table=s.t digest=0123456789abcdefABCDEF0123456789 database=app "
                                 "application_name=x node=pg1\n");

    (void)state;
    assert_string_equal(c->rules[0].regex, "^select \"A\" 'x' [0-9]");
    assert_string_equal(c->rules[0].user, "the user");
    assert_int_equal(c->rules[0].max_lag, 5000000);
    assert_string_equal(c->rules[1].table, "s.t");
    assert_string_equal(c->rules[1].application_name, "x");
    assert_string_equal(c->rules[1].node, "pg1");
    conf_drop(c);
}

static void
rules_keep_the_order_of_the_file(void **state)
{
    struct conf *c = good("[rules]\nb = table=b route=primary\na = table=a consistency=global\n"
                          "b = table=c route=replica\n");

    (void)state;
    assert_int_equal(c->n_rules, 2);
    assert_string_equal(c->rules[0].name, "b");
    assert_string_equal(c->rules[0].table, "c");
    assert_int_equal(c->rules[0].route, CONF_ROUTE_REPLICA);
    assert_int_equal(c->rules[0].consistency, -1);
    assert_int_equal(c->rules[0].max_lag, -1);
    assert_string_equal(c->rules[1].name, "a");
    assert_int_equal(c->rules[1].route, -1);
    assert_int_equal(c->rules[1].consistency, CONF_GLOBAL);
    conf_drop(c);
}

static void
there_is_a_most_of_rules(void **state)
{
    struct text t = { 0 };

    (void)state;
    text_add_str(&t, "[rules]\n");
    for (int i = 0; i < CONF_MAX_RULES; i++)
        text_printf(&t, "r%d = table=t%d route=primary\n", i, i);
    conf_drop(good(text_str(&t)));
    text_add_str(&t, "last = table=t route=primary\n");
    refused(text_str(&t), "t.ini:258: there are more than 256 rules; take some out");
    text_done(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_has_a_condition_and_an_effect), cmocka_unit_test(bad_conditions_are_told),
        cmocka_unit_test(nodes_and_databases_of_rules_exist),   cmocka_unit_test(all_of_a_rule_is_read),
        cmocka_unit_test(rules_keep_the_order_of_the_file),     cmocka_unit_test(there_is_a_most_of_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
