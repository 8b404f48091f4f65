/* SPDX-License-Identifier: ISC */
/* Cuts SQL into tokens by PostgreSQL's lexical rules (manual, chapter 4.1, and scan.l).
 * Takes standard_conforming_strings as on, as libpg_query does. Pure; any thread. */
#ifndef SQL_LEXER_PRIVATE_H
#define SQL_LEXER_PRIVATE_H

#include <stdbool.h>

#include "base/slice.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* keyword or identifier, not quoted */
    TOKEN_NAME,   /* "quoted" or U&"quoted" identifier, quotes included */
    TOKEN_STRING, /* every form of string constant, with its continuations on later lines */
    TOKEN_NUMBER,
    TOKEN_PARAM,    /* $1 */
    TOKEN_OPERATOR, /* a run of operator characters (the parser may cut it further), :: := .. */
    TOKEN_OTHER,    /* one byte: ( ) [ ] , ; . : and what is not SQL */
};

struct lexer {
    const uint8_t *at, *end;
    bool open;      /* a quote or comment has no end, or there is a NUL byte */
    bool ambiguous; /* a backslash stands before a quote in a plain string: with
                       standard_conforming_strings off the string would end elsewhere */
    bool disputed;  /* 'a' --\n 'b' is one string for PostgreSQL, two for libpg_query */
};

void lexer_init(struct lexer *l, struct slice sql);
/* *TOKEN is what was read; at the end it is empty. */
enum token_kind lexer_next(struct lexer *l, struct slice *token);

/* Bits of lexer_bytes[]. */
#define BYTE_WORD_START 1
#define BYTE_WORD       2
#define BYTE_DIGIT      4
#define BYTE_SPACE      8
#define BYTE_OPERATOR   16
#define BYTE_UPPER      32
extern const uint8_t lexer_bytes[256];

#endif
