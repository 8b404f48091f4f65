/* SPDX-License-Identifier: ISC */
#include "history_private.h"

#include "base/clock.h"
#include "base/unit.h"

static void
nothing_is_known_without_samples(void **state)
{
    struct history h = { .n = 0 };
    bool at_least;

    (void)state;
    assert_true(history_lag(&h, 5, 100, &at_least) == -1);
}

static void
idle_primary_has_no_lag_however_long(void **state)
{
    struct history h = { .n = 0 };
    bool at_least;

    (void)state;
    for (int64_t t = 0; t < 100000; t++)
        history_add(&h, t * CLOCK_S, 1000);
    assert_true(h.n <= 2);
    assert_true(history_lag(&h, 1000, 100000 * CLOCK_S, &at_least) == 0);
    assert_false(at_least);
    history_add(&h, 100001 * CLOCK_S, 2000);
    assert_in_range(history_lag(&h, 1000, 100001 * CLOCK_S, &at_least), CLOCK_S, 2 * CLOCK_S);
}

static void
what_was_passed_before_the_first_sample_is_at_least(void **state)
{
    struct history h = { .n = 0 };
    bool at_least;

    (void)state;
    history_add(&h, 100, 1000);
    assert_true(history_lag(&h, 999, 700, &at_least) == 600);
    assert_true(at_least);
}

static void
neither_time_nor_position_falls(void **state)
{
    struct history h = { .n = 0 };

    (void)state;
    history_add(&h, 100, 1000);
    history_add(&h, 99, 2000);
    history_add(&h, 200, 999);
    assert_int_equal(h.n, 1);
}

#define TENTHS   4000
#define TENTH_US (100 * CLOCK_MS)

/* AT: the position in each tenth of a second, of which every EVERY is sampled. */
static void
write_wal(struct history *h, uint64_t *at, int64_t every, uint64_t random)
{
    uint64_t lsn = 1000;

    h->n = 0;
    for (int64_t t = 0; t < TENTHS; t++) {
        at[t] = lsn += draw(&random) % 3 == 0 ? 0 : draw(&random) % 1000;
        if (t % every == 0)
            history_add(h, t * TENTH_US, lsn);
    }
}

/* How long before the end the primary went past what it had at T. */
static int64_t
truth(const uint64_t *at, int64_t t)
{
    int64_t first = t + 1;

    while (first < TENTHS && at[first] == at[t])
        first++;
    return (TENTHS - first) * TENTH_US;
}

/* The primary writes at changing speed, with pauses; a replica has replayed what the primary had at some
 * moment. The answer is right to within the distance of samples: 1/2 s when recent, more where the history is
 * thin. */
static void
lag_is_the_time_since_the_primary_was_there(void **state)
{
    static uint64_t at[TENTHS];
    static struct history h;

    (void)state;
    for (uint64_t seed = 1; seed < 30; seed++) {
        write_wal(&h, at, seed % 2 == 0 ? 1 : 5, seed * 7919);
        assert_true(h.n <= HISTORY_SAMPLES);
        for (int64_t t = 5; t < TENTHS; t += 7) {
            bool at_least;
            int64_t lag = history_lag(&h, at[t], (TENTHS - 1) * TENTH_US, &at_least);
            int64_t wrong = lag == 0 && t > TENTHS - 8 ? 0 : lag - truth(at, t);
            int64_t slack = 700 * CLOCK_MS + (TENTHS - t) * TENTH_US / 20;

            assert_false(at_least);
            assert_true(wrong >= -slack && wrong <= slack);
        }
    }
}

/* A replica that has replayed more is never further behind. */
static void
more_replayed_is_less_lag(void **state)
{
    struct history h = { .n = 0 };
    uint64_t random = 3, lsn = 50;
    int64_t before = INT64_MAX, t = 0;
    bool at_least;

    (void)state;
    for (unsigned i = 0; i < 20000; i++)
        history_add(&h, t += (int64_t)(draw(&random) % 200000), lsn += draw(&random) % 100);
    for (uint64_t replayed = 0; replayed < lsn; replayed += 37) {
        int64_t lag = history_lag(&h, replayed, t, &at_least);

        assert_true(lag <= before && lag >= 0);
        before = lag;
    }
    assert_true(history_lag(&h, lsn, t, &at_least) == 0);
    assert_true(history_lag(&h, lsn + 1, t, &at_least) == 0);
}

/* Sampled all the time, it still reaches far back. */
static void
history_reaches_far_back(void **state)
{
    struct history h = { .n = 0 };
    int64_t t = 0;

    (void)state;
    for (unsigned i = 0; i < 100000; i++)
        history_add(&h, t += 50 * CLOCK_MS, i);
    assert_true(h.n > HISTORY_SAMPLES / 4);
    assert_true(t - h.sample[0].at_us > 4000 * CLOCK_S);
    for (unsigned j = 1; j < h.n; j++)
        assert_true(h.sample[j].at_us - h.sample[j - 1].at_us <= 100 * CLOCK_MS + (t - h.sample[j].at_us) / 20);
    assert_true(h.sample[h.n - 1].at_us == t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_without_samples),
        cmocka_unit_test(idle_primary_has_no_lag_however_long),
        cmocka_unit_test(what_was_passed_before_the_first_sample_is_at_least),
        cmocka_unit_test(neither_time_nor_position_falls),
        cmocka_unit_test(lag_is_the_time_since_the_primary_was_there),
        cmocka_unit_test(more_replayed_is_less_lag),
        cmocka_unit_test(history_reaches_far_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
