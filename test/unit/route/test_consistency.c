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
    assert_false(route_token_resolve(&t, &s.cluster));
    s.nodes[0].sampled_us = WROTE + 1;
    s.cluster.primary = -1;
    assert_false(route_token_resolve(&t, &s.cluster));
    assert_int_equal(t.lsn, 5);
    assert_int_equal(t.unresolved_us, WROTE);
    s.cluster.primary = 0;
    assert_true(route_token_resolve(&t, &s.cluster));
    assert_int_equal(t.lsn, 1000);
    assert_int_equal(t.unresolved_us, 0);
    assert_false(route_token_resolve(&t, &s.cluster));
}

/* Also after a switch to a primary that is behind what was seen. */
static void
token_never_falls(void **state)
{
    struct scene s;
    struct route_token t = { .lsn = 2000, .unresolved_us = WROTE };

    (void)state;
    scene_init(&s, 2);
    assert_true(route_token_resolve(&t, &s.cluster));
    assert_int_equal(t.lsn, 2000);
    route_token_saw(&t, &s.nodes[1]);
    assert_int_equal(t.lsn, 2000);
}

static void
reads_never_go_back_in_time(void **state)
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
        cmocka_unit_test(reads_never_go_back_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
