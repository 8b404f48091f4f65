/* SPDX-License-Identifier: ISC */
#include "session/half_session.h"

#include "listen_private.h"

static void
a_server_is_known_as_what_was_said_last(void **state)
{
    struct byline *all = NULL;

    (void)state;
    assert_int_equal(bylines_find(all, 7), 7);
    bylines_set(&all, 7, 1000);
    bylines_set(&all, 8, 2000);
    assert_int_equal(bylines_find(all, 7), 1000);
    bylines_set(&all, 7, 3000);
    assert_int_equal(bylines_find(all, 7), 3000);
    bylines_set(&all, 7, 0);
    bylines_set(&all, 9, 0);
    assert_int_equal(bylines_find(all, 7), 7);
    assert_int_equal(bylines_find(all, 8), 2000);
    bylines_done(&all);
    assert_int_equal(bylines_find(all, 8), 8);
    bylines_done(&all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_server_is_known_as_what_was_said_last) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
