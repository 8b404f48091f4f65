/* SPDX-License-Identifier: ISC */
/* An upper bound of how deep the parse tree of a statement can be, from its
 * tokens alone. Every token that can make a level counts, known keyword or not;
 * so grammar that we do not know of is counted, too. Pure; any thread. */
#ifndef SQL_HEIGHT_PRIVATE_H
#define SQL_HEIGHT_PRIVATE_H

#include <stdbool.h>

#include "sql/digest.h"

struct height_level {
    unsigned run;   /* tokens of the element that is being read */
    unsigned inner; /* its highest bracket */
    unsigned best;  /* the highest element that is over */
    unsigned spine; /* joins and set operations: commas do not end what they join */
    bool is_case;
};

struct height {
    unsigned n_open, deepest;
    unsigned bodies;  /* BEGIN ATOMIC: nests without brackets and across semicolons */
    unsigned highest; /* of the statements that are over */
    bool too_deep;
    struct height_level level[DIGEST_MAX_DEPTH + 1]; /* level[0] is the statement */
};

void height_init(struct height *h);
/* N tokens that can each make a level of the tree. */
static inline void
height_add(struct height *h, unsigned n)
{
    h->level[h->n_open].run += n;
}
void height_open(struct height *h, bool is_case);
/* A closing bracket also ends the CASEs that are open inside it. */
void height_close(struct height *h, bool is_case);
/* A comma, OR, or (IN_CASE) what only separates inside CASE. */
void height_separate(struct height *h, bool in_case);
void height_join(struct height *h);
void height_end_statement(struct height *h);
/* The bound; call once. */
unsigned height_done(struct height *h);

#endif
