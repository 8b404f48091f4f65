/* SPDX-License-Identifier: ISC */
/* What every test of the auth room includes. */
#ifndef TEST_UNIT_AUTH_TEST_H
#define TEST_UNIT_AUTH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/slice.h"

/* A copy of S in a block of exactly its size, so that ASan sees a read behind it; give its data to free(). */
static inline struct slice
exact(struct slice s)
{
    uint8_t *copy = malloc(s.len == 0 ? 1 : s.len);

    assert_non_null(copy);
    if (s.len > 0)
        memcpy(copy, s.data, s.len);
    return slice_of(s.len == 0 ? copy + 1 : copy, s.len);
}

static inline void
exact_free(struct slice s)
{
    free((uint8_t *)(uintptr_t)s.data - (s.len == 0 ? 1 : 0));
}

#endif
