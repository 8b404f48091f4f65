/* SPDX-License-Identifier: ISC */
/* Tokens: what a session has seen, and when that is known. */
#include "clusters.h"

static void
only_a_sample_sent_after_the_write_resolves_a_token(void **state)
{
    struct scene s;
    struct route_token t = { .lsn = 5, .unresolved_us = WROTE };

    (void)state;
    scene_init(&s, 2);
    s.nodes[0].sampled_us = WROTE;
    route_token_resolve(&t, &s.cluster, 0);
    s.nodes[0].sampled_us = WROTE + 1;
    s.cluster.primary = -1;
    route_token_resolve(&t, &s.cluster, 0);
    assert_int_equal(t.lsn, 5);
    assert_int_equal(t.unresolved_us, WROTE);
    s.cluster.primary = 0;
    route_token_resolve(&t, &s.cluster, 0);
    assert_int_equal(t.lsn, 1000);
    assert_int_equal(t.unresolved_us, 0);
}

/* Who wrote long ago reads on while nobody is the primary. */
static void
last_sample_of_a_lost_primary_resolves_a_token(void **state)
{
    struct scene s;
    struct route_token t = { .lsn = 5, .unresolved_us = WROTE };

    (void)state;
    scene_init(&s, 2);
    s.cluster.primary = -1;
    s.cluster.lost = 0;
    route_token_resolve(&t, &s.cluster, 0); /* several claim to be it */
    assert_int_equal(t.unresolved_us, WROTE);
    s.nodes[0].state = NODE_DOWN;
    s.nodes[0].sampled_us = WROTE;
    route_token_resolve(&t, &s.cluster, 0);
    assert_int_equal(t.unresolved_us, WROTE);
    s.nodes[0].sampled_us = WROTE + 1;
    route_token_resolve(&t, &s.cluster, 0);
    assert_int_equal(t.unresolved_us, 0);
    assert_int_equal(t.lsn, 1000);
}

/* Also after a switch to a primary that is behind what was seen. */
static void
token_never_falls(void **state)
{
    struct scene s;
    struct route_token t = { .lsn = 2000, .unresolved_us = WROTE };

    (void)state;
    scene_init(&s, 2);
    route_token_resolve(&t, &s.cluster, 0);
    assert_int_equal(t.unresolved_us, 0);
    assert_int_equal(t.lsn, 2000);
    route_token_saw(&t, &s.nodes[1]);
    assert_int_equal(t.lsn, 2000);
}

/* A session that has read on the node ON at WROTE, a moment after the samples. */
static void
scene_seen(struct scene *s, int on)
{
    scene_init(s, 3);
    for (unsigned i = 0; i < 3; i++)
        s->nodes[i].sampled_us = WROTE - 1;
    s->question.token = (struct route_token){ .seen_us = WROTE, .seen_on = on };
}

static void
reads_stay_on_a_replica_until_it_is_known_what_it_showed(void **state)
{
    struct scene s;

    (void)state;
    scene_seen(&s, 2);
    for (uint32_t i = 0; i < 50; i++) {
        s.question.random = i * 85000000;
        assert_int_equal(ask(&s), 2);
        assert_false(s.answer.wait_for_sample || s.answer.wait_for_seen);
    }
    s.question.consistency = CLUSTER_EVENTUAL;
    s.nodes[2].weight = 0;
    assert_int_equal(ask(&s), 1);
    s.question.consistency = -1;
    s.nodes[2].weight = 1;
    s.busy[2] = 5;
    assert_int_equal(ask(&s), 2);
    assert_true(s.answer.wait_for_seen);
    s.nodes[2].sampled_us = WROTE + 1;
    assert_int_equal(ask(&s), 1);
    s.nodes[2].lsn = 901;
    assert_int_equal(ask(&s), 2);
}

static void
reads_leave_a_replica_that_is_gone_by_a_sample_of_the_primary(void **state)
{
    struct scene s;

    (void)state;
    scene_seen(&s, 2);
    s.nodes[2].state = NODE_DOWN;
    assert_int_equal(ask(&s), 0);
    assert_string_equal(route_reason_text(s.answer.reason),
                        "replicas are not known to hold what the session has read yet");
    assert_true(s.answer.wait_for_sample && s.answer.wait_for_seen);
    s.nodes[0].sampled_us = WROTE + 1;
    assert_int_equal(ask(&s), 0);
    s.nodes[1].lsn = 1000;
    assert_int_equal(ask(&s), 1);
    s.nodes[0].sampled_us = WROTE - 1;
    s.question.token.seen_on = -1;
    assert_int_equal(ask(&s), 0);
    s.cluster.primary = -1; /* nobody can say what it showed */
    assert_int_equal(ask(&s), 1);
}

static void
what_was_read_on_the_primary_needs_a_later_sample_of_it(void **state)
{
    struct scene s;

    (void)state;
    scene_seen(&s, 0);
    s.nodes[1].lsn = s.nodes[2].lsn = 1000;
    s.nodes[1].sampled_us = s.nodes[2].sampled_us = NOW;
    assert_int_equal(ask(&s), 0);
    assert_true(s.answer.wait_for_seen);
    s.question.token.lsn = 2000; /* waiting is no use then */
    assert_int_equal(ask(&s), 0);
    assert_false(s.answer.wait_for_seen || s.answer.wait_for_sample);
    s.question.token.lsn = 0;
    s.nodes[0].sampled_us = WROTE + 1;
    assert_true(ask(&s) > 0);
    s.nodes[0].sampled_us = WROTE;
    s.nodes[0].state = NODE_DOWN;
    s.cluster.primary = -1;
    s.cluster.lost = 0;
    assert_int_equal(ask(&s), -1);
    assert_null(s.answer.refusal);
}

/* Where nobody writes, each read may go to another replica. */
static void
reads_are_spread_in_a_cluster_that_stands_still(void **state)
{
    struct scene s;

    (void)state;
    scene_seen(&s, 2);
    s.nodes[1].lsn = s.nodes[2].lsn = 1000;
    s.cluster.balance = CLUSTER_ROUND_ROBIN;
    s.cluster.moved_us = WROTE - 1 - 1000 * MS;
    assert_true(ask(&s) != ask(&s));
    s.question.global_unresolved_us = WROTE - 1;
    assert_true(ask(&s) == 2 && ask(&s) == 2);
    s.question.global_unresolved_us = 0;
    s.cluster.moved_us++;
    assert_true(ask(&s) == 2 && ask(&s) == 2);
}

/* A cluster whose primary is written to all the time, with replicas that follow at their own pace or not at
 * all, and samples that say where a node was some time after they were asked for. */
struct world {
    struct scene s;
    uint64_t at[3], seed;
    int64_t sent_us[3]; /* 0: none under way */
    int64_t now_us;
};

static void
world_turn(struct world *w)
{
    w->now_us += 50;
    w->at[0] += draw(&w->seed) % 3;
    for (unsigned i = 1; i < 3; i++)
        if (w->now_us / 20000 % 4 != i) /* it stands still */
            w->at[i] += (w->at[0] - w->at[i] + i) / (i == 1 ? 1 : 20);
    for (unsigned i = 0; i < 3; i++) {
        w->at[i] = i > 0 && w->at[i] > w->at[0] ? w->at[0] : w->at[i];
        if (w->sent_us[i] == 0 && once_in(&w->seed, 20)) {
            w->sent_us[i] = w->now_us;
        } else if (w->sent_us[i] != 0 && once_in(&w->seed, 3)) {
            w->s.nodes[i].lsn = w->at[i];
            w->s.nodes[i].sampled_us = w->sent_us[i];
            w->sent_us[i] = 0;
        }
    }
}

/* How many of N reads went back in time. MARKS: the session notes when it read. */
static unsigned
count_steps_back(unsigned n, bool marks, unsigned *on_replicas)
{
    struct world w = { .seed = 42, .now_us = NOW };
    struct route_token *t = &w.s.question.token;
    unsigned n_back = 0;
    uint64_t last = 0;

    scene_init(&w.s, 3);
    w.s.cluster.moved_us = INT64_MAX;
    *on_replicas = 0;
    for (unsigned i = 0; i < n; i++) {
        for (uint64_t think = draw(&w.seed) % 40; think > 0; think--)
            world_turn(&w);
        route_token_resolve(t, &w.s.cluster, 0);
        w.s.question.wish = once_in(&w.seed, 8) ? ROUTE_PRIMARY : ROUTE_AUTO;
        w.s.question.random = (uint32_t)draw(&w.seed);
        assert_true(ask(&w.s) >= 0);
        if (w.s.answer.node > 0)
            route_token_saw(t, &w.s.nodes[w.s.answer.node]);
        *on_replicas += w.s.answer.node > 0;
        world_turn(&w);
        n_back += w.at[w.s.answer.node] < last;
        last = w.at[w.s.answer.node];
        world_turn(&w);
        t->seen_us = marks ? w.now_us : 0;
        t->seen_on = w.s.answer.node;
    }
    return n_back;
}

static void
what_was_seen_is_seen_again(void **state)
{
    unsigned on_replicas;

    (void)state;
    assert_int_equal(count_steps_back(100000, true, &on_replicas), 0);
    assert_true(on_replicas > 20000);
    assert_true(count_steps_back(100000, false, &on_replicas) > 1000);
}

static void
known_positions_never_go_back(void **state)
{
    struct scene s;
    uint64_t seed = 3;

    (void)state;
    scene_init(&s, 4);
    s.cluster.balance = CLUSTER_ROUND_ROBIN;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t seen = s.question.token.lsn;

        for (unsigned j = 1; j < 4; j++)
            s.nodes[j].lsn += draw(&seed) % 5;
        if (ask(&s) == 0)
            continue;
        assert_true(s.nodes[s.answer.node].lsn >= seen);
        route_token_saw(&s.question.token, &s.nodes[s.answer.node]);
        assert_true(s.question.token.lsn == s.nodes[s.answer.node].lsn);
    }
    assert_true(s.question.token.lsn > 900);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_sample_sent_after_the_write_resolves_a_token),
        cmocka_unit_test(token_never_falls),
        cmocka_unit_test(last_sample_of_a_lost_primary_resolves_a_token),
        cmocka_unit_test(reads_stay_on_a_replica_until_it_is_known_what_it_showed),
        cmocka_unit_test(reads_leave_a_replica_that_is_gone_by_a_sample_of_the_primary),
        cmocka_unit_test(what_was_read_on_the_primary_needs_a_later_sample_of_it),
        cmocka_unit_test(reads_are_spread_in_a_cluster_that_stands_still),
        cmocka_unit_test(what_was_seen_is_seen_again),
        cmocka_unit_test(known_positions_never_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
