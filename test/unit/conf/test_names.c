/* SPDX-License-Identifier: ISC */
/* The index of names. */
#include <stdio.h>

#include "conf_tests.h"
#include "names_private.h"

struct row {
    char *name;
    int other;
};

#define ROWS 5000

static void
every_name_is_found_and_no_other(void **state)
{
    struct row *rows = calloc(ROWS, sizeof(*rows));
    struct names t = { 0 }, copy;

    (void)state;
    assert_int_equal(names_find(&t, names_rows(rows), SLICE("n1")), NAMES_NONE);
    for (size_t i = 0; i < ROWS; i++) {
        rows[i].name = mem_printf("n%zu", i);
        names_add(&t, names_rows(rows), i);
    }
    names_copy(&copy, &t);
    names_done(&t);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(names_find(&copy, names_rows(rows), slice_str(rows[i].name)), i);
    assert_int_equal(names_find(&copy, names_rows(rows), SLICE("n5000")), NAMES_NONE);
    assert_int_equal(names_find(&copy, names_rows(rows), SLICE("n1\0")), NAMES_NONE);
    assert_int_equal(names_find(&copy, names_rows(rows), SLICE("")), NAMES_NONE);
    for (size_t i = 0; i < ROWS; i++)
        mem_free(rows[i].name);
    names_done(&copy);
    free(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_name_is_found_and_no_other) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
