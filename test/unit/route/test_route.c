/* SPDX-License-Identifier: ISC */
/* Who gets a statement: rules on a small cluster, and what holds on every cluster for every question. */
#include "clusters.h"

#define ROUNDS 200000

/* ---- rules ---- */

#define assert_routed(s, to, because)                                        \
    do {                                                                     \
        assert_int_equal(ask(s), (to));                                      \
        assert_string_equal(route_reason_text((s)->answer.reason), because); \
    } while (0)

static void
reads_go_to_a_replica_and_the_rest_to_the_primary(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    assert_routed(&s, 1, "read");
    s.question.is_read = false;
    assert_routed(&s, 0, "write");
    s.question.is_doubt = true;
    assert_routed(&s, 0, "not surely a read");
    s.question.in_transaction = true;
    assert_routed(&s, 0, "in a transaction block");
    s.question.is_read = true;
    assert_routed(&s, 0, "in a transaction block");
    s.question.read_only = true;
    assert_routed(&s, 1, "read-only transaction");
    s.question.is_read = false;
    assert_routed(&s, 1, "read-only transaction");
    s.question.in_transaction = false;
    assert_int_equal(ask(&s), 0);
}

static void
wishes_are_obeyed(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.question.wish = ROUTE_PRIMARY;
    assert_routed(&s, 0, "pgweir.route = primary");
    s.question.wish = ROUTE_REPLICA;
    assert_routed(&s, 1, "pgweir.route = replica");
    s.question.wish = ROUTE_PREFER_REPLICA;
    assert_routed(&s, 1, "pgweir.route = prefer-replica");
    s.question.is_read = false;
    assert_routed(&s, 0, "write");
    s.question.wish = ROUTE_NODE;
    s.question.node = "pg1";
    assert_routed(&s, 1, "pgweir.route names the node");
    s.nodes[1].state = NODE_LAGGING;
    assert_int_equal(ask(&s), 1);
    s.nodes[1].state = NODE_DRAINING;
    assert_routed(&s, -1, "pgweir.route names the node");
    assert_null(s.answer.refusal);
    s.question.node = "pg";
    assert_int_equal(ask(&s), -1);
    assert_string_equal(s.answer.sqlstate, "57P03");
}

/* PostgreSQL refuses writes there itself, in its own words. */
static void
entry_for_replicas_refuses_writes_and_passes_what_may_be_none(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.question.wish = ROUTE_REPLICA;
    s.question.is_read = false;
    assert_int_equal(ask(&s), -1);
    assert_string_equal(s.answer.sqlstate, "25006");
    assert_string_equal(s.answer.refusal, "cannot execute a write on a read-only entry");
    s.question.is_doubt = true;
    assert_routed(&s, 1, "pgweir.route = replica");
    s.question.is_doubt = false;
    s.question.in_transaction = true;
    assert_routed(&s, 1, "pgweir.route = replica");
}

static void
unresolved_token_keeps_reads_on_the_primary_until_a_later_sample(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.question.token.unresolved_us = s.nodes[0].sampled_us;
    assert_routed(&s, 0, "replicas are not known to hold the session's last write yet");
    assert_true(s.answer.wait_for_sample);
    s.question.wish = ROUTE_REPLICA;
    assert_int_equal(ask(&s), -1);
    assert_true(s.answer.wait_for_sample);
    assert_null(s.answer.refusal);
    s.question.wish = ROUTE_AUTO;
    s.question.consistency = CLUSTER_EVENTUAL;
    assert_int_equal(ask(&s), 1);
    s.question.consistency = -1;
    s.nodes[0].sampled_us++;
    assert_routed(&s, 0, "no replica holds what the session has seen yet");
    assert_false(s.answer.wait_for_sample);
    s.nodes[1].lsn = 1000;
    assert_int_equal(ask(&s), 1);
    /* The question's token is the session's own to change. */
    assert_int_equal(s.question.token.lsn, 0);
}

static void
nobody_asks_for_a_sample_that_would_not_help(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.question.token.unresolved_us = NOW;
    s.nodes[1].lag_us = 5000 * MS;
    assert_routed(&s, 0, "all replicas lag more than max_lag");
    assert_false(s.answer.wait_for_sample);
    s.nodes[1].state = NODE_DOWN;
    assert_routed(&s, 0, "no replica is up");
    assert_false(s.answer.wait_for_sample);
    s.cluster.n_nodes = 1;
    assert_routed(&s, 0, "one server");
    assert_false(s.answer.wait_for_sample);
}

static void
read_that_is_ahead_waits_only_where_waiting_is_allowed(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.question.token.lsn = 901;
    assert_routed(&s, 0, "no replica holds what the session has seen yet");
    assert_false(s.answer.wait_for_replay);
    s.cluster.replica_wait_us = 1;
    assert_int_equal(ask(&s), 0);
    assert_true(s.answer.wait_for_replay);
    s.question.wish = ROUTE_REPLICA;
    s.cluster.replica_wait_us = 0;
    assert_int_equal(ask(&s), -1);
    assert_true(s.answer.wait_for_replay);
    assert_null(s.answer.refusal);
}

static void
global_consistency_needs_what_all_sessions_wrote(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.question.global_lsn = 901;
    assert_int_equal(ask(&s), 1);
    s.question.consistency = CLUSTER_GLOBAL;
    assert_int_equal(ask(&s), 0);
    s.question.global_lsn = 900;
    assert_int_equal(ask(&s), 1);
    s.question.global_unresolved_us = NOW;
    assert_int_equal(ask(&s), 0);
    assert_true(s.answer.wait_for_sample);
}

static void
without_a_primary_reads_live_on_and_writes_are_held(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.cluster.primary = -1;
    s.nodes[0].state = NODE_DOWN;
    assert_routed(&s, 1, "read");
    s.question.token.unresolved_us = WROTE;
    assert_routed(&s, -1, "nobody is the primary");
    assert_null(s.answer.refusal);
    s.question.wish = ROUTE_REPLICA;
    assert_routed(&s, -1, "nobody is the primary");
    s.question.wish = ROUTE_AUTO;
    s.question.token.unresolved_us = 0;
    s.question.is_read = false;
    assert_routed(&s, -1, "nobody is the primary");
    assert_null(s.answer.refusal);
    s.question.is_read = true;
    s.nodes[1].state = NODE_DOWN;
    assert_routed(&s, -1, "no node is up");
}

static void
during_a_switchover_reads_live_on_and_the_rest_is_held(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.cluster.switching = true;
    assert_routed(&s, 1, "read");
    s.question.token.unresolved_us = NOW; /* not known yet, but soon: the primary is sampled as before */
    assert_routed(&s, -1, "a switchover is under way");
    assert_true(s.answer.wait_for_sample);
    assert_null(s.answer.refusal);
    s.question.wish = ROUTE_NODE;
    s.question.node = "pg0";
    assert_int_equal(ask(&s), -1);
    assert_null(s.answer.refusal);
    s.question.wish = ROUTE_AUTO;
    s.question.is_read = false;
    assert_routed(&s, -1, "a switchover is under way");
    assert_null(s.answer.refusal);
}

static void
replica_on_another_timeline_is_not_trusted(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.nodes[1].timeline = 2;
    assert_routed(&s, 0, "no replica is known to follow the primary");
    s.nodes[1].timeline = 0;
    assert_int_equal(ask(&s), 1);
    s.question.token.lsn = 1;
    assert_routed(&s, 0, "no replica is known to follow the primary");
    s.nodes[0].timeline = 0;
    assert_int_equal(ask(&s), 1);
}

static void
own_limit_of_a_question_replaces_the_clusters(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    s.nodes[1].state = NODE_LAGGING;
    s.nodes[1].lag_us = 5000 * MS;
    assert_int_equal(ask(&s), 0);
    s.question.max_lag_us = 5000 * MS;
    assert_int_equal(ask(&s), 1);
    s.question.max_lag_us--;
    assert_int_equal(ask(&s), 0);
    s.question.max_lag_us = 0;
    s.nodes[1].lag_us = -1;
    assert_int_equal(ask(&s), 1);
    s.question.max_lag_us = INT64_MAX;
    assert_int_equal(ask(&s), 0);
}

static void
replica_of_weight_zero_serves_who_asks_for_it_or_has_no_other(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s, 3);
    s.nodes[1].weight = 0;
    for (uint32_t i = 0; i < 100; i++) {
        s.question.random = i * 43000000;
        assert_int_equal(ask(&s), 2);
    }
    s.nodes[2].state = NODE_DOWN;
    assert_int_equal(ask(&s), 0);
    s.question.wish = ROUTE_PREFER_REPLICA;
    assert_int_equal(ask(&s), 0);
    s.question.wish = ROUTE_REPLICA;
    assert_int_equal(ask(&s), 1);
    s.question.wish = ROUTE_NODE;
    s.question.node = "pg1";
    assert_int_equal(ask(&s), 1);
}

static void
huge_cluster_uses_its_first_nodes(void **state)
{
    static struct node many[ROUTE_MAX_NODES + 10];
    static unsigned busy[COUNT(many)];
    bool used[COUNT(many)] = { false };
    struct scene s;

    (void)state;
    scene_init(&s, 2);
    for (unsigned i = 0; i < COUNT(many); i++)
        many[i] = s.nodes[i > 0];
    s.cluster.nodes = many;
    s.cluster.n_nodes = COUNT(many);
    s.cluster.balance = CLUSTER_ROUND_ROBIN;
    s.question.busy = busy;
    for (unsigned i = 0; i < 2 * COUNT(many); i++) {
        assert_true(ask(&s) > 0);
        used[s.answer.node] = true;
    }
    for (unsigned i = 0; i < COUNT(many); i++)
        assert_int_equal(used[i], i > 0 && i < ROUTE_MAX_NODES);
}

/* ---- what holds for every cluster ---- */

static bool
is_held(const struct scene *s)
{
    return s->answer.node == -1 && s->answer.refusal == NULL;
}

static int
consistency_of(const struct scene *s)
{
    return s->question.consistency >= 0 ? s->question.consistency : (int)s->cluster.consistency;
}

static bool
covered(const struct scene *s, int64_t unresolved_us)
{
    return unresolved_us == 0 ||
           (s->cluster.primary >= 0 && s->nodes[s->cluster.primary].sampled_us > unresolved_us);
}

static void
node_may_get_new_work(const struct scene *s)
{
    enum node_state state = s->nodes[s->answer.node].state;

    assert_true(state == NODE_UP || state == NODE_LAGGING);
}

static void
statement_may_run_on_a_replica(const struct scene *s)
{
    const struct route_question *q = &s->question;

    if (q->wish == ROUTE_REPLICA)
        assert_true(q->is_read || q->is_doubt || q->in_transaction);
    else if (q->in_transaction)
        assert_true(q->read_only);
    else
        assert_true(q->is_read);
    assert_true(q->wish != ROUTE_PRIMARY);
}

static void
lag_is_within_limits(const struct scene *s, const struct node *n)
{
    int64_t limit_us = s->question.max_lag_us >= 0 ? s->question.max_lag_us : s->cluster.max_lag_us;

    assert_true(limit_us == 0 || (n->lag_us >= 0 && n->lag_us <= limit_us));
    assert_true(s->cluster.max_lag_bytes == 0 ||
                (n->lag_bytes >= 0 && n->lag_bytes <= s->cluster.max_lag_bytes));
    assert_true(n->state == NODE_UP || s->question.max_lag_us >= 0);
}

static void
lsn_is_reached(const struct scene *s, const struct node *n)
{
    const struct route_question *q = &s->question;
    int consistency = consistency_of(s);
    uint64_t now = s->cluster.primary >= 0 ? s->nodes[s->cluster.primary].lsn : 0;

    assert_true(n->lsn >= q->min_lsn);
    if (consistency == CLUSTER_EVENTUAL)
        return;
    assert_true(n->lsn >= q->token.lsn);
    assert_true(covered(s, q->token.unresolved_us));
    assert_true(q->token.unresolved_us == 0 || n->lsn >= now);
    if (consistency == CLUSTER_SESSION)
        return;
    assert_true(n->lsn >= q->global_lsn);
    assert_true(covered(s, q->global_unresolved_us));
    assert_true(q->global_unresolved_us == 0 || n->lsn >= now);
}

static void
every_choice_is_legal(void **state)
{
    uint64_t seed = 4711;
    unsigned n_replicas = 0, n_primaries = 0, n_held = 0, n_refused = 0;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct scene s;
        int node;

        random_scene(&s, &seed);
        node = ask(&s);
        assert_true(node >= -1 && node < (int)s.cluster.n_nodes);
        assert_true(s.answer.reason < ROUTE_N_REASONS);
        assert_true((s.answer.refusal == NULL) == (s.answer.sqlstate == NULL));
        assert_true(node == -1 || s.answer.refusal == NULL);
        n_held += is_held(&s);
        n_refused += node == -1 && !is_held(&s);
        if (node == -1)
            continue;
        node_may_get_new_work(&s);
        if (s.question.wish == ROUTE_NODE) {
            assert_string_equal(s.nodes[node].name, s.question.node);
        } else if (node == s.cluster.primary) {
            assert_true(s.question.wish != ROUTE_REPLICA);
            n_primaries++;
        } else {
            assert_int_equal(s.nodes[node].role, NODE_REPLICA);
            statement_may_run_on_a_replica(&s);
            lag_is_within_limits(&s, &s.nodes[node]);
            lsn_is_reached(&s, &s.nodes[node]);
            n_replicas++;
        }
    }
    /* The questions are of all kinds. */
    assert_true(n_replicas > ROUNDS / 20 && n_primaries > ROUNDS / 20 && n_held > ROUNDS / 20 &&
                n_refused > ROUNDS / 100);
}

/* A legal replica: up, of weight, on the timeline, within limits, with the LSN. The other way round of the
 * above. */
static bool
is_legal(const struct scene *s, const struct node *n)
{
    const struct route_question *q = &s->question;
    int64_t limit_us = q->max_lag_us >= 0 ? q->max_lag_us : s->cluster.max_lag_us;
    uint64_t now = s->cluster.primary >= 0 ? s->nodes[s->cluster.primary].lsn : 0;
    int consistency = consistency_of(s);

    return n->role == NODE_REPLICA && n->state == NODE_UP && n->weight > 0 &&
           (s->cluster.primary < 0 || n->timeline == s->nodes[s->cluster.primary].timeline) &&
           (limit_us == 0 || (n->lag_us >= 0 && n->lag_us <= limit_us)) &&
           (s->cluster.max_lag_bytes == 0 || (n->lag_bytes >= 0 && n->lag_bytes <= s->cluster.max_lag_bytes)) &&
           n->lsn >= q->min_lsn &&
           (consistency == CLUSTER_EVENTUAL ||
            (n->lsn >= q->token.lsn && (q->token.unresolved_us == 0 || n->lsn >= now) &&
             covered(s, q->token.unresolved_us))) &&
           (consistency != CLUSTER_GLOBAL ||
            (n->lsn >= q->global_lsn && (q->global_unresolved_us == 0 || n->lsn >= now) &&
             covered(s, q->global_unresolved_us)));
}

static void
read_leaves_the_primary_alone_when_a_replica_is_legal(void **state)
{
    uint64_t seed = 815;
    unsigned n_legal = 0;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct scene s;
        bool some = false;

        random_scene(&s, &seed);
        s.question.is_read = true;
        s.question.in_transaction = false;
        if (s.question.wish == ROUTE_NODE || s.question.wish == ROUTE_PRIMARY)
            s.question.wish = ROUTE_AUTO;
        for (unsigned j = 0; j < s.cluster.n_nodes; j++)
            some = some || is_legal(&s, &s.nodes[j]);
        if (!some)
            continue;
        n_legal++;
        assert_true(ask(&s) >= 0 && s.answer.node != s.cluster.primary);
        assert_false(s.answer.wait_for_sample || s.answer.wait_for_replay);
    }
    assert_true(n_legal > ROUNDS / 10);
}

static void
every_reason_has_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < ROUTE_N_REASONS; i++)
        assert_true(strlen(route_reason_text((enum route_reason)i)) > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_go_to_a_replica_and_the_rest_to_the_primary),
        cmocka_unit_test(wishes_are_obeyed),
        cmocka_unit_test(entry_for_replicas_refuses_writes_and_passes_what_may_be_none),
        cmocka_unit_test(unresolved_token_keeps_reads_on_the_primary_until_a_later_sample),
        cmocka_unit_test(nobody_asks_for_a_sample_that_would_not_help),
        cmocka_unit_test(read_that_is_ahead_waits_only_where_waiting_is_allowed),
        cmocka_unit_test(global_consistency_needs_what_all_sessions_wrote),
        cmocka_unit_test(without_a_primary_reads_live_on_and_writes_are_held),
        cmocka_unit_test(during_a_switchover_reads_live_on_and_the_rest_is_held),
        cmocka_unit_test(replica_on_another_timeline_is_not_trusted),
        cmocka_unit_test(own_limit_of_a_question_replaces_the_clusters),
        cmocka_unit_test(replica_of_weight_zero_serves_who_asks_for_it_or_has_no_other),
        cmocka_unit_test(huge_cluster_uses_its_first_nodes),
        cmocka_unit_test(every_choice_is_legal),
        cmocka_unit_test(read_leaves_the_primary_alone_when_a_replica_is_legal),
        cmocka_unit_test(every_reason_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
