/* SPDX-License-Identifier: ISC */
/* The tables behind the registry (registry.c, shared.c). */
#ifndef POOL_REGISTRY_PRIVATE_H
#define POOL_REGISTRY_PRIVATE_H

#include <pthread.h>
#include <uthash.h>

#include "pool/shared.h"

struct pool_name {
    char *name;
    unsigned servers, clients, flags, epoch;
    bool told;                             /* registry_is_news() */
    bool refused;                          /* somebody wants a server and the limit said no */
    _Atomic(struct pool_shared *) poorest; /* of those refused: the pool with the fewest servers; NULL: none */
    _Atomic int64_t poor_since_us;
    UT_hash_handle hh;
};

struct registry {
    struct worker *const *workers;
    unsigned n_workers;
    _Atomic unsigned generation;
    struct names_cache *names;
    char apart[64]; /* what each query reads is not in the cache line that each login writes */
    _Atomic unsigned clients;
    struct {
        pthread_mutex_t lock;
        struct pool_name *databases, *users;
        struct known_pool *pools;
        struct known_secret *secrets;
        unsigned all_flags, all_epoch;
    } shared;
};

/* The database ('d') or user ('u') NAME; made when it is new. */
struct pool_name *registry_name_locked(struct registry *r, char kind, struct slice name);

/* ---- shared.c ---- */

void shared_free_all(struct registry *r);

#endif
