/* SPDX-License-Identifier: ISC */
/* Who of the legal replicas gets how much. */
#include <stdlib.h>

#include "clusters.h"

#define ROUNDS 60000

/* How often each node was chosen in ROUNDS reads; HELD of them are running at any time. */
static void
count(struct scene *s, unsigned held, unsigned got[MOST])
{
    uint64_t seed = 99;
    int running[64];

    memset(got, 0, MOST * sizeof(*got));
    assert_true(held <= COUNT(running));
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (held > 0 && i >= held)
            s->busy[running[i % held]]--;
        s->question.random = (uint32_t)(draw(&seed) >> 16);
        s->question.client_hash = (uint32_t)(draw(&seed) >> 16);
        assert_true(ask(s) >= 0);
        got[s->answer.node]++;
        if (held > 0) {
            s->busy[s->answer.node]++;
            running[i % held] = s->answer.node;
        }
    }
}

/* GOT is PART of WHOLE of all reads, give or take one in a hundred of them. */
static void
assert_part(unsigned got, unsigned part, unsigned whole)
{
    int expected = (int)(ROUNDS * part / whole);

    assert_true(abs((int)got - expected) < ROUNDS / 100);
}

static void
assert_weights_are_shares(enum cluster_balance balance, unsigned held)
{
    struct scene s;
    unsigned got[MOST];

    scene_init(&s, 4);
    s.cluster.balance = balance;
    s.nodes[1].weight = 1;
    s.nodes[2].weight = 2;
    s.nodes[3].weight = 5;
    count(&s, held, got);
    assert_int_equal(got[0], 0);
    assert_part(got[1], 1, 8);
    assert_part(got[2], 2, 8);
    assert_part(got[3], 5, 8);
}

static void
shares_follow_weights(void **state)
{
    (void)state;
    assert_weights_are_shares(CLUSTER_ROUND_ROBIN, 0);
    assert_weights_are_shares(CLUSTER_ROUND_ROBIN, 8);
    assert_weights_are_shares(CLUSTER_LEAST_CONN, 0);
    assert_weights_are_shares(CLUSTER_LEAST_CONN, 64);
    assert_weights_are_shares(CLUSTER_HASH, 0);
}

static void
equal_replicas_take_strict_turns(void **state)
{
    struct scene s;
    int first;

    (void)state;
    scene_init(&s, 4);
    s.cluster.balance = CLUSTER_ROUND_ROBIN;
    first = ask(&s);
    for (int i = 1; i < 30; i++)
        assert_int_equal(ask(&s), 1 + (first - 1 + i) % 3);
}

static void
least_conn_takes_the_least_busy(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 4);
    s.nodes[3].weight = 4;
    s.busy[1] = 3;
    s.busy[2] = 2;
    s.busy[3] = 7;
    for (uint32_t i = 0; i < 50; i++) {
        s.question.random = i * 85000000;
        assert_int_equal(ask(&s), 3);
        s.busy[3] = 9;
        assert_int_equal(ask(&s), 2);
        s.busy[3] = 7;
    }
}

static void
latency_avoids_the_slowest_and_the_most_busy(void **state)
{
    struct scene s;
    unsigned got[MOST];

    (void)state;
    scene_init(&s, 4);
    s.cluster.balance = CLUSTER_LATENCY;
    s.nodes[1].rtt_us = 1000;
    s.nodes[2].rtt_us = 500;
    s.nodes[3].rtt_us = 100;
    count(&s, 0, got);
    assert_int_equal(got[1], 0);
    assert_part(got[2], 1, 3);
    assert_part(got[3], 2, 3);
    s.busy[3] = 20;
    count(&s, 0, got);
    assert_int_equal(got[3], 0);
    assert_part(got[1], 1, 3);
}

static void
hash_is_stable_when_an_unrelated_node_leaves(void **state)
{
    struct scene s, less;
    uint64_t seed = 5;
    unsigned n_moved = 0;

    (void)state;
    scene_init(&s, 5);
    s.cluster.balance = CLUSTER_HASH;
    for (unsigned i = 1; i < 5; i++)
        s.nodes[i].weight = i;
    for (unsigned i = 0; i < 10000; i++) {
        int gone = 1 + (int)(draw(&seed) % 4);

        s.question.client_hash = (uint32_t)(draw(&seed) >> 16);
        less = s;
        less.cluster.nodes = less.nodes;
        memmove(&less.nodes[gone], &less.nodes[gone + 1], (size_t)(4 - gone) * sizeof(less.nodes[0]));
        less.cluster.n_nodes = 4;
        assert_true(ask(&s) > 0 && ask(&less) > 0);
        if (s.answer.node == gone)
            n_moved++;
        else
            assert_string_equal(less.nodes[less.answer.node].name, s.nodes[s.answer.node].name);
    }
    assert_true(n_moved > 1000);
}

static void
zone_of_the_cluster_comes_first(void **state)
{
    static char here[] = "here", there[] = "there";
    struct scene s;
    unsigned got[MOST];

    (void)state;
    scene_init(&s, 5);
    s.cluster.zone = here;
    s.nodes[1].zone = there;
    s.nodes[2].zone = s.nodes[4].zone = here;
    for (int b = CLUSTER_LEAST_CONN; b <= CLUSTER_HASH; b++) {
        s.cluster.balance = (enum cluster_balance)b;
        count(&s, 0, got);
        assert_int_equal(got[1] + got[3], 0);
        assert_part(got[2], 1, 2);
    }
    s.nodes[2].lag_us = 5000 * MS;
    assert_int_equal(ask(&s), 4);
    s.nodes[4].state = NODE_BANNED;
    assert_true(ask(&s) == 1 || s.answer.node == 3);
}

static void
returned_replica_gets_its_share_little_by_little(void **state)
{
    static const enum cluster_balance kinds[] = { CLUSTER_ROUND_ROBIN, CLUSTER_HASH, CLUSTER_LEAST_CONN };
    struct scene s;
    unsigned got[MOST];

    (void)state;
    scene_init(&s, 3);
    s.cluster.slow_start_us = 9000 * MS;
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        s.cluster.balance = kinds[i];
        s.nodes[2].up_since_us = NOW + 5;
        count(&s, 0, got);
        assert_part(got[2], 0, 1);
        s.nodes[2].up_since_us = NOW - 3000 * MS;
        count(&s, 0, got);
        assert_part(got[2], 1, 4);
        s.nodes[2].up_since_us = NOW - 9000 * MS;
        count(&s, 0, got);
        assert_part(got[2], 1, 2);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(equal_replicas_take_strict_turns),
        cmocka_unit_test(least_conn_takes_the_least_busy),
        cmocka_unit_test(latency_avoids_the_slowest_and_the_most_busy),
        cmocka_unit_test(hash_is_stable_when_an_unrelated_node_leaves),
        cmocka_unit_test(zone_of_the_cluster_comes_first),
        cmocka_unit_test(returned_replica_gets_its_share_little_by_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
