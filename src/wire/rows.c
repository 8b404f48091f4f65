/* SPDX-License-Identifier: ISC */
/* Result sets that pgweir makes itself. */
#include "wire/rows.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "wire/message.h"
#include "wire/writer.h"

static uint16_t
type_size(uint32_t type)
{
    return type == WIRE_INT4 ? 4 : type == WIRE_INT8 ? 8 : 0xffff;
}

void
wire_put_columns(struct text *t, const struct wire_column *columns, unsigned n)
{
    size_t start = wire_begin(t, 'T');

    wire_put_u16(t, (uint16_t)n);
    for (unsigned i = 0; i < n; i++) {
        wire_put_string(t, slice_str(columns[i].name));
        wire_put_u32(t, 0); /* table */
        wire_put_u16(t, 0); /* column of it */
        wire_put_u32(t, columns[i].type);
        wire_put_u16(t, type_size(columns[i].type));
        wire_put_u32(t, 0xffffffff); /* type modifier: none */
        wire_put_u16(t, 0);          /* text */
    }
    wire_end(t, start, 'T');
}

struct wire_row
wire_row_begin(struct text *t)
{
    struct wire_row r = { t, wire_begin(t, 'D'), 0 };

    wire_put_u16(t, 0);
    return r;
}

void
wire_row_null(struct wire_row *r)
{
    wire_put_u32(r->t, 0xffffffff);
    r->n++;
}

void
wire_row_slice(struct wire_row *r, struct slice s)
{
    wire_put_u32(r->t, (uint32_t)s.len);
    text_add(r->t, s);
    r->n++;
}

void
wire_row_str(struct wire_row *r, const char *s)
{
    if (s == NULL)
        wire_row_null(r);
    else
        wire_row_slice(r, slice_str(s));
}

void
wire_row_end(struct wire_row *r)
{
    uint16_t n = htons(r->n);

    memcpy(r->t->data + r->start + WIRE_HEADER, &n, sizeof(n));
    wire_end(r->t, r->start, 'D');
}
