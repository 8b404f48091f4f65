/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "base/mem.h"
#include "base/ring.h"

#define N 8

struct item {
    int id;
    struct ring link;
};

static int
id_of(const struct ring *r)
{
    return r == NULL ? -1 : container_of(r, struct item, link)->id;
}

/* The ring must hold exactly the N_IDS first of IDS, seen from both ends. */
static void
expect(const struct ring *head, const int *ids, int n_ids)
{
    int n = 0;

    ring_each (r, head)
        assert_true(n < n_ids && id_of(r) == ids[n++]);
    assert_int_equal(n, n_ids);
    for (const struct ring *r = head->prev; r != head; r = r->prev)
        assert_int_equal(id_of(r), ids[--n]);
    assert_int_equal(n, 0);
    assert_int_equal(ring_is_empty(head), n_ids == 0);
    assert_int_equal(id_of(ring_first(head)), n_ids == 0 ? -1 : ids[0]);
    assert_int_equal(id_of(ring_last(head)), n_ids == 0 ? -1 : ids[n_ids - 1]);
}

static int
position(const int *ids, int n, int id)
{
    for (int i = 0; i < n; i++)
        if (ids[i] == id)
            return i;
    return -1;
}

/* Random insertions at both ends and removals, against an array that does the same. */
static void
a_ring_keeps_the_order_that_an_array_would(void **state)
{
    struct item items[N];
    struct ring head;
    int ids[N], n = 0;
    uint64_t seed = 3;

    (void)state;
    ring_init(&head);
    for (int i = 0; i < N; i++) {
        items[i].id = i;
        ring_init(&items[i].link);
    }
    for (int step = 0; step < 5000; step++) {
        uint64_t r = draw(&seed);
        int id = (int)(r >> 8) & (N - 1), at = position(ids, n, id);

        if (at >= 0) {
            ring_remove(&items[id].link);
            memmove(&ids[at], &ids[at + 1], (size_t)(--n - at) * sizeof(int));
        } else if (r % 2 == 0) {
            ring_append(&head, &items[id].link);
            ids[n++] = id;
        } else {
            ring_insert(&head, &items[id].link);
            memmove(&ids[1], &ids[0], (size_t)n++ * sizeof(int));
            ids[0] = id;
        }
        expect(&head, ids, n);
    }
}

static void
removing_what_is_in_no_ring_is_fine(void **state)
{
    struct ring head, lone;

    (void)state;
    ring_init(&head);
    ring_init(&lone);
    ring_remove(&lone);
    ring_append(&head, &lone);
    ring_remove(&lone);
    ring_remove(&lone);
    assert_true(ring_is_empty(&head));
    assert_true(ring_is_empty(&lone));
}

static void
the_safe_loop_survives_removals_and_frees(void **state)
{
    struct ring head;
    int seen = 0;

    (void)state;
    ring_init(&head);
    for (int i = 0; i < N; i++) {
        struct item *item = mem_new(struct item);

        item->id = i;
        ring_append(&head, &item->link);
    }
    ring_each_safe (r, &head) {
        struct item *item = container_of(r, struct item, link);

        assert_int_equal(item->id, seen++);
        ring_remove(r);
        mem_free(item);
    }
    assert_int_equal(seen, N);
    assert_true(ring_is_empty(&head));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_keeps_the_order_that_an_array_would),
        cmocka_unit_test(removing_what_is_in_no_ring_is_fine),
        cmocka_unit_test(the_safe_loop_survives_removals_and_frees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
