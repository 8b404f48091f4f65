/* SPDX-License-Identifier: ISC */
/* Whether a statement only reads. Pure; any thread. */
#ifndef SQL_READS_PRIVATE_H
#define SQL_READS_PRIVATE_H

#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>

/* STMT is a statement of its own. Doubt means false. */
bool reads_only(const PgQuery__Node *stmt);
/* The same whatever it calls. */
bool reads_by_grammar(const PgQuery__Node *stmt);

#endif
