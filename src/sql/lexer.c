/* SPDX-License-Identifier: ISC */
/* Tokens of SQL, one at a time. Pure; leaves meaning to digest. */
#include "lexer_private.h"

const uint8_t lexer_bytes[256] = {
#include "bytes.def"
};

static bool
byte_is(uint8_t c, uint8_t kinds)
{
    return (lexer_bytes[c] & kinds) != 0;
}

/* Whether A and B stand at P. */
static bool
pair_is(const uint8_t *p, const uint8_t *end, uint8_t a, uint8_t b)
{
    return end - p >= 2 && p[0] == a && p[1] == b;
}

static const uint8_t *
run_of(const uint8_t *p, const uint8_t *end, uint8_t kinds)
{
    while (p < end && byte_is(*p, kinds))
        p++;
    return p;
}

static const uint8_t *
line_end(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

/* The byte after the comment that begins at P; comments nest. */
static const uint8_t *
comment_end(struct lexer *l, const uint8_t *p)
{
    size_t depth = 1;

    for (p += 2; l->end - p >= 2;) {
        if (pair_is(p, l->end, '*', '/')) {
            p += 2;
            if (--depth == 0)
                return p;
        } else if (pair_is(p, l->end, '/', '*')) {
            p += 2;
            depth++;
        } else {
            p++;
        }
    }
    l->open = true;
    return l->end;
}

static const uint8_t *
skip_blank(struct lexer *l)
{
    const uint8_t *p = l->at;

    for (;;) {
        p = run_of(p, l->end, BYTE_SPACE);
        if (pair_is(p, l->end, '-', '-'))
            p = line_end(p, l->end);
        else if (pair_is(p, l->end, '/', '*'))
            p = comment_end(l, p);
        else
            return p;
    }
}

/* A string goes on when only white space with a line feed in it, and comments to the end of the line,
 * stand between its quote and the next one. Returns the byte after that one, or NULL. */
static const uint8_t *
continuation(struct lexer *l, const uint8_t *p)
{
    bool newline = false, comment = false;

    while (p < l->end && *p != '\'') {
        if (*p == '\n' || *p == '\r')
            newline = true;
        if (pair_is(p, l->end, '-', '-')) {
            comment = true;
            p = line_end(p, l->end);
        } else if (byte_is(*p, BYTE_SPACE)) {
            p++;
        } else {
            return NULL;
        }
    }
    if (p == l->end || !newline)
        return NULL;
    l->disputed |= comment;
    return p + 1;
}

/* Whether an odd number of backslashes ends at P, none of them before FROM. */
static bool
is_escaped(const uint8_t *from, const uint8_t *p)
{
    const uint8_t *q = p;

    while (q > from && q[-1] == '\\')
        q--;
    return (p - q) % 2 == 1;
}

enum string_kind { STRING_PLAIN, STRING_ESCAPES, STRING_UNICODE, STRING_BITS };

/* The byte after the string whose text begins at P. */
static const uint8_t *
string_end(struct lexer *l, const uint8_t *p, enum string_kind kind)
{
    const uint8_t *from = p, *next;

    while (p < l->end) {
        if (*p == '\\' && kind == STRING_ESCAPES && l->end - p >= 2) {
            p += 2;
            continue;
        }
        if (*p++ != '\'')
            continue;
        if (kind == STRING_PLAIN && is_escaped(from, p - 1))
            l->ambiguous = true;
        if (p < l->end && *p == '\'' && kind != STRING_BITS) {
            p++;
            continue;
        }
        if ((next = continuation(l, p)) == NULL)
            return p;
        p = from = next;
    }
    l->open = true;
    return l->end;
}

/* The byte after the quoted identifier whose text begins at P. */
static const uint8_t *
name_end(struct lexer *l, const uint8_t *p)
{
    while ((p = memchr(p, '"', (size_t)(l->end - p))) != NULL) {
        if (l->end - p < 2 || p[1] != '"')
            return p + 1;
        p += 2;
    }
    l->open = true;
    return l->end;
}

static const uint8_t *
number_end(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *mark;

    p = run_of(p, end, BYTE_DIGIT);
    if (p < end && *p == '.' && !pair_is(p, end, '.', '.'))
        p = run_of(p + 1, end, BYTE_DIGIT);
    if (p < end && (*p | 0x20) == 'e') {
        mark = p + 1;
        if (mark < end && (*mark == '+' || *mark == '-'))
            mark++;
        if (mark < end && byte_is(*mark, BYTE_DIGIT))
            p = run_of(mark, end, BYTE_DIGIT);
    }
    return p;
}

/* At a dollar sign: a parameter, a dollar quoted string, or nothing known. */
static enum token_kind
dollar(struct lexer *l, const uint8_t *start)
{
    const uint8_t *p = start + 1, *body;
    size_t len;

    if (p < l->end && byte_is(*p, BYTE_DIGIT)) {
        l->at = run_of(p, l->end, BYTE_DIGIT);
        return TOKEN_PARAM;
    }
    while (p < l->end && *p != '$' && byte_is(*p, p == start + 1 ? BYTE_WORD_START : BYTE_WORD))
        p++;
    l->at = start + 1;
    if (p == l->end || *p != '$')
        return TOKEN_OTHER;
    body = p + 1;
    len = (size_t)(body - start);
    p = memmem(body, (size_t)(l->end - body), start, len);
    l->open |= p == NULL;
    l->at = p == NULL ? l->end : p + len;
    return TOKEN_STRING;
}

/* Where an operator ends: at a comment, too. */
static const uint8_t *
operator_end(const uint8_t *p, const uint8_t *end)
{
    for (p++; p < end && byte_is(*p, BYTE_OPERATOR); p++)
        if (pair_is(p, end, '-', '-') || pair_is(p, end, '/', '*'))
            break;
    return p;
}

/* At a letter: a word, unless it is the prefix of a string or a name. */
static enum token_kind
word(struct lexer *l, const uint8_t *p)
{
    uint8_t first = *p | 0x20;

    if (pair_is(p + 1, l->end, '&', '\'') && first == 'u') {
        l->at = string_end(l, p + 3, STRING_UNICODE);
        return TOKEN_STRING;
    }
    if (pair_is(p + 1, l->end, '&', '"') && first == 'u') {
        l->at = name_end(l, p + 3);
        return TOKEN_NAME;
    }
    if (l->end - p >= 2 && p[1] == '\'' && (first == 'e' || first == 'b' || first == 'x')) {
        l->at = string_end(l, p + 2, first == 'e' ? STRING_ESCAPES : STRING_BITS);
        return TOKEN_STRING;
    }
    l->at = run_of(p + 1, l->end, BYTE_WORD);
    return TOKEN_WORD;
}

static enum token_kind
other(struct lexer *l, const uint8_t *p)
{
    if (*p == '\'') {
        l->at = string_end(l, p + 1, STRING_PLAIN);
        return TOKEN_STRING;
    }
    if (*p == '"') {
        l->at = name_end(l, p + 1);
        return TOKEN_NAME;
    }
    if (*p == '$')
        return dollar(l, p);
    if (*p == '.' && l->end - p >= 2 && byte_is(p[1], BYTE_DIGIT)) {
        l->at = number_end(p, l->end);
        return TOKEN_NUMBER;
    }
    l->at = p + 1;
    if (!pair_is(p, l->end, ':', ':') && !pair_is(p, l->end, ':', '=') && !pair_is(p, l->end, '.', '.'))
        return TOKEN_OTHER;
    l->at++;
    return TOKEN_OPERATOR;
}

void
lexer_init(struct lexer *l, struct slice sql)
{
    if (sql.len == 0)
        sql = SLICE("");
    *l = (struct lexer){ .at = sql.data, .end = sql.data + sql.len };
    l->open = memchr(sql.data, '\0', sql.len) != NULL;
}

enum token_kind
lexer_next(struct lexer *l, struct slice *token)
{
    const uint8_t *p = skip_blank(l);
    enum token_kind kind;

    if (p == l->end) {
        l->at = p;
        kind = TOKEN_END;
    } else if (byte_is(*p, BYTE_WORD_START)) {
        kind = word(l, p);
    } else if (byte_is(*p, BYTE_DIGIT)) {
        l->at = number_end(p, l->end);
        kind = TOKEN_NUMBER;
    } else if (byte_is(*p, BYTE_OPERATOR)) {
        l->at = operator_end(p, l->end);
        kind = TOKEN_OPERATOR;
    } else {
        kind = other(l, p);
    }
    *token = slice_of(p, (size_t)(l->at - p));
    return kind;
}
