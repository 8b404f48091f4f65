/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <inttypes.h>
#include <stdio.h>

#include "wire/message.h"
#include "wire/rows.h"

static struct wire_cursor
body_of(const struct text *t, char type)
{
    struct slice s = text_slice(t);
    struct wire_frame f;

    assert_int_equal(wire_frame_read(s.data, s.len, 1 << 20, &f), WIRE_MESSAGE);
    assert_int_equal(f.type, type);
    assert_int_equal(f.len, s.len);
    return wire_cursor(slice_tail(s, WIRE_HEADER));
}

static void
columns_carry_name_type_and_size(void **state)
{
    static const struct wire_column columns[] = {
        { "t", WIRE_TEXT }, { "i4", WIRE_INT4 }, { "i8", WIRE_INT8 }, { "n", WIRE_NUMERIC }, { "b", WIRE_BYTEA }
    };
    static const uint16_t sizes[] = { 0xffff, 4, 8, 0xffff, 0xffff };
    struct text t = { 0 };
    struct wire_cursor c;

    (void)state;
    wire_put_columns(&t, columns, COUNT(columns));
    c = body_of(&t, 'T');
    assert_int_equal(wire_get_u16(&c), COUNT(columns));
    for (size_t i = 0; i < COUNT(columns); i++) {
        assert_true(slice_is(wire_get_string(&c), columns[i].name));
        assert_int_equal(wire_get_u32(&c), 0);
        assert_int_equal(wire_get_u16(&c), 0);
        assert_int_equal(wire_get_u32(&c), columns[i].type);
        assert_int_equal(wire_get_u16(&c), sizes[i]);
        assert_int_equal(wire_get_u32(&c), 0xffffffff);
        assert_int_equal(wire_get_u16(&c), 0);
    }
    assert_true(!c.bad && wire_left(&c) == 0);
    text_done(&t);
}

static struct slice
value(struct wire_cursor *c)
{
    return wire_get_bytes(c, wire_get_u32(c));
}

static void
a_row_reads_back_value_by_value(void **state)
{
    struct text t = { 0 };
    struct wire_row r = wire_row_begin(&t);
    struct wire_cursor c;

    (void)state;
    wire_row_null(&r);
    wire_row_str(&r, NULL);
    wire_row_str(&r, "");
    wire_row_slice(&r, SLICE("a\0b"));
    wire_row_end(&r);
    c = body_of(&t, 'D');
    assert_int_equal(wire_get_u16(&c), 4);
    assert_int_equal(wire_get_u32(&c), 0xffffffff);
    assert_int_equal(wire_get_u32(&c), 0xffffffff);
    assert_slice(value(&c), "");
    assert_slice(value(&c), "a\0b");
    assert_true(!c.bad && wire_left(&c) == 0);
    text_done(&t);
}

static void
a_row_may_follow_others_and_may_be_empty(void **state)
{
    struct text t = { 0 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct wire_row r = wire_row_begin(&t);

        wire_row_end(&r);
    }
    assert_slice(text_slice(&t), "D\0\0\0\6\0\0D\0\0\0\6\0\0");
    text_done(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_carry_name_type_and_size),
        cmocka_unit_test(a_row_reads_back_value_by_value),
        cmocka_unit_test(a_row_may_follow_others_and_may_be_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
