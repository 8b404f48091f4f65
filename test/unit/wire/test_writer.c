/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <stdio.h>

#include "wire/message.h"
#include "wire/writer.h"

static void
put_field(struct text *t, uint64_t r)
{
    static const char bytes[] = "some bytes\0and more";

    switch (r % 4) {
    case 0:
        wire_put_u8(t, (uint8_t)(r >> 8));
        break;
    case 1:
        wire_put_u16(t, (uint16_t)(r >> 8));
        break;
    case 2:
        wire_put_u32(t, (uint32_t)(r >> 8));
        break;
    default:
        wire_put_string(t, slice_of(bytes, (r >> 8) % 11));
        break;
    }
}

static void
check_field(struct wire_cursor *c, uint64_t r)
{
    switch (r % 4) {
    case 0:
        assert_int_equal(wire_get_u8(c), (uint8_t)(r >> 8));
        break;
    case 1:
        assert_int_equal(wire_get_u16(c), (uint16_t)(r >> 8));
        break;
    case 2:
        assert_int_equal(wire_get_u32(c), (uint32_t)(r >> 8));
        break;
    default:
        assert_true(slice_equal(wire_get_string(c), slice_of("some bytes", (r >> 8) % 11)));
        break;
    }
    assert_false(c->bad);
}

/* Many messages of random fields, one after the other in one text. */
static void
what_is_written_reads_back_the_same(void **state)
{
    enum { MESSAGES = 200 };
    uint64_t seed = 11, again = 11;
    struct text t = { 0 };
    struct slice all;

    (void)state;
    for (int m = 0; m < MESSAGES; m++) {
        uint64_t n = draw(&seed) % 8;
        size_t start = wire_begin(&t, (uint8_t)('A' + n));

        for (uint64_t i = 0; i < n; i++)
            put_field(&t, draw(&seed));
        wire_end(&t, start, (uint8_t)('A' + n));
    }
    all = exact(text_slice(&t));
    for (size_t at = 0, m = 0; m < MESSAGES; m++) {
        uint64_t n = draw(&again) % 8;
        struct wire_frame f;
        struct wire_cursor c;

        assert_int_equal(wire_frame_read(all.data + at, all.len - at, 1 << 20, &f), WIRE_MESSAGE);
        assert_int_equal(f.type, 'A' + n);
        assert_true(at + f.len <= all.len);
        c = wire_cursor(slice_of(all.data + at + WIRE_HEADER, f.len - WIRE_HEADER));
        for (uint64_t i = 0; i < n; i++)
            check_field(&c, draw(&again));
        assert_int_equal(wire_left(&c), 0);
        at += f.len;
        assert_true(m + 1 < MESSAGES || at == all.len);
    }
    exact_free(all);
    text_done(&t);
}

static void
a_packet_without_a_type_counts_its_own_length_word(void **state)
{
    struct text t = { 0 };
    size_t start;

    (void)state;
    text_add_str(&t, "before");
    start = wire_begin(&t, 0);
    wire_put_u32(&t, 80877103);
    wire_end(&t, start, 0);
    assert_slice(text_slice(&t), "before\0\0\0\10\4\322\26\57");
    text_done(&t);
}

static void
whole_messages_are_those_of_the_manual(void **state)
{
    struct text t = { 0 };

    (void)state;
    wire_put_simple(&t, 'S');
    assert_slice(text_slice(&t), "S\0\0\0\4");
    text_clear(&t);
    wire_put_message(&t, 'd', SLICE("a\0b"));
    assert_slice(text_slice(&t), "d\0\0\0\7a\0b");
    text_clear(&t);
    wire_put_query(&t, SLICE("SELECT 1"));
    assert_slice(text_slice(&t), "Q\0\0\0\15SELECT 1\0");
    text_clear(&t);
    wire_put_complete(&t, "BEGIN");
    assert_slice(text_slice(&t), "C\0\0\0\12BEGIN\0");
    text_clear(&t);
    wire_put_ready(&t, 'T');
    assert_slice(text_slice(&t), "Z\0\0\0\5T");
    text_clear(&t);
    wire_put_parameter(&t, SLICE("a"), SLICE(""));
    assert_slice(text_slice(&t), "S\0\0\0\7a\0\0");
    text_clear(&t);
    wire_put_auth(&t, 5, SLICE("salt"));
    assert_slice(text_slice(&t), "R\0\0\0\14\0\0\0\5salt");
    text_done(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back_the_same),
        cmocka_unit_test(a_packet_without_a_type_counts_its_own_length_word),
        cmocka_unit_test(whole_messages_are_those_of_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
