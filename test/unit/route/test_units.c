/* SPDX-License-Identifier: ISC */
/* LSNs and durations. What is refused stands in test_wish.c, with the settings that use them. */
#include "route/units.h"
#include "topo/lsn.h"

#include "base/unit.h"

static void
lsn_and_duration_read_back_as_printed(void **state)
{
    uint64_t seed = 17;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t lsn = draw(&seed) >> draw(&seed) % 64, lsn_again;
        int64_t us = (int64_t)(draw(&seed) >> 12) % 86400000001, us_again;
        struct text t = { 0 };

        us -= us % (int64_t[]){ 1, 1000, 1000000, 60000000 }[i % 4];
        route_lsn_print(lsn, &t);
        assert_true(lsn_parse(text_slice(&t), &lsn_again) && lsn == lsn_again);
        text_clear(&t);
        route_duration_print(us, &t);
        assert_true(route_duration_parse(text_slice(&t), &us_again) && us == us_again);
        text_done(&t);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lsn_and_duration_read_back_as_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
