/* SPDX-License-Identifier: ISC */
#include "events_private.h"

#include <stdio.h>

#include "base/unit.h"

/* However many there were: the newest, oldest first, and no more than are kept. */
static void
newest_events_are_kept_in_order(void **state)
{
    static struct events e;

    (void)state;
    assert_null(events_at(&e, 0));
    for (unsigned n = 1; n <= 3 * EVENTS_KEPT; n++) {
        unsigned kept = n < EVENTS_KEPT ? n : EVENTS_KEPT;

        snprintf(events_add(&e, n, "c", "n")->text, NODE_REASON, "%u", n);
        assert_int_equal(events_count(&e), kept);
        assert_int_equal(events_at(&e, 0)->wall_us, n - kept + 1);
        assert_int_equal(events_at(&e, kept - 1)->wall_us, n);
        assert_null(events_at(&e, kept));
    }
}

static void
long_names_are_cut(void **state)
{
    static struct events e;
    char name[2 * NODE_NAME + 1];
    const struct watch_event *v;

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    v = events_add(&e, 1, name, name);
    assert_int_equal(strlen(v->cluster), NODE_NAME - 1);
    assert_int_equal(strlen(v->node), NODE_NAME - 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_events_are_kept_in_order),
        cmocka_unit_test(long_names_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
