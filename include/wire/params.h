/* SPDX-License-Identifier: ISC */
/* Small immutable sets of name -> value, sorted by name, interned per worker:
 * two sets of one table are equal exactly when their pointers are. Used for
 * settings (name -> SQL that sets it) and for reports (ParameterStatus).
 * Counted by the one worker that owns the table. */
#ifndef WIRE_PARAMS_H
#define WIRE_PARAMS_H

#include "base/slice.h"

struct param {
    struct slice name, value;
};

struct params {
    uint64_t hash;
    struct params *next; /* in the table's bucket */
    struct params_table *table;
    unsigned refs;
    unsigned n;
    size_t len;    /* bytes of names and values */
    uint64_t mark; /* of the names in it: most of the others are known by it not to be */
    struct param at[];
};

struct params_table *params_table_new(void);
void params_table_free(struct params_table *t); /* every set must have been dropped */

/* The set without members; always the same pointer for a table. Held for the caller, as all below. */
struct params *params_empty(struct params_table *t);
struct params *params_hold(struct params *p);
void params_drop(struct params *p); /* NULL is fine */
/* P with NAME = VALUE; takes over the caller's hold on P. */
struct params *params_with(struct params *p, struct slice name, struct slice value);
/* P without NAME; takes over the caller's hold on P. */
struct params *params_without(struct params *p, struct slice name);
/* The same members, whatever tables they are of. */
bool params_same(const struct params *a, const struct params *b);
/* A private copy, as params_detach() makes; free with mem_free(). */
struct params *params_copy(const struct params *p);
/* The interned set of T with the members of P, of any table. */
struct params *params_import(struct params_table *t, const struct params *p);
/* Between workers: *P becomes a private copy that no table knows (its hold on the table's set ends), and later
 * the interned set of table T. A NULL *P stays. */
void params_detach(struct params **p);
void params_attach(struct params **p, struct params_table *t);
/* NULL when absent. Names compare without regard to case (settings' names do). */
const struct param *params_find(const struct params *p, struct slice name);
/* The value of NAME; empty when absent. */
struct slice params_value(const struct params *p, struct slice name);
/* Sets alive in T, and their bytes. */
void params_table_stats(const struct params_table *t, size_t *sets, size_t *bytes);

#endif
