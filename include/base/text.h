/* SPDX-License-Identifier: ISC */
/* A growing byte string; always NUL-terminated once it holds anything. The owner calls text_done(). */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/slice.h"

struct text {
    char *data; /* NULL while empty and never used */
    size_t len, cap;
};

/* Room for N more bytes; returns where they go. Call text_grew() with what was used. */
char *text_room(struct text *t, size_t n);
static inline void
text_grew(struct text *t, size_t n)
{
    t->len += n;
}
void text_add_slow(struct text *t, struct slice s);
static inline void
text_add(struct text *t, struct slice s)
{
    if (s.len >= t->cap - t->len || s.len == 0) {
        text_add_slow(t, s);
        return;
    }
    memcpy(t->data + t->len, s.data, s.len);
    t->len += s.len;
    t->data[t->len] = '\0';
}
void text_add_str(struct text *t, const char *s);
void text_add_char(struct text *t, char c);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* S between Q characters, each Q inside doubled: 'it''s', "a""b". */
void text_add_quoted(struct text *t, struct slice s, char q);
/* The text so far; "" when empty. */
const char *text_str(const struct text *t);
struct slice text_slice(const struct text *t);
/* Forget the content, keep the memory. */
void text_clear(struct text *t);
void text_drop_head(struct text *t, size_t n); /* its first N bytes */
/* Free everything; T may be used again. */
void text_done(struct text *t);
/* The string becomes the caller's (mem_free); T is empty afterwards. */
char *text_take(struct text *t);

#endif
