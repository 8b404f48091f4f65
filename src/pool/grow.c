/* SPDX-License-Identifier: ISC */
/* Opening servers: as many at once as clients wait, within the limits; back-off
 * with jitter after failures, then one attempt at a time until one succeeds. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "pool_private.h"

#define FIRST_PAUSE_US 50000

static const struct pool_waiter *
first_waiter(const struct pool *p)
{
    const struct ring *r = ring_first(&p->waiters);

    return r == NULL ? NULL : container_of(r, struct pool_waiter, in_queue);
}

/* What the reserve adds: it opens for a client that has waited long. */
static int64_t
reserve_now(const struct pool *p)
{
    const struct pool_waiter *w = first_waiter(p);

    if (p->conf.reserve_size <= 0 || w == NULL ||
        pool_worker(p)->now_us - w->since_us < p->pools->conf->general.reserve_pool_timeout)
        return 0;
    return p->conf.reserve_size;
}

/* Another pool's idle server may stand in the way of a database's or user's limit: close the one idle longest.
 */
bool
pool_evict_idle(struct pools *pools, const struct pool_shared *wanting, enum pool_room full)
{
    struct server *victim = NULL;
    struct fault why;

    for (struct pool *p = pools->first; p != NULL; p = p->next) {
        bool same = full == POOL_DATABASE_FULL ? p->shared->database == wanting->database
                                               : p->shared->user == wanting->user;
        struct ring *r = ring_last(&p->idle);
        struct server *s = r == NULL ? NULL : container_of(r, struct server, in_pool);

        if (same && p->shared != wanting && s != NULL && (victim == NULL || s->idle_us < victim->idle_us))
            victim = s;
    }
    if (victim == NULL)
        return false;
    fault_set(&why, "57P01", "evicted");
    server_close(victim, &why);
    return true;
}

static struct server *
open_server(struct pool *p, struct slice replication)
{
    struct server *s = server_new(p->pools->turn, &p->target, &pool_keeper, p, replication);

    s->id = atomic_fetch_add(p->pools->next_id, 1);
    s->epoch = p->epoch;
    pool_attach(p, s, &p->connecting);
    pool_wake_janitor(p->pools);
    return s;
}

static bool
reserve(struct pool *p, const struct pool_limits *limits)
{
    enum pool_room room = pool_reserve(p->shared, limits);

    if (room > POOL_FULL && pool_evict_idle(p->pools, p->shared, room))
        room = pool_reserve(p->shared, limits);
    if (room > POOL_FULL)
        pool_ask_to_evict(p, room);
    return room == POOL_ROOM;
}

static bool
open_one(struct pool *p)
{
    struct pool_limits limits = p->conf.limits;

    if (limits.pool > 0)
        limits.pool += reserve_now(p);
    if (atomic_load(&p->shared->claims) > 0 || !reserve(p, &limits))
        return false;
    if (limits.pool > p->conf.limits.pool && pool_count(p->shared) > p->conf.limits.pool)
        story_reserve(p);
    open_server(p, slice_of(NULL, 0));
    return true;
}

bool
pool_open_for(struct pool *p, struct pool_waiter *w, struct slice mode, struct params *startup)
{
    struct server *s;

    if (!reserve(p, &p->conf.limits))
        return false;
    s = open_server(p, mode);
    s->startup = params_hold(startup);
    s->claimed = w;
    return true;
}

void
pool_open_replication(struct pool *p, struct pool_waiter *w, struct slice mode, struct params *startup)
{
    pool_refresh(p);
    if (!pool_open_for(p, w, mode, startup))
        pool_claim_new(p, w, mode, startup);
}

void
pool_forget_replication(struct pool *p, struct pool_waiter *w)
{
    struct fault why;

    pool_claim_forget(p, w);
    fault_set(&why, "57P01", "replication client left");
    ring_each_safe (r, &p->connecting) {
        struct server *s = container_of(r, struct server, in_pool);

        if (s->claimed != w)
            continue;
        s->claimed = NULL;
        server_close(s, &why);
    }
}

/* How many to open: one for each waiter that no attempt is under way for; one in all while attempts fail. */
static unsigned
wanted(const struct pool *p)
{
    unsigned want = p->n_waiters > p->n_connecting ? p->n_waiters - p->n_connecting : 0;

    if (atomic_load(&p->shared->failures) > 0)
        return p->n_connecting == 0 && want > 0 ? 1 : 0;
    return want;
}

/* Most clients that wait find it so: no lock for them. */
static bool
is_full(const struct pool *p)
{
    int64_t most = p->conf.limits.pool;

    return most > 0 && pool_count(p->shared) >= most + reserve_now(p);
}

void
pool_grow(struct pool *p)
{
    int64_t now = pool_worker(p)->now_us, at = atomic_load(&p->shared->retry_at_us);

    if (!pool_may_lend(p))
        return;
    if (at > now) {
        if (!timer_is_started(&p->retry))
            timer_start(pool_worker(p), &p->retry, at - now);
        return;
    }
    for (unsigned n = wanted(p); n > 0; n--)
        if (is_full(p) || !open_one(p))
            return;
}

bool
pool_open_idle(struct pool *p)
{
    return atomic_load(&p->shared->retry_at_us) <= pool_worker(p)->now_us && open_one(p);
}

void
pool_on_retry(struct timer *t)
{
    pool_retry(container_of(t, struct pool, retry));
}

void
pool_connect_failed(struct pool *p, const struct fault *why)
{
    unsigned failures = atomic_fetch_add(&p->shared->failures, 1);
    int64_t most = p->pools->conf->general.server_login_retry;
    int64_t pause = failures > 10 ? most : (int64_t)FIRST_PAUSE_US << failures;

    if (!p->target.in_turn)
        p->host_turn++; /* the first that can be reached, from here on */
    if (pause > most)
        pause = most;
    pause -= pause > 3 ? (int64_t)(random_u64() % (uint64_t)(pause / 3)) : 0;
    atomic_store(&p->shared->retry_at_us, pool_worker(p)->now_us + pause);
    pool_set_fault(p->shared, why);
    story_failed(p, why);
}
