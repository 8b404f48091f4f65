/* SPDX-License-Identifier: ISC */
/* One pass over a statement: a hash that ignores white space, comments and
 * literals, and the measures that tell whether the parser can be trusted with it.
 * Pure; any thread. Follows PostgreSQL's lexical rules (manual, chapter 4.1):
 * quoted identifiers, '' "" E'' U&'' B'' X'' N'' strings, dollar quotes, nested comments,
 * operators, numbers, $n. */
#ifndef SQL_DIGEST_H
#define SQL_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct digest {
    uint64_t hash[2]; /* XXH3 128, seeded; literals replaced by one mark, identifiers and keywords folded to
                         lower case */
    unsigned n_tokens;
    unsigned n_literals; /* strings and numbers; parameters are none */
    unsigned depth;      /* deepest nesting of ( [ CASE */
    unsigned chain;      /* most tokens that can stand on one path of the parse tree: those of an element
                            (what commas, OR, WHEN, THEN and ELSE keep apart) and of every element around it;
                            literals, parameters and what follows a dot do not count */
    bool complete;       /* no quote or comment is left open, and there is no NUL byte */
    bool ambiguous; /* '...\\'...': what it means depends on standard_conforming_strings. It was taken as on;
                       the hash is then that of the very bytes */
    bool safe;      /* short, shallow and complete enough for the parser: see DIGEST_* */
};

#define DIGEST_MAX_LEN   (64 * 1024) /* longer statements are not analysed */
#define DIGEST_MAX_DEPTH 1000        /* chain + depth: what a stack of 64 MB bears with room to spare */

void digest_of(struct slice sql, uint64_t seed, struct digest *out);

#endif
