/* SPDX-License-Identifier: ISC */
/* What the pools of all workers share: how many servers and clients there are
 * and may be, which databases are paused, what is known about secrets. One lock, held
 * for a few instructions, and never on the way of a query. Any thread. */
#ifndef POOL_REGISTRY_H
#define POOL_REGISTRY_H

#include "base/fault.h"
#include "loop/worker.h"
#include "server/credential.h"

struct resolver;
/* BY looks up names of servers; NULL: their hosts are addresses and folders. */
struct registry *registry_new(struct worker *const *workers, unsigned n_workers, const struct resolver *by);
void registry_free(struct registry *r);
unsigned registry_n_workers(const struct registry *r);
struct worker *registry_worker(const struct registry *r, unsigned index);

/* Addresses of servers, for all workers. */
struct names_cache *registry_names(const struct registry *r);

/* Clients: count one in, or fill WHY with the CONTRACT's 53300. */
struct client_limits {
    int64_t all, database, user;
};
bool registry_client_enter(struct registry *r, struct slice database, struct slice user,
                           const struct client_limits *limits, struct fault *why);
void registry_client_leave(struct registry *r, struct slice database, struct slice user);
unsigned registry_clients(struct registry *r);

/* True for each database the first time. */
bool registry_is_news(struct registry *r, struct slice database);

/* Counts of a name: servers and clients. KIND 'd' database, 'u' user. */
void registry_counts(struct registry *r, char kind, struct slice name, unsigned *servers, unsigned *clients);

enum database_flag { DATABASE_PAUSED = 1, DATABASE_DISABLED = 2 };
/* Flags of a database, those of all included; an empty DATABASE means all databases (PAUSE without a name). */
unsigned registry_flags(struct registry *r, struct slice database);
/* Only those that it got by its own name. */
unsigned registry_own_flags(struct registry *r, struct slice database);
void registry_set_flag(struct registry *r, struct slice database, enum database_flag flag, bool on);
/* From all, and from each that has it by its own name. */
void registry_clear_flag(struct registry *r, enum database_flag flag);
/* RECONNECT: servers that connected in an older epoch go when they come back. */
unsigned registry_epoch(struct registry *r, struct slice database);
void registry_next_epoch(struct registry *r, struct slice database);
/* A number that changes whenever flags or epochs do: pools compare it before they look. */
unsigned registry_generation(const struct registry *r);

/* The credential of USER with this SECRET: the one that is known, or a new one. Held. */
struct credential *registry_credential(struct registry *r, struct slice user, struct slice secret);

#endif
