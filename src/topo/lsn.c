/* SPDX-License-Identifier: ISC */
/* Positions in the WAL. */
#include "topo/lsn.h"

#include <inttypes.h>

#define SHORT_HEADER 24 /* of a page */
#define LONG_HEADER  40 /* of the first page of a segment */

static int
digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
parse_half(struct slice text, uint64_t *out)
{
    *out = 0;
    if (text.len < 1 || text.len > 8)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (digit(text.data[i]) < 0)
            return false;
        *out = *out << 4 | (uint64_t)digit(text.data[i]);
    }
    return true;
}

bool
lsn_parse(struct slice text, uint64_t *out)
{
    const uint8_t *slash = text.len == 0 ? NULL : memchr(text.data, '/', text.len);
    uint64_t high, low;

    if (slash == NULL || !parse_half(slice_head(text, (size_t)(slash - text.data)), &high) ||
        !parse_half(slice_tail(text, (size_t)(slash - text.data) + 1), &low))
        return false;
    *out = high << 32 | low;
    return true;
}

void
lsn_print(uint64_t lsn, struct text *out)
{
    text_printf(out, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
}

uint64_t
lsn_without_header(uint64_t insert_lsn, uint64_t segment_size, uint64_t page_size)
{
    if (insert_lsn % segment_size == LONG_HEADER)
        return insert_lsn - LONG_HEADER;
    if (insert_lsn % page_size == SHORT_HEADER && insert_lsn % segment_size > page_size)
        return insert_lsn - SHORT_HEADER;
    return insert_lsn;
}
