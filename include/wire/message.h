/* SPDX-License-Identifier: ISC */
/* Frames of the PostgreSQL protocol, versions 3.0 to 3.2 (manual, chapter
 * "Frontend/Backend Protocol"). No socket, no allocation; any thread. */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

enum wire_answer { WIRE_MORE, WIRE_MESSAGE, WIRE_BAD };

#define WIRE_HEADER 5 /* type byte and length word */

/* One message at the start of some bytes. The body may be incomplete. */
struct wire_frame {
    uint8_t type;
    uint32_t len; /* of the whole message, header included */
};

static inline uint32_t
wire_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return ntohl(v);
}

/* Read the header at P, which has LEFT bytes: WIRE_MORE when it is not all there,
 * WIRE_BAD when its length is below 4 or the message would pass MAX bytes. */
static inline enum wire_answer
wire_frame_read(const uint8_t *p, size_t left, uint32_t max, struct wire_frame *f)
{
    uint32_t len;

    if (left < WIRE_HEADER)
        return WIRE_MORE;
    len = wire_u32(p + 1);
    if (len < 4 || len >= max)
        return WIRE_BAD;
    f->type = p[0];
    f->len = len + 1;
    return WIRE_MESSAGE;
}

/* Reading fields in order. After a field that is not there, bad is true and every answer is empty. */
struct wire_cursor {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct wire_cursor
wire_cursor(struct slice s)
{
    return (struct wire_cursor){ s.data, s.data + s.len, false };
}
uint8_t wire_get_u8(struct wire_cursor *c);
uint16_t wire_get_u16(struct wire_cursor *c);
uint32_t wire_get_u32(struct wire_cursor *c);
struct slice wire_get_bytes(struct wire_cursor *c, size_t len);
/* A NUL-terminated string, without its NUL. */
struct slice wire_get_string(struct wire_cursor *c);
static inline size_t
wire_left(const struct wire_cursor *c)
{
    return (size_t)(c->end - c->at);
}

#endif
