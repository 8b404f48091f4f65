/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "server/prepared.h"

#define IDS 12

static struct statement_id
id(size_t i)
{
    return (struct statement_id){ i / 3 + 1, i % 3 }; /* some share one half */
}

/* The same in an array, most recently used first. */
struct model {
    size_t ids[IDS];
    unsigned n;
};

static bool
model_take(struct model *m, size_t i)
{
    for (unsigned k = 0; k < m->n; k++)
        if (m->ids[k] == i) {
            memmove(&m->ids[k], &m->ids[k + 1], (--m->n - k) * sizeof(m->ids[0]));
            return true;
        }
    return false;
}

static void
model_use(struct model *m, size_t i)
{
    memmove(&m->ids[1], &m->ids[0], m->n++ * sizeof(m->ids[0]));
    m->ids[0] = i;
}

static void
one_step(struct prepared *p, struct model *m, uint64_t r)
{
    size_t i = r / 8 % IDS;
    unsigned max = (unsigned)(r / 1024 % IDS);
    struct statement_id gone = { 0 };
    bool known;

    switch (r % 4) {
    case 0:
        known = model_take(m, i);
        assert_int_equal(prepared_born(p, id(i)) > 0, known);
        if (known)
            model_use(m, i);
        break;
    case 1:
        model_take(m, i);
        model_use(m, i);
        prepared_add(p, id(i), 7);
        break;
    case 2:
        model_take(m, i);
        prepared_remove(p, id(i));
        break;
    default:
        assert_int_equal(prepared_evict(p, max, &gone), m->n > max);
        if (m->n > max)
            assert_true(statement_id_equal(gone, id(m->ids[--m->n])));
        break;
    }
    assert_int_equal(prepared_count(p), m->n);
}

static void
the_least_recently_used_goes_first(void **state)
{
    struct prepared *p = prepared_new();
    struct model m = { .n = 0 };
    uint64_t seed = 53;

    (void)state;
    for (int step = 0; step < 20000; step++)
        one_step(p, &m, draw(&seed));
    prepared_clear(p);
    assert_int_equal(prepared_count(p), 0);
    assert_int_equal(prepared_born(p, id(0)), 0);
    prepared_add(p, id(0), 7);
    prepared_free(p);
    prepared_free(NULL);
}

static void
names_tell_statements_apart_and_fit(void **state)
{
    char name[STATEMENT_NAME], other[STATEMENT_NAME];

    (void)state;
    assert_int_equal(statement_name((struct statement_id){ UINT64_MAX, 0xabc }, name), 39);
    assert_string_equal(name, "pgweir_ffffffffffffffff0000000000000abc");
    statement_name((struct statement_id){ 0xabc, UINT64_MAX }, other);
    assert_string_not_equal(name, other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(names_tell_statements_apart_and_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
