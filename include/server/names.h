/* SPDX-License-Identifier: ISC */
/* The addresses that names had lately, and who waits for them. Shared by all workers: every function locks. */
#ifndef SERVER_NAMES_H
#define SERVER_NAMES_H

#include "net/resolve.h"

struct names_cache;

/* MOVED rises after a name has lost an address. Both outlive the cache. */
struct names_cache *names_cache_new(const struct resolver *by, _Atomic unsigned *moved);
void names_cache_free(struct names_cache *c);
/* How long an answer is used: one with addresses, one without. */
void names_cache_set_ttl(struct names_cache *c, int64_t found_us, int64_t missing_us);

enum names_answer { NAMES_KNOWN, NAMES_ASKED, NAMES_NO_ROOM };
/* KNOWN: the answer of the last look-up of R's host is in R. ASKED: R's job will be done, which may be with the
 * answer to somebody else who asked before; names_cache_take() must be called then. */
enum names_answer names_cache_ask(struct names_cache *c, struct resolve *r, int64_t now_us);
void names_cache_take(struct names_cache *c, struct resolve *r, int64_t now_us);
/* The names in ZONE have changed: look all of them up now, on behalf of worker W. */
void names_cache_renew(struct names_cache *c, const char *zone, struct worker *w);

/* Was A an address of one of HOSTS (with commas) when these were looked up last? True also when nobody knows.
 */
bool names_cache_has(struct names_cache *c, const char *hosts, const struct net_address *a);
/* How many times a name has lost an address. */
unsigned names_cache_n_moves(const struct names_cache *c);

/* What follows the first dot of HOST; NULL: nothing. */
const char *names_zone_of(const char *host);

struct names_shown {
    const char *host;
    int64_t left_us; /* until it is looked up anew; 0: with the next use */
    const struct net_address *found;
    unsigned n;
};
void
names_cache_each(struct names_cache *c, void (*each)(void *owner, const struct names_shown *s), void *owner);
struct names_counts {
    unsigned names, queries, waiting; /* WAITING for the answer to somebody else's query */
};
struct names_counts names_cache_counts(struct names_cache *c);

#endif
