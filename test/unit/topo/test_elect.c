/* SPDX-License-Identifier: ISC */
#include "elect_private.h"

#include <stdio.h>

#include "base/unit.h"

#define ID                  UINT64_C(7710657440388725669)
#define IN_OFFICE(e, nodes) elect(&(e), (nodes), COUNT(nodes))

static struct elect_node
primary(uint32_t timeline)
{
    return (struct elect_node){
        .name = "p", .up = true, .tried = true, .role = NODE_PRIMARY, .timeline = timeline, .system_id = ID
    };
}

static struct elect_node
replica(uint32_t timeline, uint64_t received)
{
    return (struct elect_node){ .name = "r",
                                .up = true,
                                .tried = true,
                                .role = NODE_REPLICA,
                                .timeline = timeline,
                                .system_id = ID,
                                .received = received,
                                .stream = ELECT_CUT_OFF };
}

static struct elect_node
of(struct elect_node n, uint64_t system_id)
{
    n.system_id = system_id;
    return n;
}

static struct elect_node
down(struct elect_node n)
{
    n.up = false;
    return n;
}

static void
highest_timeline_wins_and_the_others_are_fenced(void **state)
{
    struct elect_node nodes[] = { primary(1), primary(3), primary(2), replica(1, 5) };
    struct elected e = { .primary = -1 };

    (void)state;
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, 1);
    assert_true(nodes[0].fenced && !nodes[1].fenced && nodes[2].fenced && !nodes[3].fenced);
    assert_true(nodes[0].reason[0] != '\0' && nodes[1].reason[0] == '\0');
}

static void
equal_timelines_elect_nobody(void **state)
{
    struct elect_node nodes[] = { primary(1), primary(2), primary(2) };
    struct elected e = { .primary = -1 };

    (void)state;
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, -1);
    assert_true(e.tied);
    assert_true(nodes[0].fenced && nodes[1].fenced && nodes[2].fenced);
    nodes[1] = down(nodes[1]);
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, 2);
    assert_false(e.tied);
}

static void
nobody_is_elected_before_all_were_tried(void **state)
{
    struct elect_node nodes[] = { primary(1), { .name = "late" } };
    struct elected e = { .primary = -1 };

    (void)state;
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, -1);
    nodes[1].tried = true;
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, 0);
}

/* One that comes while the elected one is down, with an older timeline, is yesterday's. */
static void
older_timeline_than_any_elected_claims_in_vain(void **state)
{
    struct elect_node nodes[] = { primary(1), primary(2) };
    struct elected e = { .primary = -1 };

    (void)state;
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, 1);
    nodes[1] = down(nodes[1]);
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, -1);
    assert_true(nodes[0].fenced);
    nodes[1].up = true;
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, 1);
}

static void
stranger_is_fenced_and_never_elected(void **state)
{
    struct elect_node nodes[] = { of(primary(9), 1), primary(2), replica(2, 1), of(replica(2, 1), 2) };
    struct elected e = { .primary = -1 };

    (void)state;
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, 1);
    assert_true(nodes[0].fenced && !nodes[1].fenced && !nodes[2].fenced && nodes[3].fenced);
    nodes[1] = down(nodes[1]); /* the identifier stays, even when strangers are more */
    nodes[2] = of(nodes[2], 1);
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, -1);
    assert_true(e.system_id == ID);
}

static void
cluster_made_anew_is_accepted(void **state)
{
    struct elect_node nodes[] = { primary(5), replica(5, 1) };
    struct elected e = { .primary = -1 };

    (void)state;
    IN_OFFICE(e, nodes);
    nodes[0] = of(primary(1), 3);
    nodes[1] = of(replica(1, 1), 3);
    IN_OFFICE(e, nodes);
    assert_int_equal(e.primary, 0);
    assert_true(e.system_id == 3 && e.timeline == 1);
}

static void
happen(struct elect_node *n, uint64_t *random)
{
    n->tried = true;
    n->up = draw(random) % 4 != 0;
    if (!n->up)
        return;
    n->role = draw(random) % 3 == 0 ? NODE_PRIMARY : NODE_REPLICA;
    n->timeline = 1 + (uint32_t)(draw(random) % 4);
    n->system_id = draw(random) % 8 == 0 ? 2 : 1;
}

static void
assert_judged(const struct elected *e, const struct elect_node *n, bool elected, bool all_tried)
{
    bool claim = n->up && n->role == NODE_PRIMARY, ours = n->system_id == e->system_id;

    if (elected)
        assert_true(claim && ours && !n->fenced && n->timeline == e->timeline);
    else if (all_tried || e->settled)
        assert_true(n->fenced == (claim || (n->up && !ours)));
    if (claim && ours && !elected && e->primary != -1)
        assert_true(n->timeline < e->timeline);
}

/* Whatever happens: who is elected is up, not in recovery, of the cluster, on a timeline nobody beats, and
 * alone; everybody else who claims is fenced; and no timeline is elected below an earlier one of the same
 * cluster. */
static void
rules_hold_in_every_order_of_events(void **state)
{
    uint64_t random = 104729;

    (void)state;
    for (unsigned step = 0, n_tried = 0; step < 20000; step++) {
        static struct elect_node nodes[4];
        static struct elected e, before;

        if (step % 60 == 0) {
            memset(nodes, 0, sizeof(nodes));
            e = (struct elected){ .primary = -1 };
        }
        happen(&nodes[draw(&random) % 4], &random);
        n_tried = nodes[0].tried + nodes[1].tried + nodes[2].tried + nodes[3].tried;
        before = e;
        for (unsigned i = 0; i < 4; i++)
            nodes[i].name = "n";
        IN_OFFICE(e, nodes);
        assert_true(e.system_id != before.system_id || e.timeline >= before.timeline);
        for (int i = 0; i < 4; i++)
            assert_judged(&e, &nodes[i], i == e.primary, n_tried == 4);
    }
}

/* ---- the heir ---- */

static void
most_advanced_replica_is_the_heir(void **state)
{
    struct elect_node nodes[] = { down(primary(2)), replica(2, 10), replica(2, 30), replica(1, 99) };
    struct elected e = { .primary = -1, .system_id = ID, .settled = true, .timeline = 2 };

    (void)state;
    assert_int_equal(elect_heir(&e, nodes, COUNT(nodes), 0), 2);
    nodes[2].barred = true;
    assert_int_equal(elect_heir(&e, nodes, COUNT(nodes), 0), 1);
}

static void
no_heir_while_most_replicas_are_not_cut_off(void **state)
{
    struct elect_node nodes[] = { down(primary(1)), replica(1, 1), replica(1, 2), replica(1, 3) };
    struct elected e = { .primary = -1, .system_id = ID, .settled = true, .timeline = 1 };

    (void)state;
    nodes[1].stream = ELECT_STREAMS;
    assert_int_equal(elect_heir(&e, nodes, COUNT(nodes), 0), 3);
    nodes[2].stream = ELECT_UNTOLD;
    assert_int_equal(elect_heir(&e, nodes, COUNT(nodes), 0), -1);
    nodes[2] = down(replica(1, 2));
    assert_int_equal(elect_heir(&e, nodes, COUNT(nodes), 0), -1);
    nodes[1].stream = ELECT_CUT_OFF;
    assert_int_equal(elect_heir(&e, nodes, COUNT(nodes), 0), 3);
    nodes[2] = primary(1);
    assert_int_equal(elect_heir(&e, nodes, COUNT(nodes), 0), -1);
}

/* ---- the successor by order ---- */

static int
successor(const struct elected *e, const struct elect_node *nodes, const char *name, struct fault *why)
{
    struct ballot b = { e, nodes, 4 };

    return elect_successor(&b, slice_str(name), why);
}

static void
most_advanced_replica_that_can_takes_over(void **state)
{
    struct elect_node nodes[] = { primary(2), replica(2, 10), replica(2, 30), replica(2, 20) };
    struct elected e = { .primary = 0, .system_id = ID, .settled = true, .timeline = 2 };
    struct fault why;

    (void)state;
    for (unsigned i = 1; i < COUNT(nodes); i++)
        nodes[i].stream = i == 1 ? ELECT_UNTOLD : ELECT_STREAMS;
    assert_int_equal(successor(&e, nodes, "", &why), 2);
    nodes[2].behind = true;
    assert_int_equal(successor(&e, nodes, "", &why), 3);
    nodes[3].barred = true;
    assert_int_equal(successor(&e, nodes, "", &why), 1);
    nodes[1].stream = ELECT_CUT_OFF;
    assert_int_equal(successor(&e, nodes, "", &why), -1);
    assert_string_equal(why.sqlstate, "55000");
    assert_non_null(strstr(why.detail, "lags"));
    e.primary = -1;
    nodes[2].behind = false;
    assert_int_equal(successor(&e, nodes, "", &why), -1);
    assert_string_equal(why.message, "nobody is the primary now");
}

static void
named_node_takes_over_or_it_is_said_why_not(void **state)
{
    struct elect_node nodes[] = { primary(2), replica(2, 10), replica(1, 30), down(replica(2, 20)) };
    struct elected e = { .primary = 0, .system_id = ID, .settled = true, .timeline = 2 };
    static const char *const names[] = { "a", "b", "c", "d" }, *const bars[] = { "already", NULL, "timeline",
                                                                                 "down" };
    struct fault why;

    (void)state;
    nodes[1].stream = nodes[2].stream = nodes[3].stream = ELECT_STREAMS;
    for (unsigned i = 0; i < 4; i++)
        nodes[i].name = names[i];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(successor(&e, nodes, names[i], &why), bars[i] == NULL ? (int)i : -1);
        if (bars[i] != NULL)
            assert_non_null(strstr(why.detail, bars[i]));
    }
    nodes[1] = of(nodes[1], ID + 1);
    assert_int_equal(successor(&e, nodes, "b", &why), -1);
    assert_int_equal(successor(&e, nodes, "e", &why), -1);
    assert_string_equal(why.sqlstate, "42704");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(highest_timeline_wins_and_the_others_are_fenced),
        cmocka_unit_test(equal_timelines_elect_nobody),
        cmocka_unit_test(nobody_is_elected_before_all_were_tried),
        cmocka_unit_test(older_timeline_than_any_elected_claims_in_vain),
        cmocka_unit_test(stranger_is_fenced_and_never_elected),
        cmocka_unit_test(cluster_made_anew_is_accepted),
        cmocka_unit_test(rules_hold_in_every_order_of_events),
        cmocka_unit_test(most_advanced_replica_is_the_heir),
        cmocka_unit_test(no_heir_while_most_replicas_are_not_cut_off),
        cmocka_unit_test(most_advanced_replica_that_can_takes_over),
        cmocka_unit_test(named_node_takes_over_or_it_is_said_why_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
