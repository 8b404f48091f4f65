/* SPDX-License-Identifier: ISC */
/* What the tests of room admin share. */
#ifndef ADMIN_TESTS_H
#define ADMIN_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/command.h"
#include "wire/message.h"

/* Parse SQL out of a heap block of exactly its size, so that a read past its end is seen. */
static inline bool
parse_slice(struct slice sql, bool compat, struct admin_command *c, struct fault *why)
{
    uint8_t *block = malloc(sql.len > 0 ? sql.len : 1);
    bool ok;

    if (sql.len > 0)
        memcpy(block, sql.data, sql.len);
    ok = admin_parse(slice_of(block, sql.len), compat, c, why);
    free(block);
    return ok;
}

static inline bool
parse(const char *sql, struct admin_command *c)
{
    struct fault why = { .message = "" };
    bool ok = parse_slice(slice_str(sql), false, c, &why);

    assert_int_equal(ok, why.sqlstate[0] == '\0');
    return ok;
}

/* The next message of T from *AT on, or type 0. */
static inline uint8_t
next_message(const struct text *t, size_t *at, struct slice *body)
{
    struct slice rest = slice_tail(text_slice(t), *at);
    struct wire_frame f;

    if (rest.len == 0)
        return 0;
    assert_int_equal(wire_frame_read(rest.data, rest.len, UINT32_MAX, &f), WIRE_MESSAGE);
    assert_true(f.len <= rest.len);
    *body = slice_of(rest.data + WIRE_HEADER, f.len - WIRE_HEADER);
    *at += f.len;
    return f.type;
}

#endif
