/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"

static void
new_memory_is_zeroed(void **state)
{
    static const uint8_t zero[512];

    (void)state;
    for (size_t len = 0; len <= sizeof(zero); len += 64) {
        uint8_t *p = mem_zalloc(len);

        assert_memory_equal(p, zero, len);
        memset(p, 0xff, len); /* so that a block that comes again is dirty */
        mem_free(p);
    }
}

static void
no_length_gives_null(void **state)
{
    void *p = mem_alloc(0);

    (void)state;
    assert_non_null(p);
    p = mem_realloc(p, 10);
    p = mem_realloc(p, 0);
    assert_non_null(p);
    mem_free(p);
    mem_free(NULL);
    assert_null(mem_strdup(NULL));
}

static void
a_copy_is_whole_and_ends_in_a_nul(void **state)
{
    struct slice s = exact(SLICE("a\0b"));
    char *copy = mem_dup(s.data, s.len);

    (void)state;
    exact_free(s);
    assert_memory_equal(copy, "a\0b", 4);
    mem_free(copy);
    copy = mem_dup(NULL, 0);
    assert_string_equal(copy, "");
    mem_free(copy);
    copy = mem_printf("%s-%d", "x", -3);
    assert_string_equal(copy, "x--3");
    mem_free(copy);
}

static void
growing_keeps_what_was_there(void **state)
{
    uint8_t *p = mem_alloc(1);

    (void)state;
    p[0] = 0;
    for (size_t len = 2; len <= 256; len++) {
        p = mem_realloc(p, len);
        p[len - 1] = (uint8_t)(len - 1);
    }
    for (size_t i = 0; i < 256; i++)
        assert_int_equal(p[i], i);
    mem_free(p);
}

static void
wiping_clears_exactly_its_bytes(void **state)
{
    uint8_t secret[16];

    (void)state;
    memset(secret, 'k', sizeof(secret));
    mem_wipe(secret + 4, 8);
    for (size_t i = 0; i < sizeof(secret); i++)
        assert_int_equal(secret[i], i < 4 || i >= 12 ? 'k' : 0);
    mem_wipe(NULL, 0);
}

static void
random_bytes_fill_what_was_asked_and_do_not_repeat(void **state)
{
    uint8_t a[64] = { 0 }, b[64] = { 0 };
    size_t zeros = 0;

    (void)state;
    random_bytes(a, sizeof(a) - 8);
    random_bytes(b, sizeof(b));
    assert_memory_equal(a + sizeof(a) - 8, "\0\0\0\0\0\0\0\0", 8);
    assert_memory_not_equal(a, b, sizeof(a) - 8);
    for (size_t i = 0; i < sizeof(b); i++)
        zeros += b[i] == 0;
    assert_true(zeros < 16);
    assert_true(random_u64() != random_u64());
}

static void
the_clock_does_not_go_back_and_the_wall_shows_this_century(void **state)
{
    int64_t before = clock_now_us();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_now_us();

        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_wall_us() > INT64_C(1600000000) * CLOCK_S);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeroed),
        cmocka_unit_test(no_length_gives_null),
        cmocka_unit_test(a_copy_is_whole_and_ends_in_a_nul),
        cmocka_unit_test(growing_keeps_what_was_there),
        cmocka_unit_test(wiping_clears_exactly_its_bytes),
        cmocka_unit_test(random_bytes_fill_what_was_asked_and_do_not_repeat),
        cmocka_unit_test(the_clock_does_not_go_back_and_the_wall_shows_this_century),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
