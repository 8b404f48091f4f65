/* SPDX-License-Identifier: ISC */
/* The table of states, walked. */
#include "base/unit.h"

#include "server/server.h"

static const struct {
    unsigned next;
} states[] = {
#define TO(name)                   (1u << SERVER_##name)
#define STATE(name, handler, next) { next },
#include "server/server_states.def"
#undef STATE
#undef TO
};

/* The set of states that can be reached from FROM. */
static unsigned
reachable(unsigned from)
{
    unsigned set = 1u << from, before;

    do {
        before = set;
        for (unsigned i = 0; i < SERVER_NSTATES; i++)
            if ((set & 1u << i) != 0)
                set |= states[i].next;
    } while (set != before);
    return set;
}

static void
every_state_can_be_reached_from_the_first(void **state)
{
    (void)state;
    assert_int_equal(COUNT(states), SERVER_NSTATES);
    assert_int_equal(reachable(SERVER_DIAL), (1u << SERVER_NSTATES) - 1);
}

static void
gone_can_be_reached_at_once_from_every_state_and_never_left(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVER_NSTATES; i++)
        assert_true((states[i].next & 1u << SERVER_GONE) != 0);
    assert_int_equal(states[SERVER_GONE].next, 1u << SERVER_GONE);
}

/* Nobody may get a server that has not logged in, and none goes back to a login. */
static void
only_an_idle_server_can_be_lent_and_only_a_login_leads_to_it(void **state)
{
    unsigned before_login = 1u << SERVER_DIAL | 1u << SERVER_TLS;

    (void)state;
    for (unsigned i = 0; i < SERVER_NSTATES; i++) {
        if (i != SERVER_LENT && i != SERVER_IDLE)
            assert_false((states[i].next & 1u << SERVER_LENT) != 0);
        if ((before_login & 1u << i) != 0)
            assert_false((states[i].next & (1u << SERVER_IDLE | 1u << SERVER_CLEAN)) != 0);
    }
    assert_false((reachable(SERVER_IDLE) & (before_login | 1u << SERVER_LOGIN)) != 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_can_be_reached_from_the_first),
        cmocka_unit_test(gone_can_be_reached_at_once_from_every_state_and_never_left),
        cmocka_unit_test(only_an_idle_server_can_be_lent_and_only_a_login_leads_to_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
