/* SPDX-License-Identifier: ISC */
/* One pool as all workers see it: its servers, counted within limits, who waits at which worker, what was
 * learned of its servers. Under the registry's lock, or atomic. Any thread. */
#ifndef POOL_SHARED_H
#define POOL_SHARED_H

#include <stdatomic.h>

#include "pool/registry.h"
#include "server/server.h"

/* A worker's view of one pool that other workers read. */
struct pool_slot {
    _Atomic int64_t oldest_us; /* since when its first waiter waits; 0: none does */
    _Atomic unsigned waiting;  /* waiters */
    _Atomic unsigned incoming; /* servers on their way to it */
    _Atomic unsigned idle;     /* servers that it could give */
    struct pool *pool;         /* touched by its worker only */
} __attribute__((aligned(64)));

/* Counts of one name (a database or a user), over all workers. */
struct pool_name;

struct pool_shared {
    struct registry *registry;
    struct pool_name *database, *user;
    char *key; /* database NUL user NUL node */
    size_t key_len;
    _Atomic unsigned hungry;         /* workers that have waiters */
    _Atomic int64_t retry_at_us;     /* no attempt to connect before this time */
    _Atomic unsigned failures;       /* attempts that failed in a row */
    _Atomic unsigned epoch;          /* servers from before are not used again; added to the database's */
    _Atomic unsigned n_servers;      /* changed under the registry's lock */
    _Atomic unsigned claims;         /* replication clients that wait for a place */
    _Atomic unsigned claims_due;     /* servers that are to go for them */
    unsigned refs;                   /* under the lock */
    struct shared_welcome *welcomes; /* under the lock */
    unsigned n_welcomes;
    struct fault last_fault; /* why the last attempt failed; under the lock */
    struct pool_slot *slots; /* one for each worker */
};

/* The shared part of pool (DATABASE, USER, NODE; NODE is empty for a database with one server); made when it is
 * new. Held. */
struct pool_shared *
registry_pool(struct registry *r, struct slice database, struct slice user, struct slice node);
void registry_pool_hold(struct pool_shared *s);
void registry_pool_drop(struct pool_shared *s);
/* S wants no server any more: nobody yields to it. Some time before it is dropped, because others look without
 * the lock. */
void registry_pool_rest(struct pool_shared *s);

struct pool_limits { /* 0: none */
    int64_t pool, database, user;
};
enum pool_room { POOL_ROOM, POOL_FULL, POOL_DATABASE_FULL, POOL_USER_FULL };
/* No server of S that is connected now is used again. */
void pool_next_epoch(struct pool_shared *s);
/* Count one more server in, or say what is full. */
enum pool_room pool_reserve(struct pool_shared *s, const struct pool_limits *limits);
/* Count one out. True: somebody was refused because of a database's or user's limit, and should try again. */
bool pool_unreserve(struct pool_shared *s);
/* Another pool under the same limit has fewer servers and waits for one: give one up. No lock. */
bool pool_must_yield(const struct pool_shared *s, int64_t now_us);
unsigned pool_count(struct pool_shared *s);
/* ParameterStatus values that some worker learned for start-up SETTINGS, as a set of table T, or NULL. */
struct params *
shared_welcome_find(struct pool_shared *s, struct params_table *t, const struct params *settings);
void shared_welcome_add(struct pool_shared *s, const struct params *settings, const struct params *reports);
void shared_welcome_forget(struct pool_shared *s);
void pool_set_fault(struct pool_shared *s, const struct fault *why);
void pool_fault(struct pool_shared *s, struct fault *out);

#endif
