/* SPDX-License-Identifier: ISC */
/* PgBouncer's dialect of INI: one pass over the text, a line at a time. Comments are whole
 * lines, so that SQL in a value keeps its semicolons. */
#include "scan_private.h"

#include <stdlib.h>

#include "base/mem.h"

static bool
is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Bytes of a key that needs no quotes. */
static bool
is_key(uint8_t c)
{
    return is_word(c) || c == '.' || c == '-' || c == '*';
}

static struct slice
take_line(struct slice *rest)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
    struct slice line = slice_head(*rest, len);

    *rest = slice_tail(*rest, len + 1);
    return line;
}

static enum scan_answer
bad(struct fault *why, const char *what)
{
    fault_set(why, "F0000", "%s", what);
    return SCAN_BAD;
}

/* Copy what stands between quotes Q, doubled quotes as one; S moves behind the closing one. */
static bool
take_quoted(struct slice *s, uint8_t q, struct text *out)
{
    struct slice in = slice_tail(*s, 1);

    for (size_t i = 0; i < in.len; i++) {
        bool doubled = i + 1 < in.len && in.data[i + 1] == q;

        if (in.data[i] == q && !doubled) {
            *s = slice_tail(in, i + 1);
            return true;
        }
        i += in.data[i] == q;
        text_add_char(out, (char)in.data[i]);
    }
    return false;
}

static enum scan_answer
on_section(struct scan *s, struct slice line, struct fault *why)
{
    const uint8_t *end = memchr(line.data, ']', line.len);
    struct slice after;

    if (end == NULL)
        return bad(why, "a section needs a closing ]");
    text_add(&s->key, slice_trim(slice_of(line.data + 1, (size_t)(end - line.data - 1))));
    after = slice_trim(slice_tail(line, (size_t)(end - line.data + 1)));
    if (after.len > 0 && after.data[0] != ';' && after.data[0] != '#')
        return bad(why, "nothing may follow a section's ] but a comment");
    return SCAN_SECTION;
}

static enum scan_answer
on_pair(struct scan *s, struct slice line, struct fault *why)
{
    size_t n = 0;

    if (line.data[0] == '"') {
        if (!take_quoted(&line, '"', &s->key))
            return bad(why, "a quoted name needs a closing \"");
    } else {
        while (n < line.len && is_key(line.data[n]))
            n++;
        text_add(&s->key, slice_head(line, n));
        line = slice_tail(line, n);
    }
    line = slice_trim(line);
    if (line.len == 0 || line.data[0] != '=')
        return bad(why, "expected \"key = value\"; a name with other characters than A-Z a-z 0-9 _ . - * needs "
                        "double quotes");
    if (s->key.len == 0)
        return bad(why, "there is no key before =");
    s->value = slice_trim(slice_tail(line, 1));
    return SCAN_PAIR;
}

enum scan_answer
scan_next(struct scan *s, struct fault *why)
{
    const struct slice include = SLICE("%include");

    if (s->line == 0 && slice_equal(slice_head(s->rest, 3), SLICE("\xef\xbb\xbf")))
        s->rest = slice_tail(s->rest, 3); /* editors' byte order mark */
    while (s->rest.len > 0) {
        struct slice line = slice_trim(take_line(&s->rest));

        s->line++;
        text_clear(&s->key);
        if (line.len == 0 || line.data[0] == ';' || line.data[0] == '#')
            continue;
        if (memchr(line.data, '\0', line.len) != NULL)
            return bad(why, "a NUL byte: this is not a text file");
        if (line.data[0] == '[')
            return on_section(s, line, why);
        if (!slice_equal(slice_head(line, include.len), include))
            return on_pair(s, line, why);
        s->value = slice_trim(slice_tail(line, include.len));
        if (s->value.len == 0 || !is_blank(line.data[include.len]))
            return bad(why, "%include needs a file");
        return SCAN_INCLUDE;
    }
    return SCAN_END;
}

/* The value behind =, which S starts with; S moves behind it. */
static enum scan_answer
take_value(struct slice *s, const char *quotes, struct text *value, struct fault *why)
{
    size_t n = 0;
    char quote =
        s->len > 0 && s->data[0] != '\0' && strchr(quotes, s->data[0]) != NULL ? (char)s->data[0] : '\0';

    if (quote == '\0') {
        while (n < s->len && !is_blank(s->data[n]))
            n++;
        text_add(value, slice_head(*s, n));
        *s = slice_tail(*s, n);
        return SCAN_PAIR;
    }
    if (!take_quoted(s, (uint8_t)quote, value))
        fault_set(why, "F0000", "a quoted value needs a closing %c", quote);
    else if (s->len > 0 && !is_blank(s->data[0]))
        fault_set(why, "F0000", "a space must follow the closing %c (a quote inside is doubled)", quote);
    else
        return SCAN_PAIR;
    return SCAN_BAD;
}

enum scan_answer
scan_pair(struct slice *rest, const char *quotes, struct slice *key, struct text *value, struct fault *why)
{
    struct slice s = slice_trim(*rest);
    size_t n = 0;

    text_clear(value);
    if (s.len == 0)
        return SCAN_END;
    while (n < s.len && s.data[n] != '=' && !is_blank(s.data[n]))
        n++;
    *key = slice_head(s, n);
    s = slice_trim(slice_tail(s, n));
    if (key->len == 0 || s.len == 0 || s.data[0] != '=')
        return bad(why, "expected a list of key=value, values with spaces in single quotes");
    s = slice_trim(slice_tail(s, 1));
    if (take_value(&s, quotes, value, why) == SCAN_BAD)
        return SCAN_BAD;
    *rest = s;
    return SCAN_PAIR;
}

void
scan_unquote(struct slice in, struct text *out)
{
    struct slice rest = in;

    text_clear(out);
    if (in.len > 0 && in.data[0] == '\'' && take_quoted(&rest, '\'', out) && rest.len == 0)
        return;
    text_clear(out);
    text_add(out, in);
}

/* IN starts with "${": append the variable's value, and move IN behind the }. */
static bool
expand_one(struct slice *in, struct text *out, struct fault *why)
{
    size_t n = 2;
    char *name;
    const char *value;

    while (n < in->len && is_word(in->data[n]))
        n++;
    if (n == 2 || n >= in->len || in->data[n] != '}')
        return fault_set(why, "F0000", "${ must be followed by a variable's name and }");
    name = slice_dup(slice_of(in->data + 2, n - 2));
    value = getenv(name);
    if (value == NULL)
        fault_set(why, "F0000", "the environment has no variable %s", name);
    else
        text_add_str(out, value);
    mem_free(name);
    *in = slice_tail(*in, n + 1);
    return value != NULL;
}

bool
scan_expand(struct slice in, struct text *out, struct fault *why)
{
    text_clear(out);
    while (in.len > 0) {
        size_t n = in.data[0] == '$' && in.len > 1 && in.data[1] == '$' ? 2 : 1;

        if (n == 1 && in.len > 1 && in.data[0] == '$' && in.data[1] == '{') {
            if (!expand_one(&in, out, why))
                return false;
            continue;
        }
        text_add(out, slice_head(in, n));
        in = slice_tail(in, n);
    }
    return true;
}
