/* SPDX-License-Identifier: ISC */
/* The functions, operators, types and relations that a string names. One thread. */
#ifndef SQL_NAMES_PRIVATE_H
#define SQL_NAMES_PRIVATE_H

#include <pg_query/pg_query.pb-c.h>

#include "sql/facts.h"

struct name_list {
    struct facts_name items[FACTS_MAX_NAMES]; /* slices on the heap, of their own */
    unsigned n;
    bool cut;
};

struct names {
    struct name_list functions, relations;
    uint64_t fields[FACTS_FIELD_WORDS];
};

/* Adds what STMT names. */
void names_of_statement(struct names *names, const PgQuery__Node *stmt);
void name_list_done(struct names *names);

#endif
