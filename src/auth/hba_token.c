/* SPDX-License-Identifier: ISC */
/* The text of pg_hba.conf to lines of tokens: quotes, comments, continued lines,
 * lists and @file, by the rules of PostgreSQL's own tokenizer, except that a quote must end on its line. Any
 * thread. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "file_private.h"
#include "hba_private.h"

bool
hba_bad(const struct hba_place *at, struct fault *why, const char *fmt, ...)
{
    char message[sizeof(why->message)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    fault_set(why, "F0000", "%s", message);
    return fault_prefix(why, "%s:%d", at->file, at->line);
}

bool
hba_take_line(struct slice *rest, struct hba_place *at, struct text *out)
{
    size_t continued = 0; /* a backslash before this is not one of the line just read */
    bool any = false;

    text_clear(out);
    at->line = at->lines + 1;
    while (rest->len > 0) {
        const uint8_t *end = memchr(rest->data, '\n', rest->len);
        size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);

        text_add(out, slice_head(*rest, len));
        *rest = slice_tail(*rest, len + 1);
        at->lines++;
        any = true;
        while (out->len > continued && out->data[out->len - 1] == '\r')
            out->data[--out->len] = '\0';
        if (out->len == continued || out->data[out->len - 1] != '\\')
            break;
        out->data[--out->len] = '\0';
        continued = out->len;
    }
    return any;
}

static bool
is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

struct hba_scan {
    struct slice rest;
    struct text token;
    bool quoted; /* began with a quote */
    bool comma;  /* and ended with a comma */
    bool list;   /* the token before ended with a comma: the next one is of the same field */
};

/* The characters of one token; false for a quote that does not end. */
static bool
scan_characters(struct hba_scan *s, bool *any_quote)
{
    bool in_quote = false, was_quote = false;

    while (s->rest.len > 0 && (in_quote || !is_blank(s->rest.data[0]))) {
        char c = (char)s->rest.data[0];

        if (c == '#' && !in_quote)
            break;
        s->rest = slice_tail(s->rest, 1);
        if (c == ',' && !in_quote) {
            s->comma = true;
            break;
        }
        if (c != '"' || was_quote)
            text_add_char(&s->token, c);
        was_quote = in_quote && c == '"' && !was_quote;
        if (c != '"')
            continue;
        in_quote = !in_quote;
        *any_quote = true;
        s->quoted = s->quoted || s->token.len == 0;
    }
    return !in_quote;
}

enum scan_result { SCAN_TOKEN, SCAN_END, SCAN_BAD };

static enum scan_result
scan_token(struct hba_scan *s)
{
    bool any_quote = false;

    text_clear(&s->token);
    s->quoted = s->comma = false;
    while (s->rest.len > 0 && (is_blank(s->rest.data[0]) || s->rest.data[0] == ','))
        s->rest = slice_tail(s->rest, 1);
    if (!scan_characters(s, &any_quote))
        return SCAN_BAD;
    return s->token.len > 0 || any_quote ? SCAN_TOKEN : SCAN_END;
}

static void
add_token(struct hba_line *l, const struct hba_scan *s, unsigned field)
{
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 8 : l->cap * 2;
        l->tokens = mem_realloc(l->tokens, l->cap * sizeof(*l->tokens));
    }
    l->tokens[l->n++] = (struct hba_token){ mem_strdup(text_str(&s->token)), s->quoted, field };
}

bool
hba_is_text(struct slice text, const struct hba_place *at, struct fault *why)
{
    if (text.len == 0 || memchr(text.data, 0, text.len) == NULL)
        return true;
    fault_set(why, "F0000", "the file contains a NUL byte");
    return fault_prefix(why, "%s", at->file);
}

char *
hba_path_of(const char *name, const char *from)
{
    const char *slash = strrchr(from, '/');

    if (name[0] == '/' || slash == NULL)
        return mem_strdup(name);
    return mem_printf("%.*s/%s", (int)(slash - from), from, name);
}

bool
hba_open(const char *name, const struct hba_place *at, struct hba_place *inner, struct slice *text,
         struct fault *why)
{
    char *path;
    int saved;

    errno = ELOOP;
    if (at->depth + 1 > HBA_MAX_DEPTH)
        return hba_bad(at, why, "cannot open \"%s\": files include each other more than %d deep", name,
                       HBA_MAX_DEPTH);
    if (++*at->files > HBA_MAX_FILES)
        return hba_bad(at, why, "cannot open \"%s\": more than %d files are included", name, HBA_MAX_FILES);
    path = hba_path_of(name, at->file);
    if (!file_read(path, text, why)) {
        saved = errno;
        fault_prefix(why, "%s:%d", at->file, at->line);
        mem_free(path);
        errno = saved;
        return false;
    }
    *inner = (struct hba_place){ .file = path, .depth = at->depth + 1, .files = at->files };
    if (hba_is_text(*text, inner, why))
        return true;
    file_done(*text);
    mem_free(path);
    errno = EINVAL;
    return false;
}

static bool split_into(struct slice line, const struct hba_place *at, struct hba_line *out, struct fault *why);

/* Every token of the file belongs to the field that mentions it. */
static bool
expand_file(const char *name, const struct hba_place *at, struct hba_line *out, struct fault *why)
{
    struct text line = { 0 };
    struct slice text, rest;
    struct hba_place inner;
    bool good = true;

    if (!hba_open(name, at, &inner, &text, why))
        return false;
    inner.one_field = true;
    rest = text;
    while (good && hba_take_line(&rest, &inner, &line))
        good = split_into(text_slice(&line), &inner, out, why);
    text_done(&line);
    file_done(text);
    mem_free((char *)(uintptr_t)inner.file);
    return good;
}

static bool
split_into(struct slice line, const struct hba_place *at, struct hba_line *out, struct fault *why)
{
    struct hba_scan s = { .rest = line };
    enum scan_result result = SCAN_TOKEN;
    bool good = true;

    while (good && (result = scan_token(&s)) == SCAN_TOKEN) {
        if (!at->one_field && !s.list)
            out->n_fields++;
        s.list = s.comma;
        if (!s.quoted && s.token.len > 1 && s.token.data[0] == '@')
            good = expand_file(s.token.data + 1, at, out, why);
        else
            add_token(out, &s, out->n_fields - 1);
    }
    text_done(&s.token);
    if (good && result == SCAN_BAD)
        return hba_bad(at, why, "a quote does not end on its line");
    return good;
}

bool
hba_split(struct slice line, const struct hba_place *at, struct hba_line *out, struct fault *why)
{
    return split_into(line, at, out, why);
}

void
hba_line_done(struct hba_line *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->tokens[i].text);
    mem_free(l->tokens);
    memset(l, 0, sizeof(*l));
}
