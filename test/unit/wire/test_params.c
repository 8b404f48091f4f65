/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <stdio.h>
#include <strings.h>

#include "wire/params.h"

#define NAMES 6

static const char *const names[NAMES] = { "TimeZone", "a", "ab", "client_encoding", "DateStyle", "b" };

static int
set_up(void **state)
{
    *state = params_table_new();
    return 0;
}

/* Every test must have dropped all that it held: params_table_free() asserts it, and so do we. */
static int
tear_down(void **state)
{
    size_t sets, bytes;

    params_table_stats(*state, &sets, &bytes);
    params_table_free(*state);
    return sets == 0 && bytes == 0 ? 0 : -1;
}

static struct params *
with(struct params *p, const char *name, const char *value)
{
    struct slice n = exact(slice_str(name)), v = exact(slice_str(value));

    p = params_with(p, n, v);
    exact_free(n);
    exact_free(v);
    return p;
}

static void
expect_sorted(const struct params *p)
{
    size_t len = 0;

    for (unsigned i = 0; i < p->n; i++) {
        char a[64], b[64];

        len += p->at[i].name.len + p->at[i].value.len;
        if (i == 0)
            continue;
        snprintf(a, sizeof(a), "%.*s", (int)p->at[i - 1].name.len, (const char *)p->at[i - 1].name.data);
        snprintf(b, sizeof(b), "%.*s", (int)p->at[i].name.len, (const char *)p->at[i].name.data);
        assert_true(strcasecmp(a, b) < 0);
    }
    assert_int_equal(p->len, len);
}

/* Random changes, against an array with one value for each name. */
static void
a_set_holds_what_an_array_would(void **state)
{
    const char *value[NAMES] = { NULL };
    static const char *const values[] = { "", "1", "2", "a longer value" };
    struct params *p = params_empty(*state);
    uint64_t seed = 5;

    for (int step = 0; step < 3000; step++) {
        uint64_t r = draw(&seed);
        size_t at = r % NAMES;
        unsigned n = 0;

        if ((r >> 8) % 3 == 0) {
            value[at] = NULL;
            p = params_without(p, slice_str(names[at]));
        } else {
            value[at] = values[(r >> 16) % COUNT(values)];
            p = with(p, names[at], value[at]);
        }
        for (size_t i = 0; i < NAMES; i++) {
            const struct param *found = params_find(p, slice_str(names[i]));

            assert_int_equal(found != NULL, value[i] != NULL);
            assert_true(found == NULL || slice_is(found->value, value[i]));
            n += value[i] != NULL;
        }
        assert_int_equal(p->n, n);
        expect_sorted(p);
    }
    params_drop(p);
}

static void
sets_are_equal_exactly_when_their_pointers_are(void **state)
{
    struct params *a = with(with(with(params_empty(*state), "x", "1"), "Y", "2"), "z", "3"),
                  *b = with(with(with(params_empty(*state), "z", "3"), "x", "1"), "Y", "2"),
                  *c = with(params_hold(a), "z", "4"), *d = params_without(params_hold(c), SLICE("z")),
                  *empty = params_empty(*state);

    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    c = with(c, "z", "3");
    assert_ptr_equal(a, c);
    d = with(d, "z", "3");
    assert_ptr_equal(a, d);
    d = params_without(params_without(params_without(d, SLICE("x")), SLICE("y")), SLICE("z"));
    assert_ptr_equal(d, empty);
    params_drop(a);
    params_drop(b);
    params_drop(c);
    params_drop(d);
    params_drop(empty);
}

/* "ab" = "" and "a" = "b" have the same bytes. */
static void
where_a_name_ends_tells_sets_apart(void **state)
{
    struct params *a = with(params_empty(*state), "ab", ""), *b = with(params_empty(*state), "a", "b");

    assert_ptr_not_equal(a, b);
    params_drop(a);
    params_drop(b);
}

static void
names_have_no_case_but_values_do(void **state)
{
    struct params *p = with(params_empty(*state), "DateStyle", "ISO"), *q;

    assert_non_null(params_find(p, SLICE("datestyle")));
    assert_non_null(params_find(p, SLICE("DATESTYLE")));
    assert_null(params_find(p, SLICE("datestyl")));
    assert_null(params_find(p, SLICE("datestyle2")));
    p = with(p, "DATESTYLE", "iso");
    assert_int_equal(p->n, 1);
    assert_slice(params_find(p, SLICE("datestyle"))->value, "iso");
    q = with(params_hold(p), "datestyle", "ISO");
    assert_ptr_not_equal(p, q);
    q = params_without(q, SLICE("dateSTYLE"));
    assert_int_equal(q->n, 0);
    params_drop(p);
    params_drop(q);
}

static void
taking_out_what_is_not_there_changes_nothing(void **state)
{
    struct params *p = with(params_empty(*state), "a", "1"), *q = params_without(params_hold(p), SLICE("b"));

    assert_ptr_equal(p, q);
    params_drop(p);
    params_drop(q);
    q = params_without(params_empty(*state), SLICE("a"));
    assert_int_equal(q->n, 0);
    params_drop(q);
    params_drop(NULL);
}

/* The name and the value may be views into the very set that goes. */
static void
a_set_may_be_made_from_its_own_members(void **state)
{
    struct params *p = with(params_empty(*state), "a", "1");

    p = params_with(p, p->at[0].name, p->at[0].name);
    assert_slice(params_find(p, SLICE("a"))->value, "a");
    p = params_with(p, SLICE("b"), p->at[0].value);
    assert_slice(params_find(p, SLICE("b"))->value, "a");
    p = params_without(p, p->at[0].name);
    assert_int_equal(p->n, 1);
    params_drop(p);
}

static void
a_set_moves_to_another_table_as_a_private_copy(void **state)
{
    struct params_table *other = params_table_new();
    struct params *p = with(with(params_empty(*state), "a", "1"), "b", ""), *kept = params_hold(p),
                  *none = NULL, *there = with(with(params_empty(other), "b", ""), "a", "1");
    size_t sets, bytes;

    params_detach(&p);
    assert_ptr_not_equal(p, kept);
    params_drop(kept);
    params_table_stats(*state, &sets, &bytes);
    assert_int_equal(sets, 0);
    assert_slice(params_find(p, SLICE("a"))->value, "1");
    params_attach(&p, other);
    assert_ptr_equal(p, there);
    params_detach(&none);
    params_attach(&none, other);
    assert_null(none);
    params_drop(p);
    params_drop(there);
    params_table_free(other);
}

static void
figures_follow_the_sets_that_are_alive(void **state)
{
    struct params *p = with(params_empty(*state), "a", "1"), *q = params_hold(p);
    size_t sets, bytes, before;

    params_table_stats(*state, &sets, &before);
    assert_int_equal(sets, 1);
    assert_true(before > 2);
    q = with(q, "b", "22");
    params_table_stats(*state, &sets, &bytes);
    assert_int_equal(sets, 2);
    assert_true(bytes > before);
    params_drop(q);
    params_table_stats(*state, &sets, &bytes);
    assert_int_equal(sets, 1);
    assert_int_equal(bytes, before);
    params_drop(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_holds_what_an_array_would),
        TEST(sets_are_equal_exactly_when_their_pointers_are),
        TEST(where_a_name_ends_tells_sets_apart),
        TEST(names_have_no_case_but_values_do),
        TEST(taking_out_what_is_not_there_changes_nothing),
        TEST(a_set_may_be_made_from_its_own_members),
        TEST(a_set_moves_to_another_table_as_a_private_copy),
        TEST(figures_follow_the_sets_that_are_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
