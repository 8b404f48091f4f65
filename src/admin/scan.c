/* SPDX-License-Identifier: ISC */
/* Words of a console command. */
#include "scan_private.h"

static bool
is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-' || c == '$' || c == '*' || c == '/' || c == ':' || c == '@' || c == '<' || c == '>' ||
           c >= 0x80;
}

static bool
starts(struct slice s, const char *with)
{
    return s.len >= 2 && s.data[0] == (uint8_t)with[0] && s.data[1] == (uint8_t)with[1];
}

static struct slice
skip_comment(struct slice s)
{
    bool line = s.data[0] == '-';

    s = slice_tail(s, 2);
    while (s.len > 0 && !(line ? s.data[0] == '\n' : starts(s, "*/")))
        s = slice_tail(s, 1);
    return slice_tail(s, line ? 1 : 2);
}

static struct slice
skip_space(struct slice s)
{
    for (;;) {
        if (s.len > 0 && is_space(s.data[0]))
            s = slice_tail(s, 1);
        else if (starts(s, "--") || starts(s, "/*"))
            s = skip_comment(s);
        else
            return s;
    }
}

/* REST starts with a quote. */
static enum admin_token
quoted(struct admin_scan *s)
{
    uint8_t quote = s->rest.data[0];
    size_t i = 1;

    for (; i < s->rest.len; i++) {
        if (s->rest.data[i] != quote)
            continue;
        if (i + 1 == s->rest.len || s->rest.data[i + 1] != quote)
            break;
        i++;
    }
    if (i >= s->rest.len)
        return TOKEN_BAD;
    s->is = slice_of(s->rest.data + 1, i - 1);
    s->rest = slice_tail(s->rest, i + 1);
    return quote == '"' ? TOKEN_NAME : TOKEN_TEXT;
}

static enum admin_token
take(struct admin_scan *s)
{
    size_t n = 0;

    s->rest = skip_space(s->rest);
    s->is = slice_head(s->rest, 1);
    if (s->rest.len == 0)
        return TOKEN_END;
    if (s->rest.data[0] == '"' || s->rest.data[0] == '\'')
        return quoted(s);
    while (n < s->rest.len && is_word(s->rest.data[n]) && !starts(slice_tail(s->rest, n), "--") &&
           !starts(slice_tail(s->rest, n), "/*"))
        n++;
    s->is = slice_head(s->rest, n > 0 ? n : 1);
    s->rest = slice_tail(s->rest, s->is.len);
    if (n > 0)
        return TOKEN_WORD;
    return s->is.data[0] < 0x20 || s->is.data[0] == 0x7f ? TOKEN_BAD : TOKEN_SIGN;
}

enum admin_token
admin_scan_next(struct admin_scan *s)
{
    if (s->token != TOKEN_BAD)
        s->token = take(s);
    return s->token;
}

bool
admin_scan_copy(const struct admin_scan *s, char *out, size_t size)
{
    bool doubled = s->token == TOKEN_NAME || s->token == TOKEN_TEXT;
    size_t n = 0;

    for (size_t i = 0; i < s->is.len; i++) {
        if (n + 1 >= size || s->is.data[i] == '\0')
            return false;
        if (doubled && s->is.data[i] == (s->token == TOKEN_NAME ? '"' : '\''))
            i++;
        out[n++] = (char)s->is.data[i];
    }
    out[n] = '\0';
    return true;
}
