/* SPDX-License-Identifier: ISC */
/* A growing byte string. */
#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

char *
text_room(struct text *t, size_t n)
{
    if (t->len + n + 1 > t->cap) {
        size_t cap = t->cap == 0 ? 64 : t->cap * 2;

        if (cap < t->len + n + 1)
            cap = t->len + n + 1;
        t->data = mem_realloc(t->data, cap);
        t->cap = cap;
    }
    return t->data + t->len;
}

void
text_add_slow(struct text *t, struct slice s)
{
    char *at = text_room(t, s.len);

    if (s.len > 0)
        memcpy(at, s.data, s.len);
    at[s.len] = '\0';
    t->len += s.len;
}

void
text_add_str(struct text *t, const char *s)
{
    text_add(t, slice_str(s));
}

void
text_add_char(struct text *t, char c)
{
    text_add(t, slice_of(&c, 1));
}

void
text_printf(struct text *t, const char *fmt, ...)
{
    char probe[1];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(probe, sizeof(probe), fmt, ap);
    va_end(ap);
    if (n <= 0)
        return;
    text_room(t, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(t->data + t->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t)n;
}

void
text_add_quoted(struct text *t, struct slice s, char q)
{
    text_add_char(t, q);
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == (uint8_t)q)
            text_add_char(t, q);
        text_add_char(t, (char)s.data[i]);
    }
    text_add_char(t, q);
}

const char *
text_str(const struct text *t)
{
    return t->len == 0 ? "" : t->data;
}

struct slice
text_slice(const struct text *t)
{
    return slice_of(t->data, t->len);
}

void
text_clear(struct text *t)
{
    t->len = 0;
}

void
text_drop_head(struct text *t, size_t n)
{
    assert(n <= t->len);
    if (n == 0)
        return;
    t->len -= n;
    memmove(t->data, t->data + n, t->len + 1);
}

void
text_done(struct text *t)
{
    mem_free(t->data);
    *t = (struct text){ 0 };
}

char *
text_take(struct text *t)
{
    char *s = t->data == NULL ? mem_strdup("") : t->data;

    s[t->len] = '\0';
    *t = (struct text){ 0 };
    return s;
}
