/* SPDX-License-Identifier: ISC */
/* Hints in comments. Pure. The end of a statement is read backwards: see last_comment(). */
#include "route/hint.h"

#include "wish_private.h"

#define WORD "pgweir:"

static bool
is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == ';';
}

/* S without blanks and semicolons at both ends. */
static struct slice
bare(struct slice s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s = slice_tail(s, 1);
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool
is_at(struct slice s, size_t at, char a, char b)
{
    return s.data[at] == a && s.data[at + 1] == b;
}

/* Inside of a comment that S starts with; empty when it holds no hints, or another comment. */
static struct slice
first_comment(struct slice s)
{
    struct slice body;

    if (s.len < 4 || !is_at(s, 0, '/', '*'))
        return slice_of(NULL, 0);
    body = slice_head(slice_tail(s, 2), HINT_MAX_LEN);
    for (size_t i = 0; i + 1 < body.len && !is_at(body, i, '/', '*'); i++)
        if (is_at(body, i, '*', '/'))
            return slice_head(body, i);
    return slice_of(NULL, 0);
}

static bool
is_quote(uint8_t c)
{
    return c == '\'' || c == '"' || c == '$';
}

/* The same of a comment that S ends with. What opens it cannot lie in a literal: that would have to close
 * behind it, so a quote tells. Not in a literal, it opens a comment, or lies in one that goes on to the end
 * (or S ends in an operator, which PostgreSQL refuses); except that its slash may close another one, when a
 * star is before it. */
static struct slice
last_comment(struct slice s)
{
    size_t end = s.len - 2, low;

    if (s.len < 4 || !is_at(s, end, '*', '/'))
        return slice_of(NULL, 0);
    low = end > HINT_MAX_LEN + 2 ? end - HINT_MAX_LEN - 2 : 0;
    for (size_t i = end; i-- > low && !is_quote(s.data[i]) && !is_at(s, i, '*', '/');)
        if (i + 2 <= end && is_at(s, i, '/', '*'))
            return i > 0 && s.data[i - 1] == '*' ? slice_of(NULL, 0) : slice_of(s.data + i + 2, end - i - 2);
    return slice_of(NULL, 0);
}

/* Moves S behind the next comma. */
static struct slice
next_part(struct slice *s)
{
    const uint8_t *comma = memchr(s->data, ',', s->len);
    struct slice part = comma == NULL ? *s : slice_head(*s, (size_t)(comma - s->data));

    *s = slice_tail(*s, part.len + 1);
    return slice_trim(part);
}

static bool
apply_part(struct slice part, struct route_wishes *w, struct fault *warning)
{
    const uint8_t *equals = memchr(part.data, '=', part.len);
    struct slice key = slice_trim(equals == NULL ? part : slice_head(part, (size_t)(equals - part.data)));
    struct slice value = slice_tail(part, equals == NULL ? part.len : (size_t)(equals - part.data) + 1);
    struct slice shown = wish_shown(key);

    switch (wishes_set_key(w, key, value, warning)) {
    case WISH_SET:
        return true;
    case WISH_UNKNOWN:
        fault_set(warning, "42704", "unrecognized hint \"%.*s\"", (int)shown.len, shown.data);
        return fault_hint(warning, "Available hints: route, consistency, max_lag, min_lsn, node, cache.");
    case WISH_BAD:
        break;
    }
    return false;
}

/* False: COMMENT has no hints. */
static bool
apply(struct slice comment, struct route_wishes *w, struct fault *warning)
{
    struct slice rest = slice_trim(comment);
    const size_t len = sizeof(WORD) - 1;

    if (!slice_is_nocase(slice_head(rest, len), WORD))
        return false;
    rest = slice_tail(rest, len);
    while (rest.len > 0) {
        struct slice part = next_part(&rest);

        if (part.len > 0)
            apply_part(part, w, warning->sqlstate[0] == '\0' ? warning : NULL);
    }
    return true;
}

bool
hint_is_possible(struct slice sql)
{
    struct slice s = bare(sql);

    return s.len >= 4 && (s.data[0] == '/' || s.data[s.len - 1] == '/');
}

bool
hint_apply(struct slice sql, struct route_wishes *w, struct fault *warning)
{
    struct slice s = bare(sql), first, last;
    bool found;

    warning->sqlstate[0] = '\0';
    if (!hint_is_possible(sql))
        return false;
    first = first_comment(s);
    last = last_comment(s);
    found = apply(first, w, warning);
    if (last.data != first.data || last.len == 0)
        found |= apply(last, w, warning);
    return found;
}
