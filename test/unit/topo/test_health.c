/* SPDX-License-Identifier: ISC */
#include "health_private.h"

#include "base/clock.h"
#include "base/unit.h"

static const struct health_rules rules = {
    .interval_us = 500 * CLOCK_MS, .fast_us = 50 * CLOCK_MS, .unhealthy = 2, .healthy = 1
};

static struct health_moment
at(int64_t ms)
{
    return (struct health_moment){ ms * CLOCK_MS, 0 };
}

static struct health
up(void)
{
    struct health h;

    health_init(&h);
    health_good(&h, &rules, at(1), true);
    assert_true(h.up);
    return h;
}

static void
node_is_down_until_it_answers(void **state)
{
    struct health h;

    (void)state;
    health_init(&h);
    assert_int_equal(health_state(&h, 0, false, false), NODE_DOWN);
    assert_true(h.reason[0] != '\0');
    health_good(&h, &rules, at(7), true);
    assert_int_equal(health_state(&h, 0, false, false), NODE_UP);
    assert_true(h.up_since_us == 7 * CLOCK_MS);
    assert_string_equal(h.reason, "");
}

static void
silence_takes_it_down_at_the_threshold(void **state)
{
    struct health h = up();

    (void)state;
    health_bad(&h, &rules, at(2), HEALTH_SLOW, "late");
    assert_true(h.up);
    assert_true(health_delay_us(&h, &rules, false, 0) == rules.fast_us);
    health_good(&h, &rules, at(3), true);
    health_bad(&h, &rules, at(4), HEALTH_SLOW, "late");
    assert_true(h.up);
    health_bad(&h, &rules, at(5), HEALTH_SLOW, "late");
    assert_false(h.up);
    assert_string_equal(h.reason, "late");
    assert_true(h.down_since_us == 5 * CLOCK_MS);
}

static void
refusal_takes_it_down_at_once(void **state)
{
    struct health h = up();

    (void)state;
    health_bad(&h, &rules, at(2), HEALTH_GONE, "refused");
    assert_false(h.up);
    assert_int_equal(h.n_down, 1);
}

/* One link may have been cut by anybody; the server is gone when the next look fails in any way. */
static void
ended_connection_is_looked_at_once_more(void **state)
{
    const enum health_trouble next[] = { HEALTH_SLOW, HEALTH_GONE, HEALTH_ENDED };

    (void)state;
    for (size_t i = 0; i < COUNT(next); i++) {
        struct health h = up();

        health_bad(&h, &rules, at(2), HEALTH_ENDED, "ended");
        assert_true(h.up);
        assert_true(health_delay_us(&h, &rules, false, 0) == 0);
        health_bad(&h, &rules, at(3), next[i], "gone");
        assert_false(h.up);
        h = up();
        health_bad(&h, &rules, at(2), HEALTH_ENDED, "ended");
        health_good(&h, &rules, at(3), true);
        assert_true(h.up && h.n_bad == 0);
    }
}

static void
too_many_clients_is_a_sign_of_life(void **state)
{
    struct health h = up();

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        health_bad(&h, &rules, at(2 + i), HEALTH_FULL, "full");
    assert_true(h.up);
    health_init(&h);
    health_bad(&h, &rules, at(2), HEALTH_FULL, "full");
    assert_false(h.up);
    assert_string_equal(h.reason, "full");
}

static void
healthy_threshold_is_kept(void **state)
{
    struct health_rules three = rules;
    struct health h;

    (void)state;
    three.healthy = 3;
    health_init(&h);
    health_good(&h, &three, at(1), true);
    health_good(&h, &three, at(2), true);
    health_bad(&h, &three, at(3), HEALTH_SLOW, "late");
    health_good(&h, &three, at(4), true);
    health_good(&h, &three, at(5), true);
    assert_false(h.up);
    assert_true(health_delay_us(&h, &three, false, 0) == three.fast_us);
    health_good(&h, &three, at(6), true);
    assert_true(h.up);
}

/* The pauses grow, and never pass a second, or a fifth of one when somebody waits. */
static void
pauses_double_up_to_a_second(void **state)
{
    struct health h = up();
    int64_t before = 0, delay;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        health_bad(&h, &rules, at(10 * i), HEALTH_GONE, "refused");
        delay = health_delay_us(&h, &rules, false, 0);
        assert_true(delay >= before && delay <= CLOCK_S);
        before = delay;
        for (uint64_t random = 0; random < 5000000; random += 77777) {
            int64_t some = health_delay_us(&h, &rules, false, random);

            assert_true(some <= delay && some >= delay * 3 / 4);
            assert_true(health_delay_us(&h, &rules, true, random) <= 200 * CLOCK_MS);
        }
    }
    assert_true(before == CLOCK_S);
}

static void
one_that_falls_too_often_is_kept_out(void **state)
{
    struct health h = up();
    int64_t now_us = 10 * CLOCK_MS;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(health_state(&h, now_us, false, false), NODE_UP);
        health_bad(&h, &rules, (struct health_moment){ now_us, 0 }, HEALTH_GONE, "refused");
        health_good(&h, &rules, (struct health_moment){ now_us, 0 }, true);
    }
    assert_int_equal(health_state(&h, now_us, false, false), NODE_BANNED);
    assert_int_equal(health_state(&h, now_us + CLOCK_S, false, false), NODE_UP);
    for (unsigned i = 0; i < 3; i++) {
        health_bad(&h, &rules, (struct health_moment){ now_us + CLOCK_S, 0 }, HEALTH_GONE, "refused");
        health_good(&h, &rules, (struct health_moment){ now_us + CLOCK_S, 0 }, false);
    }
    assert_int_equal(health_state(&h, now_us + CLOCK_S, false, false), NODE_UP); /* a primary is not */
}

struct walk {
    struct health h;
    struct health_rules r;
    unsigned good, slow; /* in a row */
};

static void
step_well(struct walk *w, int64_t now)
{
    bool was_up = w->h.up;

    health_good(&w->h, &w->r, at(now), true);
    w->good++;
    w->slow = 0;
    assert_true(w->h.up == (was_up || w->good >= w->r.healthy));
}

static void
step_badly(struct walk *w, int64_t now, enum health_trouble what)
{
    bool was_up = w->h.up;

    health_bad(&w->h, &w->r, at(now), what, "bad");
    w->slow++;
    w->good = 0;
    assert_true(w->h.up == (was_up && what == HEALTH_SLOW && w->slow < w->r.unhealthy));
}

static void
take_walk(uint64_t random)
{
    struct walk w = { .r = rules };

    w.r.unhealthy = 1 + (unsigned)(draw(&random) % 4);
    w.r.healthy = 1 + (unsigned)(draw(&random) % 4);
    health_init(&w.h);
    for (int64_t step = 1; step < 300; step++) {
        if (draw(&random) % 3 != 0)
            step_well(&w, step);
        else
            step_badly(&w, step, draw(&random) % 8 == 0 ? HEALTH_GONE : HEALTH_SLOW);
        assert_true(w.h.up == (w.h.reason[0] == '\0'));
        assert_true(health_delay_us(&w.h, &w.r, false, draw(&random)) > 0);
    }
}

/* Random checks: up and reason go together; it never falls but for the threshold or a refusal; and rises only
 * by enough good checks in a row. */
static void
states_follow_the_checks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 200; seed++)
        take_walk(seed * 7919);
}

static void
worse_state_hides_the_better(void **state)
{
    struct health h = up();

    (void)state;
    assert_int_equal(health_state(&h, 0, false, true), NODE_LAGGING);
    h.draining = true;
    assert_int_equal(health_state(&h, 0, false, true), NODE_DRAINING);
    h.banned = true;
    assert_int_equal(health_state(&h, 0, false, true), NODE_BANNED);
    assert_int_equal(health_state(&h, 0, true, true), NODE_FENCED);
    h.up = false;
    assert_int_equal(health_state(&h, 0, true, true), NODE_DOWN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_is_down_until_it_answers),
        cmocka_unit_test(silence_takes_it_down_at_the_threshold),
        cmocka_unit_test(refusal_takes_it_down_at_once),
        cmocka_unit_test(ended_connection_is_looked_at_once_more),
        cmocka_unit_test(too_many_clients_is_a_sign_of_life),
        cmocka_unit_test(healthy_threshold_is_kept),
        cmocka_unit_test(pauses_double_up_to_a_second),
        cmocka_unit_test(one_that_falls_too_often_is_kept_out),
        cmocka_unit_test(states_follow_the_checks),
        cmocka_unit_test(worse_state_hides_the_better),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
