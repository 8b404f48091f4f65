/* SPDX-License-Identifier: ISC */
/* Asks PostgreSQL's parser what an SQL string is. Only for strings whose digest is safe. One thread. */
#ifndef SQL_ANALYSE_PRIVATE_H
#define SQL_ANALYSE_PRIVATE_H

#include "effects_private.h"
#include "names_private.h"
#include "transaction_private.h"

struct analysis {
    bool analysed; /* false: it does not parse, and nothing below is known */
    bool transaction_block, ends_block, in_steps;
    bool reads_only, reads_by_grammar;
    struct transaction_mode mode;
    struct names names;
    enum statement_class class;
    unsigned n_statements;
    char *show_name; /* NULL or on the heap, lower case */
    const char *tag; /* constant, or NULL */
    struct effects effects;
};

/* HAS_LITERALS: the digest has counted some. Needs a stack of 64 MB (DIGEST_MAX_DEPTH). */
void analyse(struct slice sql, bool has_literals, struct analysis *out);
void analysis_done(struct analysis *a);

#endif
