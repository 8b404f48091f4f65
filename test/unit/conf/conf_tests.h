/* SPDX-License-Identifier: ISC */
/* What the tests of conf share: cmocka, and texts at the very end of a heap block, so that a
 * byte read too far is seen. */
#ifndef CONF_TESTS_H
#define CONF_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "conf/conf.h"

/* An exactly sized copy of LEN bytes, without a NUL; free with free(). */
static inline uint8_t *
exact(const void *p, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);

    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, p, len);
    return copy;
}

/* TEXT parsed as t.ini. */
static inline struct conf *
parse(const char *text, struct fault *why)
{
    size_t len = strlen(text);
    uint8_t *copy = exact(text, len);
    struct conf *c = conf_parse(slice_of(copy, len), "t.ini", why);

    free(copy);
    return c;
}

static inline struct conf *
good(const char *text)
{
    struct fault why = { .message = "" };
    struct conf *c = parse(text, &why);

    if (c == NULL)
        fail_msg("refused: %s", why.message);
    return c;
}

/* TEXT is refused with exactly MESSAGE. */
static inline void
refused(const char *text, const char *message)
{
    struct fault why = { .message = "" };
    struct conf *c = parse(text, &why);

    conf_drop(c);
    assert_null(c);
    assert_string_equal(why.message, message);
}

#endif
