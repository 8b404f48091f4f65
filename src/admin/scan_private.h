/* SPDX-License-Identifier: ISC */
/* Words of a console command. */
#ifndef ADMIN_SCAN_PRIVATE_H
#define ADMIN_SCAN_PRIVATE_H

#include "base/slice.h"

enum admin_token { TOKEN_END, TOKEN_WORD, TOKEN_NAME, TOKEN_TEXT, TOKEN_SIGN, TOKEN_BAD };

/* One token and what is left. NAME is in double, TEXT in single quotes: without them, doubled ones still
 * doubled. */
struct admin_scan {
    struct slice rest;
    enum admin_token token;
    struct slice is;
};

/* The next token; comments and white space are skipped. */
enum admin_token admin_scan_next(struct admin_scan *s);
/* The token as it was meant: quotes undone. False when it does not fit into SIZE bytes with its NUL. */
bool admin_scan_copy(const struct admin_scan *s, char *out, size_t size);
static inline bool
admin_scan_is(const struct admin_scan *s, const char *word)
{
    return s->token == TOKEN_WORD && slice_is_nocase(s->is, word);
}
static inline bool
admin_scan_is_sign(const struct admin_scan *s, char sign)
{
    return s->token == TOKEN_SIGN && s->is.data[0] == (uint8_t)sign;
}

#endif
