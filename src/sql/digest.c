/* SPDX-License-Identifier: ISC */
/* One pass over a statement: tokens go into a small buffer that is hashed, and are counted.
 * Pure; any thread. Leaves lexical rules to lexer and the bound of the tree's depth to height. */
#include "sql/digest.h"

#include <xxhash.h>

#include "height_private.h"
#include "lexer_private.h"

/* Bytes that stand for something else in what is hashed; raw ones follow MARK_RAW. */
enum { MARK_END = 1, MARK_LITERAL, MARK_RAW, MARK_BYTES };

enum word_role {
    ROLE_PLAIN,
    ROLE_SEPARATOR,
    ROLE_AS,
    ROLE_CASE,
    ROLE_CASE_PART,
    ROLE_CASE_END,
    ROLE_JOIN,
    ROLE_ATOMIC,
    ROLE_UESCAPE,
};

/* The normalised text so far. When it is full its hash takes its place. */
struct folded {
    uint64_t seed;
    size_t len;
    uint8_t text[1024];
};

struct pass {
    struct digest *out;
    bool after_dot, after_as, after_uescape;
    struct folded folded;
    struct height height;
};

static void
fold_in(struct folded *f)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(f->text, f->len, f->seed);

    memcpy(f->text, &hash, sizeof(hash));
    f->len = sizeof(hash);
}

static void
put_byte(struct folded *f, uint8_t c)
{
    if (f->len == sizeof(f->text))
        fold_in(f);
    f->text[f->len++] = c;
}

static void
put(struct folded *f, struct slice s)
{
    while (s.len > 0) {
        size_t n = sizeof(f->text) - f->len;

        if (n > s.len)
            n = s.len;
        memcpy(f->text + f->len, s.data, n);
        f->len += n;
        s = slice_tail(s, n);
        if (s.len > 0)
            fold_in(f);
    }
}

/* A word in lower case. Returns where it stands, or NULL when it is too long to be one that we know. */
static const uint8_t *
put_word(struct folded *f, struct slice s)
{
    uint8_t *at;

    if (s.len > 64) {
        for (size_t i = 0; i < s.len; i++)
            put_byte(f, s.data[i] | (lexer_bytes[s.data[i]] & BYTE_UPPER));
        return NULL;
    }
    if (sizeof(f->text) - f->len < s.len)
        fold_in(f);
    at = f->text + f->len;
    for (size_t i = 0; i < s.len; i++)
        at[i] = s.data[i] | (lexer_bytes[s.data[i]] & BYTE_UPPER);
    f->len += s.len;
    return at;
}

static enum word_role
word_role(const uint8_t *text, size_t len)
{
#define WORD(word, word_len, role)                            \
    if (len == word_len && memcmp(text, word, word_len) == 0) \
        return ROLE_##role;
    if (text == NULL || len > 9)
        return ROLE_PLAIN;
#include "digest_words.def"
#undef WORD
    return ROLE_PLAIN;
}

static void
on_word(struct pass *p, enum word_role role)
{
    bool label = p->after_as;

    p->after_as = role == ROLE_AS;
    p->after_uescape = role == ROLE_UESCAPE;
    if (p->after_dot)
        return;
    if (role == ROLE_SEPARATOR && !label)
        height_separate(&p->height, false);
    else if (role == ROLE_CASE && !label)
        height_open(&p->height, true);
    else if (role == ROLE_CASE_END && !label)
        height_close(&p->height, true);
    else if (role == ROLE_CASE_PART && !label)
        height_separate(&p->height, true);
    else if (role == ROLE_JOIN)
        height_join(&p->height);
    else if (role == ROLE_ATOMIC)
        p->height.bodies++;
    else
        height_add(&p->height, 1);
}

/* The parser may cut a run of operator characters before each sign. */
static unsigned
operators_of(struct slice run)
{
    unsigned n = 1;

    for (size_t i = 1; i < run.len; i++)
        n += run.data[i] == '+' || run.data[i] == '-';
    return n;
}

static void
on_byte(struct pass *p, uint8_t c)
{
    if (c < ' ')
        put_byte(&p->folded, MARK_RAW);
    put_byte(&p->folded, c);
    if (c == '(' || c == '[')
        height_open(&p->height, false);
    else if (c == ')' || c == ']')
        height_close(&p->height, false);
    else if (c == ',')
        height_separate(&p->height, false);
    else if (c == ';')
        height_end_statement(&p->height);
    else if (c != '.')
        height_add(&p->height, 1);
}

/* A literal is its mark, except after UESCAPE: there it says what an identifier means. */
static void
on_literal(struct pass *p, struct slice token)
{
    p->out->n_literals++;
    if (p->after_uescape)
        put(&p->folded, token);
    else
        put_byte(&p->folded, MARK_LITERAL);
}

static void
on_token(struct pass *p, enum token_kind kind, struct slice token)
{
    const uint8_t *text;

    if (kind == TOKEN_WORD) {
        text = put_word(&p->folded, token);
        on_word(p, word_role(text, token.len));
    } else {
        p->after_as = false;
        if (kind == TOKEN_STRING || kind == TOKEN_NUMBER)
            on_literal(p, token);
        else if (kind == TOKEN_OTHER)
            on_byte(p, token.data[0]);
        else
            put(&p->folded, token);
        if (kind == TOKEN_OPERATOR)
            height_add(&p->height, operators_of(token));
        else if (kind == TOKEN_NAME && !p->after_dot)
            height_add(&p->height, 1);
        p->after_uescape = false;
    }
    p->after_dot = kind == TOKEN_OTHER && token.data[0] == '.';
    put_byte(&p->folded, MARK_END);
}

/* What a statement means that reads differently under another setting is told by its bytes alone. */
static void
put_bytes(struct folded *f, struct slice sql)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(sql.data, sql.len, f->seed);

    put_byte(f, MARK_BYTES);
    put(f, slice_of(&hash, sizeof(hash)));
}

void
digest_of(struct slice sql, uint64_t seed, struct digest *out)
{
    struct lexer lexer;
    struct slice token;
    struct pass p;
    enum token_kind kind;

    *out = (struct digest){ 0 };
    p.out = out;
    p.after_dot = p.after_as = p.after_uescape = false;
    p.folded.seed = seed;
    p.folded.len = 0;
    height_init(&p.height);
    lexer_init(&lexer, sql);
    while ((kind = lexer_next(&lexer, &token)) != TOKEN_END) {
        out->n_tokens++;
        on_token(&p, kind, token);
    }
    if (lexer.ambiguous)
        put_bytes(&p.folded, sql);
    fold_in(&p.folded);
    memcpy(out->hash, p.folded.text, sizeof(out->hash));
    out->chain = height_done(&p.height);
    out->depth = p.height.deepest;
    out->complete = !lexer.open;
    out->ambiguous = lexer.ambiguous;
    out->safe = sql.len <= DIGEST_MAX_LEN && out->complete && !lexer.disputed &&
                out->chain + out->depth <= DIGEST_MAX_DEPTH;
}
