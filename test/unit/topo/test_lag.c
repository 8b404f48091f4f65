/* SPDX-License-Identifier: ISC */
#include "lag_private.h"

#include "base/clock.h"
#include "base/unit.h"

/* The primary wrote 100 bytes a second for 100 s. */
static void
make_history(struct history *h)
{
    h->n = 0;
    for (int64_t s = 1; s <= 100; s++)
        history_add(h, s * CLOCK_S, 1000 + (uint64_t)s * 100);
}

static struct lag_question
question(const struct history *h, uint64_t replayed)
{
    return (struct lag_question){ .history = h,
                                  .primary_timeline = 2,
                                  .timeline = 2,
                                  .replayed = replayed,
                                  .at_us = 100 * CLOCK_S,
                                  .max_us = 10 * CLOCK_S };
}

static void
lag_is_told_in_bytes_and_time(void **state)
{
    struct history h;
    struct lag l;

    (void)state;
    make_history(&h);
    lag_init(&l);
    for (uint64_t s = 1; s <= 110; s++) {
        struct lag_question q = question(&h, 1000 + s * 100);

        lag_init(&l);
        lag_judge(&l, &q);
        assert_true(l.bytes == (s < 100 ? (int64_t)(100 - s) * 100 : 0));
        assert_in_range(l.us / CLOCK_S, s < 100 ? 99 - s : 0, s < 100 ? 100 - s : 0);
        assert_true(l.behind == (l.us > 10 * CLOCK_S));
        assert_true(l.behind == (l.reason[0] != '\0'));
    }
}

static void
one_that_was_behind_comes_back_well_below_the_limit(void **state)
{
    struct history h;
    struct lag_question q;
    struct lag l;

    (void)state;
    make_history(&h);
    lag_init(&l);
    q = question(&h, 1000 + 85 * 100);
    lag_judge(&l, &q);
    assert_true(l.behind);
    q = question(&h, 1000 + 91 * 100);
    lag_judge(&l, &q);
    assert_true(l.behind);
    q = question(&h, 1000 + 94 * 100);
    lag_judge(&l, &q);
    assert_false(l.behind);
    q = question(&h, 1000 + 91 * 100);
    lag_judge(&l, &q);
    assert_false(l.behind);
}

static void
bytes_have_a_limit_of_their_own(void **state)
{
    struct history h;
    struct lag_question q;
    struct lag l;

    (void)state;
    make_history(&h);
    lag_init(&l);
    q = question(&h, 1000 + 95 * 100);
    q.max_bytes = 499;
    lag_judge(&l, &q);
    assert_true(l.behind);
    q.max_us = q.max_bytes = 0;
    lag_judge(&l, &q);
    assert_false(l.behind);
}

/* What was passed before we looked: unknown for as long as it might be little, then surely too much. */
static void
lag_from_before_the_first_sample_is_not_trusted(void **state)
{
    struct history h = { .n = 0 };
    struct lag_question q;
    struct lag l;

    (void)state;
    history_add(&h, 100 * CLOCK_S, 5000);
    lag_init(&l);
    q = question(&h, 4000);
    lag_judge(&l, &q);
    assert_true(l.behind && l.us == -1 && l.bytes == 1000);
    q.at_us = 111 * CLOCK_S;
    lag_judge(&l, &q);
    assert_true(l.behind && l.us == 11 * CLOCK_S);
    q = question(&h, 5000);
    lag_judge(&l, &q);
    assert_true(!l.behind && l.us == 0);
    q = question(&h, 4000);
    q.max_us = 0;
    lag_judge(&l, &q);
    assert_true(!l.behind && l.us == -1);
}

static void
position_on_another_timeline_says_nothing(void **state)
{
    struct history h;
    struct lag_question q;
    struct lag l;

    (void)state;
    make_history(&h);
    lag_init(&l);
    q = question(&h, 1000000);
    q.timeline = 1;
    lag_judge(&l, &q);
    assert_true(l.elsewhere && l.behind && l.us == -1 && l.bytes == -1);
    q.timeline = 2;
    lag_judge(&l, &q);
    assert_true(!l.elsewhere && !l.behind && l.us == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lag_is_told_in_bytes_and_time),
        cmocka_unit_test(one_that_was_behind_comes_back_well_below_the_limit),
        cmocka_unit_test(bytes_have_a_limit_of_their_own),
        cmocka_unit_test(lag_from_before_the_first_sample_is_not_trusted),
        cmocka_unit_test(position_on_another_timeline_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
