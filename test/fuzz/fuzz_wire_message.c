/* SPDX-License-Identifier: ISC */
/* A stream of messages from a hostile peer: frames cover the bytes without gap or overlap, errors read as
 * faults of a bounded size, and a cursor never leaves the body, whatever fields are asked for. */
#include <assert.h>

#include "base/mem.h"
#include "wire/error.h"
#include "wire/message.h"

#define MAX_MESSAGE 4096

static void
read_error(struct slice body)
{
    struct wire_error e;
    struct fault why, back;
    struct text t = { 0 };

    if (wire_error_read(body, &e))
        assert(body.data[body.len - 1] == '\0' || memchr(body.data, '\0', body.len) != NULL);
    assert(e.sqlstate.len + e.message.len + e.detail.len + e.hint.len <= body.len);
    wire_error_fault(&e, &why);
    assert(strlen(why.sqlstate) <= 5 && strlen(why.message) < sizeof(why.message));
    wire_put_fault(&t, WIRE_ERROR, &why);
    assert(wire_error_read(slice_tail(text_slice(&t), WIRE_HEADER), &e));
    wire_error_fault(&e, &back);
    assert(strncmp(back.message, why.message, 200) == 0 && strncmp(back.hint, why.hint, 150) == 0);
    text_done(&t);
}

/* The body's own bytes say which fields to ask for. */
static void
read_fields(struct slice body)
{
    struct wire_cursor c = wire_cursor(body);

    for (size_t i = 0; i < body.len; i++) {
        size_t before = wire_left(&c);
        bool was_bad = c.bad;
        struct slice s;

        switch (body.data[i] % 5) {
        case 0:
            s = slice_of(NULL, wire_get_u8(&c) * 0);
            break;
        case 1:
            s = slice_of(NULL, wire_get_u16(&c) * 0);
            break;
        case 2:
            s = slice_of(NULL, wire_get_u32(&c) * 0);
            break;
        case 3:
            s = wire_get_string(&c);
            break;
        default:
            s = wire_get_bytes(&c, wire_get_u32(&c));
            break;
        }
        assert(wire_left(&c) <= before && (!was_bad || c.bad) && (!c.bad || s.len == 0));
        assert(s.len == 0 || (s.data >= body.data && s.data + s.len <= body.data + body.len));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;
    struct wire_frame f;

    while (wire_frame_read(data + at, size - at, MAX_MESSAGE, &f) == WIRE_MESSAGE && f.len <= size - at) {
        size_t len = f.len - WIRE_HEADER;
        uint8_t *body = mem_alloc(len);

        assert(f.len >= WIRE_HEADER && f.len <= MAX_MESSAGE && f.type == data[at]);
        memcpy(body, data + at + WIRE_HEADER, len);
        read_error(slice_of(body, len));
        read_fields(slice_of(body, len));
        mem_free(body);
        at += f.len;
    }
    assert(at <= size);
    return 0;
}
