/* SPDX-License-Identifier: ISC */
#include "session/half_session.h"

static struct statement *
intern(struct half *h, struct slice sql, struct slice types)
{
    struct slice a = exact(sql), b = exact(types);
    bool parsed;
    struct statement *st = statement_intern(&h->session, a, b, true, &parsed);

    exact_free(a);
    exact_free(b);
    return st;
}

#define NO_TYPES  SLICE("\0\0")
#define ONE_TYPE  SLICE("\0\1\0\0\0\27")
#define THE_OTHER SLICE("\0\1\0\0\0\31")

static void
a_statement_is_its_text_and_its_types(void **state)
{
    struct half *h = *state;
    struct statement *a = intern(h, SLICE("SELECT $1"), NO_TYPES),
                     *same = intern(h, SLICE("SELECT $1"), NO_TYPES),
                     *other[] = { intern(h, SLICE("SELECT $2"), NO_TYPES),
                                  intern(h, SLICE("select $1"), NO_TYPES),
                                  intern(h, SLICE("SELECT $1"), ONE_TYPE),
                                  intern(h, SLICE("SELECT $1"), THE_OTHER), intern(h, SLICE(""), NO_TYPES) };

    assert_ptr_equal(a, same);
    statement_drop(same);
    for (size_t i = 0; i < COUNT(other); i++)
        for (size_t k = 0; k < i; k++)
            assert_false(statement_id_equal(other[i]->id, other[k]->id) ||
                         statement_id_equal(other[i]->id, a->id));
    for (size_t i = 0; i < COUNT(other); i++)
        statement_drop(other[i]);
    assert_slice(statement_sql(a), "SELECT $1");
    statement_drop(a);
    assert_null(h->hall.statements);
    statement_drop(NULL);
}

static void
a_parse_carries_the_text_and_types_as_they_came(void **state)
{
    struct half *h = *state;
    struct statement *st = intern(h, SLICE("SELECT $1"), ONE_TYPE);
    struct text t = { 0 };
    char name[STATEMENT_NAME];
    struct wire_cursor c;

    statement_put_parse(&t, st, false);
    assert_slice(text_slice(&t), "P\0\0\0\25\0SELECT $1\0\0\1\0\0\0\27");
    text_clear(&t);
    statement_put_parse(&t, st, true);
    statement_name(st->id, name);
    c = wire_cursor(slice_tail(text_slice(&t), WIRE_HEADER));
    assert_true(slice_is(wire_get_string(&c), name));
    assert_slice(wire_get_string(&c), "SELECT $1");
    assert_int_equal(wire_left(&c), 6);
    text_done(&t);
    statement_drop(st);
}

static void
names_belong_to_the_session_and_hold_their_statement(void **state)
{
    struct half *h = *state;
    struct session *s = &h->session;
    struct statement *a = intern(h, SLICE("SELECT 1"), NO_TYPES), *b = intern(h, SLICE("SELECT 2"), NO_TYPES);

    prepared_names_add(s, SLICE("one"), a);
    prepared_names_add(s, SLICE("One"), b);
    prepared_names_add(s, SLICE("again"), a);
    assert_int_equal(prepared_names_count(s), 3);
    statement_drop(a);
    statement_drop(b);
    assert_ptr_equal(prepared_names_find(s, SLICE("one")), a);
    assert_ptr_equal(prepared_names_find(s, SLICE("One")), b);
    assert_null(prepared_names_find(s, SLICE("on")));
    assert_null(prepared_names_find(s, SLICE("")));
    prepared_names_undo(s, a);
    assert_null(prepared_names_find(s, SLICE("again")));
    assert_ptr_equal(prepared_names_find(s, SLICE("one")), a);
    prepared_names_remove(s, SLICE("no such"));
    prepared_names_remove(s, SLICE("One"));
    assert_int_equal(prepared_names_count(s), 1);
    prepared_names_clear(s);
    assert_int_equal(prepared_names_count(s), 0);
    assert_null(h->hall.statements);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        HALF(a_statement_is_its_text_and_its_types),
        HALF(a_parse_carries_the_text_and_types_as_they_came),
        HALF(names_belong_to_the_session_and_hold_their_statement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
