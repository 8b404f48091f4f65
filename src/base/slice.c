/* SPDX-License-Identifier: ISC */
/* A view of bytes that somebody else owns. */
#include "base/slice.h"

#include "base/mem.h"

static uint8_t
lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool
slice_is_nocase(struct slice a, const char *s)
{
    if (a.len != strlen(s))
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower((uint8_t)s[i]))
            return false;
    return true;
}

static bool
is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice
slice_trim(struct slice s)
{
    while (s.len > 0 && is_space(s.data[0]))
        s = slice_tail(s, 1);
    while (s.len > 0 && is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

char *
slice_dup(struct slice s)
{
    return mem_dup(s.data, s.len);
}

bool
slice_is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] >= 0x80)
            return false;
    return true;
}
