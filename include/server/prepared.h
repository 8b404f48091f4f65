/* SPDX-License-Identifier: ISC */
/* The named statements that a server knows, by what they are, least recently
 * used first to go. Owned by the server's worker. */
#ifndef SERVER_PREPARED_H
#define SERVER_PREPARED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* What a statement is: a hash of text and parameter types, the same on every worker. {0, 0} is none. */
struct statement_id {
    uint64_t a, b;
};
static inline bool
statement_id_equal(struct statement_id x, struct statement_id y)
{
    return x.a == y.a && x.b == y.b;
}
#define STATEMENT_NAME 40
/* "pgweir_" and 32 hex digits: the name on the server. Returns its length. */
unsigned statement_name(struct statement_id id, char out[STATEMENT_NAME]);

/* The other way; false: NAME is none of ours. */
bool statement_id_of(struct slice name, struct statement_id *id);

struct prepared;

struct prepared *prepared_new(void);
void prepared_free(struct prepared *p);
/* When it was prepared; 0: it is not known. Makes it the most recently used. */
int64_t prepared_born(struct prepared *p, struct statement_id id);
/* BORN must not be 0. One that is known gets it, too. */
void prepared_add(struct prepared *p, struct statement_id id, int64_t born);
void prepared_remove(struct prepared *p, struct statement_id id);
/* The least recently used one when there are more than MAX; it is removed. */
bool prepared_evict(struct prepared *p, unsigned max, struct statement_id *id);
void prepared_clear(struct prepared *p);
unsigned prepared_count(const struct prepared *p);

#endif
