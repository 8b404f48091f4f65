/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "base/mem.h"

static void
head_and_tail_are_the_whole_wherever_it_is_cut(void **state)
{
    struct slice s = exact(SLICE("12345"));

    (void)state;
    for (size_t cut = 0; cut <= s.len + 2; cut++) {
        struct slice head = slice_head(s, cut), tail = slice_tail(s, cut);

        assert_int_equal(head.len + tail.len, s.len);
        assert_int_equal(head.len, cut < s.len ? cut : s.len);
        assert_true(slice_equal(tail, slice_of(s.data + head.len, s.len - head.len)));
    }
    exact_free(s);
}

static void
equality_looks_at_every_byte_and_at_the_length(void **state)
{
    uint8_t other[4];

    (void)state;
    for (size_t i = 0; i < sizeof(other); i++) {
        memcpy(other, "a\0cd", sizeof(other));
        assert_true(slice_equal(SLICE("a\0cd"), slice_of(other, sizeof(other))));
        other[i] ^= 0x80;
        assert_false(slice_equal(SLICE("a\0cd"), slice_of(other, sizeof(other))));
    }
    assert_false(slice_equal(SLICE("a"), SLICE("a\0")));
    assert_true(slice_equal(slice_of(NULL, 0), SLICE("")));
    assert_true(slice_is(slice_str(NULL), ""));
    assert_false(slice_is(SLICE("a\0"), "a"));
}

static void
only_ascii_letters_have_a_case(void **state)
{
    (void)state;
    for (int a = 1; a < 256; a++)
        for (int b = 1; b < 256; b++) {
            char left[2] = { (char)a, 0 }, right[2] = { (char)b, 0 };
            int low_a = a >= 'A' && a <= 'Z' ? a + 32 : a, low_b = b >= 'A' && b <= 'Z' ? b + 32 : b;

            assert_int_equal(slice_is_nocase(slice_str(left), right), low_a == low_b);
        }
    assert_false(slice_is_nocase(SLICE("abc"), "ab"));
    assert_false(slice_is_nocase(SLICE("ab"), "abc"));
    assert_true(slice_is_nocase(SLICE(""), ""));
}

static void
trim_takes_white_space_off_both_ends_only(void **state)
{
    struct slice s = exact(SLICE(" \t\r\n\f\va b\0 \v\f\n\r\t ")), white = exact(SLICE(" \t\r\n\f\v"));

    (void)state;
    assert_slice(slice_trim(s), "a b\0");
    assert_int_equal(slice_trim(white).len, 0);
    assert_int_equal(slice_trim(slice_of(NULL, 0)).len, 0);
    assert_slice(slice_trim(SLICE("x")), "x");
    exact_free(s);
    exact_free(white);
}

static void
copies_end_in_a_nul(void **state)
{
    struct slice s = exact(SLICE("abc"));
    char *copy = slice_dup(s);

    (void)state;
    exact_free(s);
    assert_string_equal(copy, "abc");
    mem_free(copy);
    copy = slice_dup(slice_of(NULL, 0));
    assert_string_equal(copy, "");
    mem_free(copy);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_and_tail_are_the_whole_wherever_it_is_cut),
        cmocka_unit_test(equality_looks_at_every_byte_and_at_the_length),
        cmocka_unit_test(only_ascii_letters_have_a_case),
        cmocka_unit_test(trim_takes_white_space_off_both_ends_only),
        cmocka_unit_test(copies_end_in_a_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
