/* SPDX-License-Identifier: ISC */
/* What the tests of the lower rooms include: cmocka, blocks of exact size, numbers that come out the same in
 * every run. */
#ifndef TEST_UNIT_BASE_UNIT_H
#define TEST_UNIT_BASE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy of S in a block of exactly its size, so that ASan sees a read behind it. */
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

/* xorshift: the next number after *SEED, which must not be 0. */
static inline uint64_t
draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

#define assert_slice(s, literal) assert_true(slice_equal((s), SLICE(literal)))

#endif
