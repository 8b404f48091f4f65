/* SPDX-License-Identifier: ISC */
/* Durations. What is refused stands in test_wish.c, with the settings that use them. */
#include "route/units.h"

#include "base/unit.h"

static void
duration_reads_back_as_printed(void **state)
{
    uint64_t seed = 17;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        int64_t us = (int64_t)(draw(&seed) >> 12) % 86400000001, us_again;
        struct text t = { 0 };

        us -= us % (int64_t[]){ 1, 1000, 1000000, 60000000 }[i % 4];
        route_duration_print(us, &t);
        assert_true(route_duration_parse(text_slice(&t), &us_again) && us == us_again);
        text_done(&t);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duration_reads_back_as_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
