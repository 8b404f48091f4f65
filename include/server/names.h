/* SPDX-License-Identifier: ISC */
/* The addresses that names had lately. Shared by all workers: every function locks. */
#ifndef SERVER_NAMES_H
#define SERVER_NAMES_H

#include "net/address.h"

struct names_cache;

struct names_cache *names_cache_new(void);
void names_cache_free(struct names_cache *c);
/* How long an answer is used: one with addresses, one without. */
void names_cache_set_ttl(struct names_cache *c, int64_t found_us, int64_t missing_us);
/* The answer of the last look-up of R's host is put into R. False: there is none, or it is too old. */
bool names_cache_find(struct names_cache *c, struct resolve *r, int64_t now_us);
void names_cache_add(struct names_cache *c, const struct resolve *r, int64_t now_us);
/* A look-up begins (1) or ends (-1). */
void names_cache_count(struct names_cache *c, int change);

struct names_shown {
    const char *host;
    int64_t left_us; /* until it is looked up anew; 0: with the next use */
    const struct net_address *found;
    unsigned n;
};
void
names_cache_each(struct names_cache *c, void (*each)(void *owner, const struct names_shown *s), void *owner);
void names_cache_counts(struct names_cache *c, unsigned *names, unsigned *queries);

#endif
