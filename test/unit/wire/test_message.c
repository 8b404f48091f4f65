/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "wire/message.h"

static const char stream_bytes[] = "Q\0\0\0\15SELECT 1\0"
                                   "S\0\0\0\4"
                                   "Z\0\0\0\5I";
#define STREAM      slice_of(stream_bytes, sizeof(stream_bytes) - 1)
#define N_FRAMES    3
#define ANY_LENGTH  UINT32_MAX
#define WHOLE_BYTES (sizeof(stream_bytes) - 1)

static const struct wire_frame frames[N_FRAMES] = { { 'Q', 14 }, { 'S', 5 }, { 'Z', 6 } };

/* Read frame N and those after it; all that is read is checked. Returns the number of the first that is not
 * whole. */
static int
read_frames_from(struct slice bytes, int n, size_t *used)
{
    *used = 0;
    for (;;) {
        struct wire_frame f;
        struct slice rest = slice_tail(bytes, *used);

        if (wire_frame_read(rest.data, rest.len, ANY_LENGTH, &f) == WIRE_MORE)
            return n;
        assert_true(n < N_FRAMES);
        assert_int_equal(f.type, frames[n].type);
        assert_int_equal(f.len, frames[n].len);
        if (rest.len < f.len)
            return n;
        *used += f.len;
        n++;
    }
}

/* A message must read the same wherever the network cuts it. */
static void
messages_survive_every_cut(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= WHOLE_BYTES; cut++) {
        struct slice first = exact(slice_head(STREAM, cut)), rest;
        size_t used, more;
        int n = read_frames_from(first, 0, &used);

        assert_int_equal(n, (cut >= 14) + (cut >= 19) + (cut >= 25));
        rest = exact(slice_tail(STREAM, used));
        read_frames_from(rest, n, &more);
        assert_int_equal(used + more, WHOLE_BYTES);
        exact_free(rest);
        exact_free(first);
    }
}

/* PEER says LENGTH in the length word; MAX is our limit for the whole message. */
static enum wire_answer
answer_to(uint32_t length, uint32_t max)
{
    uint32_t n = htonl(length);
    uint8_t header[WIRE_HEADER] = { 'Q' };
    struct wire_frame f = { 0 };
    struct slice s;
    enum wire_answer a;

    memcpy(header + 1, &n, 4);
    s = exact(slice_of(header, sizeof(header)));
    a = wire_frame_read(s.data, s.len, max, &f);
    if (a == WIRE_MESSAGE)
        assert_true(f.len == length + 1 && f.len <= max && f.len >= WIRE_HEADER);
    exact_free(s);
    return a;
}

static void
lengths_outside_the_limits_are_refused_before_the_body_comes(void **state)
{
    static const uint32_t limits[] = { 5, 6, 100, 1 << 20, INT32_MAX, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < COUNT(limits); i++) {
        uint32_t max = limits[i];

        for (uint32_t length = 0; length < 4; length++)
            assert_int_equal(answer_to(length, max), WIRE_BAD);
        assert_int_equal(answer_to(4, max), WIRE_MESSAGE);
        assert_int_equal(answer_to(max - 1, max), WIRE_MESSAGE);
        assert_int_equal(answer_to(max, max), WIRE_BAD);
        assert_int_equal(answer_to(UINT32_MAX, max), WIRE_BAD);
    }
    assert_int_equal(answer_to(0x80000000u, 1 << 30), WIRE_BAD);
}

static void
fields_read_in_order_and_end_where_the_body_ends(void **state)
{
    struct slice body = exact(SLICE("\1\2\3\4\5\6\7name\0\0rest"));
    struct wire_cursor c = wire_cursor(body);

    (void)state;
    assert_int_equal(wire_get_u8(&c), 1);
    assert_int_equal(wire_get_u16(&c), 0x0203);
    assert_int_equal(wire_get_u32(&c), 0x04050607);
    assert_slice(wire_get_string(&c), "name");
    assert_slice(wire_get_string(&c), "");
    assert_int_equal(wire_left(&c), 4);
    assert_slice(wire_get_bytes(&c, 4), "rest");
    assert_slice(wire_get_bytes(&c, 0), "");
    assert_false(c.bad);
    assert_int_equal(wire_left(&c), 0);
    assert_int_equal(wire_get_u8(&c), 0);
    assert_true(c.bad);
    exact_free(body);
}

/* Whatever field is cut, it and all after it are empty, and bad stays. */
static void
a_short_body_is_bad_once_and_for_all(void **state)
{
    const struct slice whole = SLICE("\1\2\3\4\5\6\7name\0rest");

    (void)state;
    for (size_t cut = 0; cut < whole.len; cut++) {
        struct slice body = exact(slice_head(whole, cut));
        struct wire_cursor c = wire_cursor(body);
        uint8_t first = wire_get_u8(&c);
        uint16_t second = wire_get_u16(&c);
        uint32_t third = wire_get_u32(&c);
        struct slice name = wire_get_string(&c), rest = wire_get_bytes(&c, 4);

        assert_int_equal(first, cut >= 1 ? 1 : 0);
        assert_int_equal(second, cut >= 3 ? 0x0203 : 0);
        assert_int_equal(third, cut >= 7 ? 0x04050607 : 0);
        assert_int_equal(name.len, cut >= 12 ? 4 : 0);
        assert_int_equal(rest.len, 0);
        assert_true(c.bad);
        assert_int_equal(wire_get_bytes(&c, 0).len, 0);
        assert_int_equal(wire_get_u8(&c), 0);
        assert_true(c.bad);
        exact_free(body);
    }
}

static void
a_huge_length_does_not_wrap_round(void **state)
{
    struct slice body = exact(SLICE("abc"));
    struct wire_cursor c = wire_cursor(body);

    (void)state;
    assert_int_equal(wire_get_bytes(&c, SIZE_MAX).len, 0);
    assert_true(c.bad);
    c = wire_cursor(slice_of(NULL, 0));
    assert_int_equal(wire_get_string(&c).len, 0);
    assert_true(c.bad);
    exact_free(body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_every_cut),
        cmocka_unit_test(lengths_outside_the_limits_are_refused_before_the_body_comes),
        cmocka_unit_test(fields_read_in_order_and_end_where_the_body_ends),
        cmocka_unit_test(a_short_body_is_bad_once_and_for_all),
        cmocka_unit_test(a_huge_length_does_not_wrap_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
