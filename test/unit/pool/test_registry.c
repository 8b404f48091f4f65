/* SPDX-License-Identifier: ISC */
/* Limits over all workers; run under ThreadSanitizer too. */
#include "base/unit.h"

#include <pthread.h>

#include "pool/shared.h"

#define THREADS 4
#define ROUNDS  3000

static struct registry *
registry(void)
{
    static struct worker *none[1];

    return registry_new(none, 1, NULL);
}

/* ---- servers ---- */

struct crowd {
    struct registry *registry;
    struct pool_shared *pools[3]; /* (a, x) (a, y) (b, x) */
    struct pool_limits limits;
    _Atomic int held[3], held_a, held_x; /* at most what the registry has counted */
    _Atomic int most[3], most_a, most_x;
    _Atomic int got;
};

static void
raise_to(_Atomic int *most, int now)
{
    int before = atomic_load(most);

    while (before < now && !atomic_compare_exchange_weak(most, &before, now))
        continue;
}

/* BY is 1 after a reservation and -1 before its end. */
static void
count(struct crowd *c, int i, int by)
{
    raise_to(&c->most[i], atomic_fetch_add(&c->held[i], by) + by);
    if (i != 2)
        raise_to(&c->most_a, atomic_fetch_add(&c->held_a, by) + by);
    if (i != 1)
        raise_to(&c->most_x, atomic_fetch_add(&c->held_x, by) + by);
}

static void *
jostle(void *arg)
{
    struct crowd *c = arg;
    uint64_t seed = (uint64_t)(uintptr_t)&seed | 1;
    int mine[3] = { 0 };

    for (int round = 0; round < ROUNDS; round++) {
        int i = (int)(draw(&seed) % 3);

        if (mine[i] > 0 && draw(&seed) % 2 == 0) {
            count(c, i, -1);
            pool_unreserve(c->pools[i]);
            mine[i]--;
        } else if (pool_reserve(c->pools[i], &c->limits) == POOL_ROOM) {
            count(c, i, 1);
            atomic_fetch_add(&c->got, 1);
            mine[i]++;
        }
    }
    for (int i = 0; i < 3; i++)
        for (; mine[i] > 0; mine[i]--) {
            count(c, i, -1);
            pool_unreserve(c->pools[i]);
        }
    return NULL;
}

static void
limits_are_exact_however_many_threads_push(void **state)
{
    struct crowd c = { .registry = registry(), .limits = { .pool = 4, .database = 6, .user = 5 } };
    pthread_t threads[THREADS];
    unsigned servers, clients;

    (void)state;
    c.pools[0] = registry_pool(c.registry, SLICE("a"), SLICE("x"), SLICE(""));
    c.pools[1] = registry_pool(c.registry, SLICE("a"), SLICE("y"), SLICE(""));
    c.pools[2] = registry_pool(c.registry, SLICE("b"), SLICE("x"), SLICE(""));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, jostle, &c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++) {
        assert_true(atomic_load(&c.most[i]) <= 4);
        assert_int_equal(pool_count(c.pools[i]), 0);
    }
    assert_true(atomic_load(&c.most_a) <= 6 && atomic_load(&c.most_x) <= 5);
    assert_true(atomic_load(&c.got) > 100);
    registry_counts(c.registry, 'd', SLICE("a"), &servers, &clients);
    assert_int_equal(servers + clients, 0);
    for (int i = 0; i < 3; i++)
        registry_pool_drop(c.pools[i]);
    registry_free(c.registry);
}

static void
each_limit_says_that_it_is_the_one(void **state)
{
    struct registry *r = registry();
    struct pool_shared *ax = registry_pool(r, SLICE("a"), SLICE("x"), SLICE("")),
                       *ay = registry_pool(r, SLICE("a"), SLICE("y"), SLICE("")),
                       *bx = registry_pool(r, SLICE("b"), SLICE("x"), SLICE(""));
    struct pool_limits none = { 0 }, one = { .pool = 1 }, database = { .database = 1 }, user = { .user = 1 };

    (void)state;
    assert_ptr_equal(registry_pool(r, SLICE("a"), SLICE("x"), SLICE("")), ax);
    registry_pool_drop(ax);
    assert_int_equal(pool_reserve(ax, &one), POOL_ROOM);
    assert_int_equal(pool_reserve(ax, &one), POOL_FULL);
    assert_int_equal(pool_reserve(ay, &one), POOL_ROOM);
    assert_false(pool_unreserve(ay));
    assert_int_equal(pool_reserve(ay, &database), POOL_DATABASE_FULL);
    assert_int_equal(pool_reserve(bx, &user), POOL_USER_FULL);
    assert_int_equal(pool_reserve(bx, &database), POOL_ROOM);
    assert_int_equal(pool_reserve(ax, &none), POOL_ROOM);
    assert_int_equal(pool_count(ax), 2);
    /* Somebody was refused: the first that goes says so, once. */
    assert_true(pool_unreserve(ax));
    assert_false(pool_unreserve(ax));
    pool_unreserve(bx);
    registry_pool_drop(ax);
    registry_pool_drop(ay);
    registry_pool_drop(bx);
    registry_free(r);
}

/* The names are lengths and bytes: neither a NUL nor a common prefix mixes them up. */
static void
pools_with_similar_names_are_apart(void **state)
{
    struct registry *r = registry();
    struct pool_shared *a = registry_pool(r, SLICE("ab"), SLICE("c"), SLICE("")),
                       *b = registry_pool(r, SLICE("a"), SLICE("bc"), SLICE("")),
                       *c = registry_pool(r, SLICE("AB"), SLICE("c"), SLICE(""));

    (void)state;
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, c);
    registry_pool_drop(a);
    registry_pool_drop(b);
    registry_pool_drop(c);
    registry_free(r);
}

/* ---- clients ---- */

struct door {
    struct registry *registry;
    struct client_limits limits;
    _Atomic int inside, most;
};

static void *
come_and_go(void *arg)
{
    struct door *d = arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct fault why;

        if (!registry_client_enter(d->registry, SLICE("a"), SLICE("x"), &d->limits, &why))
            continue;
        raise_to(&d->most, atomic_fetch_add(&d->inside, 1) + 1);
        atomic_fetch_sub(&d->inside, 1);
        registry_client_leave(d->registry, SLICE("a"), SLICE("x"));
    }
    return NULL;
}

static void
clients_pass_the_door_one_by_one(void **state)
{
    struct door d = { .registry = registry(), .limits = { .all = 2 } };
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &d), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(atomic_load(&d.most), 1, 2);
    assert_int_equal(registry_clients(d.registry), 0);
    registry_free(d.registry);
}

static void
a_client_that_is_refused_hears_which_limit(void **state)
{
    static const struct {
        struct client_limits limits;
        const char *said;
    } cases[] = { { { .all = 1 }, "max_client_conn" },
                  { { .database = 1 }, "max_db_client_connections" },
                  { { .user = 1 }, "max_user_client_connections" } };
    struct registry *r = registry();
    struct client_limits none = { 0 };
    unsigned servers, clients;

    (void)state;
    none.all = 1000;
    assert_true(registry_client_enter(r, SLICE("a"), SLICE("x"), &none, NULL));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct client_limits limits = cases[i].limits;
        struct fault why = { .sqlstate = "" };

        limits.all = limits.all == 0 ? 1000 : limits.all;
        assert_false(registry_client_enter(r, SLICE("a"), SLICE("x"), &limits, &why));
        assert_string_equal(why.sqlstate, "53300");
        assert_non_null(strstr(why.detail, cases[i].said));
    }
    registry_counts(r, 'u', SLICE("x"), &servers, &clients);
    assert_int_equal(clients, 1);
    registry_client_leave(r, SLICE("a"), SLICE("x"));
    assert_int_equal(registry_clients(r), 0);
    registry_free(r);
}

/* ---- flags, epochs, secrets ---- */

static void
flags_hold_for_one_database_or_for_all(void **state)
{
    struct registry *r = registry();
    unsigned before = registry_generation(r);

    (void)state;
    registry_set_flag(r, SLICE("a"), DATABASE_PAUSED, true);
    assert_true(registry_generation(r) != before);
    assert_int_equal(registry_flags(r, SLICE("a")), DATABASE_PAUSED);
    assert_int_equal(registry_flags(r, SLICE("b")), 0);
    registry_set_flag(r, SLICE(""), DATABASE_DISABLED, true);
    assert_int_equal(registry_flags(r, SLICE("a")), DATABASE_PAUSED | DATABASE_DISABLED);
    assert_int_equal(registry_flags(r, SLICE("b")), DATABASE_DISABLED);
    assert_int_equal(registry_own_flags(r, SLICE("a")), DATABASE_PAUSED);
    registry_set_flag(r, SLICE(""), DATABASE_DISABLED, false);
    assert_int_equal(registry_flags(r, SLICE("a")), DATABASE_PAUSED);
    registry_clear_flag(r, DATABASE_PAUSED);
    assert_int_equal(registry_flags(r, SLICE("a")), 0);
    registry_free(r);
}

static void
an_epoch_ends_for_one_database_or_for_all(void **state)
{
    struct registry *r = registry();
    unsigned a = registry_epoch(r, SLICE("a")), b = registry_epoch(r, SLICE("b"));

    (void)state;
    registry_next_epoch(r, SLICE("a"));
    assert_true(registry_epoch(r, SLICE("a")) != a);
    assert_int_equal(registry_epoch(r, SLICE("b")), b);
    a = registry_epoch(r, SLICE("a"));
    registry_next_epoch(r, SLICE(""));
    assert_true(registry_epoch(r, SLICE("a")) != a && registry_epoch(r, SLICE("b")) != b);
    registry_free(r);
}

static void
a_credential_stays_while_its_secret_does(void **state)
{
    struct registry *r = registry();
    struct credential *a = registry_credential(r, SLICE("x"), SLICE("one")),
                      *same = registry_credential(r, SLICE("x"), SLICE("one")),
                      *other = registry_credential(r, SLICE("y"), SLICE("one")),
                      *newer = registry_credential(r, SLICE("x"), SLICE("two"));

    (void)state;
    assert_ptr_equal(a, same);
    assert_ptr_not_equal(a, other);
    assert_ptr_not_equal(a, newer);
    assert_slice(credential_secret(a), "one"); /* still held by us */
    credential_drop(a);
    credential_drop(same);
    credential_drop(other);
    credential_drop(newer);
    registry_free(r);
}

static void
the_last_fault_is_kept_for_whoever_asks(void **state)
{
    struct registry *r = registry();
    struct pool_shared *p = registry_pool(r, SLICE("a"), SLICE("x"), SLICE(""));
    struct fault why, got;

    (void)state;
    fault_set(&why, "57P03", "starting up");
    pool_set_fault(p, &why);
    pool_fault(p, &got);
    assert_string_equal(got.message, "starting up");
    pool_set_fault(p, NULL);
    pool_fault(p, &got);
    assert_string_equal(got.sqlstate, "");
    registry_pool_drop(p);
    registry_free(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_exact_however_many_threads_push),
        cmocka_unit_test(each_limit_says_that_it_is_the_one),
        cmocka_unit_test(pools_with_similar_names_are_apart),
        cmocka_unit_test(clients_pass_the_door_one_by_one),
        cmocka_unit_test(a_client_that_is_refused_hears_which_limit),
        cmocka_unit_test(flags_hold_for_one_database_or_for_all),
        cmocka_unit_test(an_epoch_ends_for_one_database_or_for_all),
        cmocka_unit_test(a_credential_stays_while_its_secret_does),
        cmocka_unit_test(the_last_fault_is_kept_for_whoever_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
