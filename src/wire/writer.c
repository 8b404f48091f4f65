/* SPDX-License-Identifier: ISC */
/* Building messages at the end of a struct text. */
#include "wire/writer.h"

#include <arpa/inet.h>

size_t
wire_begin(struct text *t, uint8_t type)
{
    size_t start = t->len;

    if (type != 0)
        wire_put_u8(t, type);
    wire_put_u32(t, 0);
    return start;
}

void
wire_put_u8(struct text *t, uint8_t v)
{
    text_add(t, slice_of(&v, 1));
}

void
wire_put_u16(struct text *t, uint16_t v)
{
    uint16_t n = htons(v);

    text_add(t, slice_of(&n, 2));
}

void
wire_put_u32(struct text *t, uint32_t v)
{
    uint32_t n = htonl(v);

    text_add(t, slice_of(&n, 4));
}

void
wire_put_bytes(struct text *t, struct slice s)
{
    text_add(t, s);
}

void
wire_put_string(struct text *t, struct slice s)
{
    text_add(t, s);
    wire_put_u8(t, 0);
}

void
wire_end(struct text *t, size_t start, uint8_t type)
{
    size_t at = start + (type != 0);
    uint32_t n = htonl((uint32_t)(t->len - at));

    memcpy(t->data + at, &n, sizeof(n));
}

void
wire_put_message(struct text *t, uint8_t type, struct slice body)
{
    size_t start = wire_begin(t, type);

    text_add(t, body);
    wire_end(t, start, type);
}

void
wire_put_simple(struct text *t, uint8_t type)
{
    wire_put_message(t, type, SLICE(""));
}

void
wire_put_query(struct text *t, struct slice sql)
{
    size_t start = wire_begin(t, 'Q');

    wire_put_string(t, sql);
    wire_end(t, start, 'Q');
}

void
wire_put_complete(struct text *t, const char *tag)
{
    size_t start = wire_begin(t, 'C');

    wire_put_string(t, slice_str(tag));
    wire_end(t, start, 'C');
}

void
wire_put_ready(struct text *t, char status)
{
    wire_put_message(t, 'Z', slice_of(&status, 1));
}

void
wire_put_parameter(struct text *t, struct slice name, struct slice value)
{
    size_t start = wire_begin(t, 'S');

    wire_put_string(t, name);
    wire_put_string(t, value);
    wire_end(t, start, 'S');
}

void
wire_put_auth(struct text *t, uint32_t code, struct slice rest)
{
    size_t start = wire_begin(t, 'R');

    wire_put_u32(t, code);
    text_add(t, rest);
    wire_end(t, start, 'R');
}
