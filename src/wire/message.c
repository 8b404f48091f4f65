/* SPDX-License-Identifier: ISC */
/* Reading fields of a message in order; a short message sets bad, once and for all. */
#include "wire/message.h"

struct slice
wire_get_bytes(struct wire_cursor *c, size_t len)
{
    struct slice s = slice_of(c->at, len);

    if (c->bad || wire_left(c) < len) {
        c->bad = true;
        return slice_of(NULL, 0);
    }
    c->at += len;
    return s;
}

uint8_t
wire_get_u8(struct wire_cursor *c)
{
    struct slice s = wire_get_bytes(c, 1);

    return c->bad ? 0 : s.data[0];
}

uint16_t
wire_get_u16(struct wire_cursor *c)
{
    struct slice s = wire_get_bytes(c, 2);

    return c->bad ? 0 : (uint16_t)(s.data[0] << 8 | s.data[1]);
}

uint32_t
wire_get_u32(struct wire_cursor *c)
{
    struct slice s = wire_get_bytes(c, 4);

    return c->bad ? 0 : wire_u32(s.data);
}

struct slice
wire_get_string(struct wire_cursor *c)
{
    const uint8_t *nul = c->bad || c->at == c->end ? NULL : memchr(c->at, '\0', wire_left(c));
    struct slice s;

    if (nul == NULL) {
        c->bad = true;
        return slice_of(NULL, 0);
    }
    s = slice_of(c->at, (size_t)(nul - c->at));
    c->at = nul + 1;
    return s;
}
