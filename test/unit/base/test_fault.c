/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/fault.h"

static char long_text[2000];

static int
fill_long_text(void **state)
{
    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    return 0;
}

static void
setting_a_fault_replaces_the_old_one_whole(void **state)
{
    struct fault why;

    (void)state;
    memset(&why, 'z', sizeof(why));
    assert_false(fault_set(&why, "08P01", "bad %s number %d", "message", 7));
    assert_string_equal(why.sqlstate, "08P01");
    assert_string_equal(why.message, "bad message number 7");
    assert_string_equal(why.detail, "");
    assert_string_equal(why.hint, "");
    assert_false(fault_detail(&why, "%s", "facts"));
    assert_false(fault_hint(&why, "%s", "do this"));
    assert_string_equal(why.detail, "facts");
    assert_string_equal(why.hint, "do this");
    assert_string_equal(why.message, "bad message number 7");
    assert_false(fault_set(&why, "XX000", "new"));
    assert_string_equal(why.detail, "");
    assert_string_equal(why.hint, "");
}

static void
errno_is_told_in_words_and_kept(void **state)
{
    static const int codes[] = { EACCES, ENOENT, EADDRINUSE, ECONNREFUSED, EMFILE, ENAMETOOLONG, 4711 };

    (void)state;
    for (size_t i = 0; i < COUNT(codes); i++) {
        struct fault why;
        char expected[200];

        snprintf(expected, sizeof(expected), "cannot open \"a\": %s", strerror(codes[i]));
        errno = codes[i];
        assert_false(fault_errno(&why, "cannot open \"%s\"", "a"));
        assert_int_equal(errno, codes[i]);
        assert_string_equal(why.message, expected);
        assert_string_equal(why.sqlstate, "58030");
        assert_string_equal(why.detail, "");
    }
}

static void
long_texts_are_cut_not_spilled(void **state)
{
    struct fault *why = malloc(sizeof(*why));

    (void)state;
    assert_non_null(why);
    fault_set(why, "12345678", "%s", long_text);
    fault_detail(why, "%s", long_text);
    fault_hint(why, "%s", long_text);
    assert_string_equal(why->sqlstate, "12345");
    assert_int_equal(strlen(why->message), sizeof(why->message) - 1);
    assert_int_equal(strlen(why->detail), sizeof(why->detail) - 1);
    assert_int_equal(strlen(why->hint), sizeof(why->hint) - 1);
    fault_prefix(why, "%s", "p");
    assert_int_equal(strncmp(why->message, "p: xxx", 6), 0);
    assert_int_equal(strlen(why->message), sizeof(why->message) - 1);
    fault_prefix(why, "%s", long_text);
    assert_int_equal(strlen(why->message), sizeof(why->message) - 1);
    errno = EACCES;
    fault_errno(why, "%s", long_text);
    assert_int_equal(strlen(why->message), sizeof(why->message) - 1);
    free(why);
}

static void
a_prefix_goes_before_and_changes_nothing_else(void **state)
{
    struct fault why;

    (void)state;
    fault_set(&why, "F0000", "no value");
    fault_hint(&why, "write one");
    assert_false(fault_prefix(&why, "%s:%d", "a.ini", 3));
    assert_string_equal(why.message, "a.ini:3: no value");
    assert_string_equal(why.hint, "write one");
    assert_string_equal(why.sqlstate, "F0000");
}

static void
nobody_needs_to_listen(void **state)
{
    (void)state;
    errno = EPIPE;
    assert_false(fault_set(NULL, "XX000", "a"));
    assert_false(fault_errno(NULL, "a"));
    assert_false(fault_detail(NULL, "a"));
    assert_false(fault_hint(NULL, "a"));
    assert_false(fault_prefix(NULL, "a"));
    assert_int_equal(errno, EPIPE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_a_fault_replaces_the_old_one_whole),
        cmocka_unit_test(errno_is_told_in_words_and_kept),
        cmocka_unit_test(long_texts_are_cut_not_spilled),
        cmocka_unit_test(a_prefix_goes_before_and_changes_nothing_else),
        cmocka_unit_test(nobody_needs_to_listen),
    };

    return cmocka_run_group_tests(tests, fill_long_text, NULL);
}
