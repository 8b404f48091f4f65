/* SPDX-License-Identifier: ISC */
/* The tables that SHOW knows. */
#include "admin_tests.h"

static void
a_view_is_found_by_its_name_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(admin_view_find(SLICE("pools")), ADMIN_VIEW_POOLS);
    assert_int_equal(admin_view_find(SLICE("POOLS")), ADMIN_VIEW_POOLS);
    assert_int_equal(admin_view_find(SLICE("POOL")), ADMIN_NVIEWS);
    assert_int_equal(admin_view_find(SLICE("")), ADMIN_NVIEWS);
}

static void
every_view_but_help_has_columns_and_none_twice(void **state)
{
    (void)state;
    for (unsigned v = 0; v < ADMIN_NVIEWS; v++) {
        unsigned n;
        const struct wire_column *c = admin_view_columns(v, false, &n);

        assert_int_equal(n == 0, v == ADMIN_VIEW_HELP);
        assert_true(n <= ADMIN_MAX_COLUMNS);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(admin_view_column(v, false, slice_str(c[i].name)), i);
    }
}

static void
a_view_does_not_know_the_columns_of_another(void **state)
{
    (void)state;
    assert_int_equal(admin_view_column(ADMIN_VIEW_STATE, false, SLICE("cl_active")), -1);
    assert_int_equal(admin_view_column(ADMIN_VIEW_HELP, false, SLICE("type")), -1);
}

static void
compat_leaves_out_what_is_ours(void **state)
{
    unsigned all, theirs;

    (void)state;
    admin_view_columns(ADMIN_VIEW_POOLS, false, &all);
    admin_view_columns(ADMIN_VIEW_POOLS, true, &theirs);
    assert_int_equal(theirs, 17);
    assert_true(all > theirs);
    assert_int_equal(admin_view_column(ADMIN_VIEW_POOLS, true, SLICE("pinned")), -1);
}

static void
descriptors_are_for_admins_only(void **state)
{
    (void)state;
    for (unsigned v = 0; v < ADMIN_NVIEWS; v++)
        assert_int_equal(admin_view_needs_admin(v), v == ADMIN_VIEW_FDS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_is_found_by_its_name_in_any_case),
        cmocka_unit_test(every_view_but_help_has_columns_and_none_twice),
        cmocka_unit_test(a_view_does_not_know_the_columns_of_another),
        cmocka_unit_test(compat_leaves_out_what_is_ours),
        cmocka_unit_test(descriptors_are_for_admins_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
