/* SPDX-License-Identifier: ISC */
/* A view of bytes that somebody else owns. Any thread. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t len;
};

/* A string literal, without its last NUL. */
#define SLICE(literal) ((struct slice){ (const uint8_t *)("" literal), sizeof(literal) - 1 })

static inline struct slice
slice_of(const void *data, size_t len)
{
    return (struct slice){ data, len };
}

/* A C string without its NUL; NULL gives an empty slice. */
static inline struct slice
slice_str(const char *s)
{
    return slice_of(s, s == NULL ? 0 : strlen(s));
}

/* The first N bytes, or fewer when S is shorter. */
static inline struct slice
slice_head(struct slice s, size_t n)
{
    return slice_of(s.data, n < s.len ? n : s.len);
}

/* What follows the first N bytes. */
static inline struct slice
slice_tail(struct slice s, size_t n)
{
    return n < s.len ? slice_of(s.data + n, s.len - n) : slice_of(s.data, 0);
}

static inline bool
slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
slice_is(struct slice a, const char *s)
{
    return slice_equal(a, slice_str(s));
}

/* Without regard to the case of ASCII letters. */
bool slice_is_nocase(struct slice a, const char *s);
bool slice_is_ascii(struct slice s); /* no byte of it is above 127 */
/* White space (space, tab, CR, LF, FF, VT) taken off both ends. */
struct slice slice_trim(struct slice s);
/* A NUL-terminated copy; free with mem_free(). */
char *slice_dup(struct slice s);

#endif
