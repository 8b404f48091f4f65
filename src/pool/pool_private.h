/* SPDX-License-Identifier: ISC */
/* What the files of room pool share. */
#ifndef POOL_POOL_PRIVATE_H
#define POOL_POOL_PRIVATE_H

#include "pool/pool.h"

#define POOL_CHECK_TIMEOUT_US (10 * 1000000LL)

extern const struct server_keeper pool_keeper;

static inline struct worker *
pool_worker(const struct pool *p)
{
    return p->pools->turn->worker;
}

/* pool.c */
void
pool_offer(struct pool *p, struct server *s); /* an idle server: to whoever waits longest, else the idle list */
void pool_publish(struct pool *p);            /* show waiters and idle servers to the other workers */
void pool_detach(struct pool *p, struct server *s); /* out of its list and count */
void pool_attach(struct pool *p, struct server *s, struct ring *list);
void pool_renew(struct pool *p);
void pool_check_address(struct pool *p, struct server *s); /* old: its host has lost the address it is at */
/* Flags and epoch, when the registry's generation moved. */
static inline void
pool_refresh(struct pool *p)
{
    if (p->generation != registry_generation(p->pools->registry))
        pool_renew(p);
}
bool pool_may_lend(const struct pool *p);

/* grow.c */
void pool_grow(struct pool *p);
void pool_on_retry(struct timer *t);
bool pool_evict_idle(struct pools *pools, const struct pool_shared *wanting, enum pool_room full);
bool pool_open_idle(struct pool *p);                               /* one more, for min_pool_size */
void pool_connect_failed(struct pool *p, const struct fault *why); /* back off */
/* A server for one replication client; false: there is no room. */
bool pool_open_for(struct pool *p, struct pool_waiter *w, struct slice mode, struct params *startup);

/* claim.c */
void pool_claim_new(struct pool *p, struct pool_waiter *w, struct slice mode, struct params *startup);
void pool_claim_forget(struct pool *p, struct pool_waiter *w); /* fine when it has none */
void pool_claim_serve(struct pool *p);                         /* there may be room now */
void pool_claim_idle(struct pool *p); /* an idle server goes, when a claim wants that */
bool pool_claim_takes(const struct pool *p, struct fault *why); /* true: the server at hand is to go for one */

/* transfer.c */
bool pool_send_away(struct pool *p, struct server *s); /* true: S went to a worker whose client waits longer */
void pool_ask_others(struct pool *p);                  /* some other worker may have an idle server */
void pool_ask_to_evict(struct pool *p,
                       enum pool_room full); /* other workers: close an idle server that stands in the way */
void pool_limit_freed(struct pools *p);      /* all workers: try again what a limit refused */

/* retire.c */
void pool_note_empty(struct pool *p); /* its last server or session may have left */
void pool_janitor(struct timer *t);
void pool_window(struct timer *t);
void pool_wake_janitor(struct pools *p);
bool pool_is_vacated(const struct pool *p);
bool pool_is_too_old(const struct pool *p, const struct server *s);

/* story.c: lines of the log. */
#define STORY_WHO 340
void story_connected(const struct pool *p, const struct server *s);
void story_closed(const struct pool *p, const struct server *s, const struct fault *why, bool connecting);
void story_failed(const struct pool *p, const struct fault *why);
void story_reserve(const struct pool *p);

/* pools.c */
bool pool_is_named(const struct pool *p, const struct conf_database *d);
/* *AT, in the list of its pools, goes. */
void pool_forget(struct pool **at);

#endif
