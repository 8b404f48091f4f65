/* SPDX-License-Identifier: ISC */
/* Borrowing, giving back, queueing. Owned by one worker. */
#include "pool/pool.h"

#include <assert.h>

#include "base/mem.h"
#include "pool_private.h"
#include "server/names.h"

#define LOOK_FIRST_US \
    1000 /* a server idle for longer is looked at before it is lent: it may have died just now */

/* ---- lists and counts ---- */

static unsigned *
count_of(struct pool *p, const struct ring *list)
{
    if (list == &p->leaving)
        return &p->n_leaving;
    return list == &p->idle ? &p->n_idle : list == &p->used ? &p->n_used : &p->n_connecting;
}

void
pool_detach(struct pool *p, struct server *s)
{
    if (s->in_pool.next == &s->in_pool)
        return;
    --*count_of(p, s->list);
    ring_remove(&s->in_pool);
}

void
pool_attach(struct pool *p, struct server *s, struct ring *list)
{
    s->list = list;
    if (list == &p->idle)
        ring_insert(list, &s->in_pool);
    else
        ring_append(list, &s->in_pool);
    ++*count_of(p, list);
}

void
pool_publish(struct pool *p)
{
    struct pool_slot *slot = p->slot;
    const struct ring *first = ring_first(&p->waiters);
    unsigned before, idle_before;

    if (registry_n_workers(p->pools->registry) == 1)
        return;
    before = atomic_load_explicit(&slot->waiting, memory_order_relaxed);
    idle_before = atomic_load_explicit(&slot->idle, memory_order_relaxed);
    atomic_store_explicit(&slot->oldest_us,
                          first == NULL ? 0 : container_of(first, struct pool_waiter, in_queue)->since_us,
                          memory_order_relaxed);
    atomic_store_explicit(&slot->idle, p->n_idle, memory_order_relaxed);
    atomic_store_explicit(&slot->waiting, p->n_waiters, memory_order_relaxed);
    if (before == 0 && p->n_waiters > 0)
        atomic_fetch_add(&p->shared->hungry, 1);
    else if (before > 0 && p->n_waiters == 0)
        atomic_fetch_sub(&p->shared->hungry, 1);
    else if (p->n_idle > idle_before)
        atomic_thread_fence(memory_order_seq_cst); /* our idle count is seen before we look at hungry */
}

void
pool_check_address(struct pool *p, struct server *s)
{
    struct names_cache *names = registry_names(p->pools->registry);

    s->old = s->old || (p->n_moves > 0 && !names_cache_has(names, p->target.host, &s->address));
}

static void
leave_old_addresses(struct pool *p)
{
    struct names_cache *names = registry_names(p->pools->registry);
    struct ring *lists[] = { &p->idle, &p->used, &p->connecting };

    if (p->n_moves == names_cache_n_moves(names))
        return;
    p->n_moves = names_cache_n_moves(names);
    for (size_t i = 0; i < 3; i++)
        ring_each (r, lists[i])
            pool_check_address(p, container_of(r, struct server, in_pool));
}

void
pool_renew(struct pool *p)
{
    struct registry *r = p->pools->registry;

    bool was_paused = !pool_may_lend(p);

    p->generation = registry_generation(r);
    p->flags = registry_flags(r, slice_str(p->name));
    if (was_paused && pool_may_lend(p))
        p->resumed_us = pool_worker(p)->now_us;
    p->epoch = registry_epoch(r, slice_str(p->name)) + atomic_load(&p->shared->epoch);
    leave_old_addresses(p);
}

bool
pool_may_lend(const struct pool *p)
{
    return (p->flags & DATABASE_PAUSED) == 0;
}

/* ---- the queue ---- */

static void
enqueue(struct pool *p, struct pool_waiter *w)
{
    w->since_us = pool_worker(p)->now_us;
    ring_append(&p->waiters, &w->in_queue);
    p->n_waiters++;
}

static void
dequeue(struct pool *p, struct pool_waiter *w)
{
    ring_remove(&w->in_queue);
    p->n_waiters--;
}

void
pool_stop_waiting(struct pool *p, struct pool_waiter *w)
{
    if (w->since_us == 0)
        return;
    dequeue(p, w);
    w->since_us = 0;
    pool_publish(p);
}

/* An idle server must be checked before use when it was quiet for long, or when another one died meanwhile. */
static bool
needs_check(const struct pool *p, const struct server *s)
{
    const struct conf_general *g = &p->pools->conf->general;

    return g->server_check_query[0] != '\0' &&
           (pool_worker(p)->now_us - s->idle_us > g->server_check_delay || s->idle_us <= p->suspect_us);
}

static struct slice
check_query(const struct pool *p)
{
    struct slice q = slice_str(p->pools->conf->general.server_check_query);

    return slice_is(q, "<empty>") ? SLICE(";") : q;
}

/* The best idle server, out of its list. */
static struct server *
take_idle(struct pool *p)
{
    bool oldest = p->pools->conf->general.server_round_robin;
    struct ring *r = oldest ? ring_last(&p->idle) : ring_first(&p->idle);
    struct server *s;

    if (r == NULL)
        return NULL;
    s = container_of(r, struct server, in_pool);
    pool_detach(p, s);
    return s;
}

void
pool_prefer(struct pool *p, struct server *s)
{
    ring_remove(&s->in_pool);
    if (p->pools->conf->general.server_round_robin)
        ring_append(&p->idle, &s->in_pool);
    else
        ring_insert(&p->idle, &s->in_pool);
}

static struct server *
take_ready(struct pool *p)
{
    struct server *s;
    struct slice query;
    struct fault why;

    while ((s = take_idle(p)) != NULL) {
        if (s->old || s->epoch != p->epoch) {
            fault_set(&why, "57P01", "obsolete connection");
            server_close(s, &why);
            continue;
        }
        if (pool_worker(p)->now_us - s->idle_us >= LOOK_FIRST_US && server_is_stale(s)) {
            pool_attach(p, s, &p->used);
            continue;
        }
        if (!needs_check(p, s)) {
            pool_attach(p, s, &p->used);
            return s;
        }
        pool_attach(p, s, &p->used);
        query = check_query(p);
        server_clean(s, &query, 1, POOL_CHECK_TIMEOUT_US);
    }
    return NULL;
}

struct server *
pool_borrow(struct pool *p, struct pool_waiter *w)
{
    struct server *s = NULL;

    pool_refresh(p);
    if (ring_is_empty(&p->waiters) && pool_may_lend(p))
        s = take_ready(p);
    if (s != NULL) {
        p->database->stats.server_assignments++;
        pool_publish(p);
        return s;
    }
    enqueue(p, w);
    pool_publish(p);
    if (pool_may_lend(p)) {
        pool_ask_others(p);
        pool_grow(p);
    }
    pool_wake_janitor(p->pools);
    return NULL;
}

static void
serve_first(struct pool *p, struct server *s)
{
    struct pool_waiter *w = container_of(ring_first(&p->waiters), struct pool_waiter, in_queue);
    int64_t waited = pool_worker(p)->now_us - w->since_us;

    dequeue(p, w);
    w->since_us = 0;
    p->database->stats.server_assignments++;
    p->database->stats.wait_us += waited;
    pool_attach(p, s, &p->used);
    pool_publish(p);
    w->on_server(w, s);
}

void
pool_offer(struct pool *p, struct server *s)
{
    if (pool_may_lend(p) && pool_send_away(p, s))
        return;
    if (p->n_waiters > 0 && pool_may_lend(p)) {
        serve_first(p, s);
        return;
    }
    pool_attach(p, s, &p->idle);
    pool_publish(p);
    if (pool_may_lend(p) && pool_send_away(p, s))
        pool_publish(p);
}

/* ---- coming back ---- */

static bool
must_go(struct pool *p, const struct server *s, struct fault *why)
{
    pool_refresh(p);
    if (s->old || s->epoch != p->epoch)
        return !fault_set(why, "57P01", "database configuration changed");
    if (s->tainted)
        return !fault_set(why, "57P01", "client left state behind that no reset ends");
    if ((p->flags & DATABASE_PAUSED) != 0)
        return !fault_set(why, "57P01", "database is paused");
    if (p->conf.limits.pool > 0 && pool_count(p->shared) > p->conf.limits.pool + p->conf.reserve_size)
        return !fault_set(why, "57P01", "pool is larger than its size");
    if (!p->yielded && pool_must_yield(p->shared, pool_worker(p)->now_us)) {
        p->yielded = true;
        return !fault_set(why, "57P01", "evicted");
    }
    if (pool_is_vacated(p))
        return !fault_set(why, "57P01", "the database is to be left");
    if (pool_is_too_old(p, s))
        return !fault_set(why, "57P01", "server lifetime over");
    if (s->replication)
        return s->lent_us != 0 && !fault_set(why, "57P01", "replication client left");
    return pool_claim_takes(p, why);
}

/* A transaction left open is rolled back; a session's own state goes with the reset query. One that is not
 * DISCARD ALL leaves settings that nobody knows, so they are reset before the next use. */
static void
clean(struct pool *p, struct server *s, bool reset)
{
    struct slice queries[3] = { slice_str(p->pools->conf->general.server_reset_query), SLICE("DEALLOCATE ALL"),
                                SLICE("UNLISTEN *") };
    unsigned listens = s->listens;
    struct fault why;

    s->listens = false;
    if (!reset) {
        server_clean(s, queries + 2, listens, POOL_CHECK_TIMEOUT_US);
        return;
    }
    if (queries[0].len == 0) {
        fault_set(&why, "57P01", "server is not clean and server_reset_query is empty");
        server_close(s, &why);
        return;
    }
    server_forget(s);
    if (slice_is_nocase(queries[0], "DISCARD ALL")) {
        server_clean(s, queries, 1, POOL_CHECK_TIMEOUT_US);
        return;
    }
    params_drop(s->settings);
    s->settings = NULL;
    server_clean(s, queries, 2 + listens, POOL_CHECK_TIMEOUT_US);
}

void
pool_give_back(struct server *s, bool reset)
{
    struct pool *p = s->pool;
    struct fault why;

    if (must_go(p, s, &why)) {
        server_close(s, &why);
        return;
    }
    if (reset || s->status != 'I' || s->listens) {
        clean(p, s, reset);
        return;
    }
    server_take_back(s);
    pool_detach(p, s);
    pool_offer(p, s);
}

/* A server that was made for one client. */
static void
hand_over(struct pool *p, struct server *s)
{
    struct pool_waiter *w = s->claimed;

    s->claimed = NULL;
    pool_attach(p, s, &p->used);
    w->on_server(w, s);
}

static void
tell_claimer(struct server *s, const struct fault *why)
{
    struct pool_waiter *w = s->claimed;

    s->claimed = NULL;
    if (w != NULL)
        w->on_trouble(w, why);
}

static void
on_ready(struct server *s)
{
    struct pool *p = s->pool;
    bool was_connecting = s->list == &p->connecting;
    struct fault why;

    if (was_connecting) {
        atomic_store(&p->shared->failures, 0);
        atomic_store(&p->shared->retry_at_us, 0);
        if (!s->logged)
            story_connected(p, s);
        s->logged = true;
    }
    pool_detach(p, s);
    if (must_go(p, s, &why)) {
        pool_attach(p, s, &p->used);
        tell_claimer(s, &why);
        server_close(s, &why);
        return;
    }
    if (s->claimed != NULL)
        hand_over(p, s);
    else
        pool_offer(p, s);
    if (was_connecting && p->n_waiters > 0)
        pool_grow(p);
}

bool
pool_is_down(const struct pool *p)
{
    return atomic_load(&p->shared->failures) > 0 && p->n_idle + p->n_used == 0;
}

void
pool_retry(struct pool *p)
{
    pool_refresh(p);
    pool_claim_serve(p);
    if (!pool_may_lend(p))
        return;
    while (p->n_waiters > 0) {
        struct server *s = take_ready(p);

        if (s == NULL)
            break;
        pool_detach(p, s);
        serve_first(p, s);
    }
    if (p->n_waiters > 0)
        pool_grow(p);
}

/* ---- going ---- */

static void
tell_waiters(struct pool *p, const struct fault *why)
{
    ring_each_safe (r, &p->waiters) {
        struct pool_waiter *w = container_of(r, struct pool_waiter, in_queue);

        w->on_trouble(w, why);
    }
}

/* A server that was told to end says so. One that just vanishes is a sign of a crash, and then PostgreSQL ends
 * all of them within milliseconds: none that was connected before is used again. Otherwise the idle ones are
 * checked first. */
static void
suspect_others(struct pool *p, const struct server *s, const struct fault *why)
{
    bool vanished = strcmp(why->sqlstate, "08006") == 0 || strcmp(why->sqlstate, "58030") == 0;

    p->suspect_us = pool_worker(p)->now_us;
    pool_refresh(p);
    if (p->node != NULL && p->pools->on_suspect != NULL)
        p->pools->on_suspect(p);
    if (!vanished || s->epoch != p->epoch)
        return;
    if (p->node != NULL)
        pool_next_epoch(p->shared);
    else
        registry_next_epoch(p->pools->registry, slice_str(p->name));
}

static void
on_gone(struct server *s, const struct fault *why)
{
    struct pool *p = s->pool;
    bool was_connecting = s->list == &p->connecting;

    if (s->died && !was_connecting)
        suspect_others(p, s, why);
    pool_detach(p, s);
    pool_publish(p);
    pool_attach(p, s, &p->leaving);
    story_closed(p, s, why, was_connecting);
    if (was_connecting) {
        if (p->node != NULL && p->pools->on_suspect != NULL)
            p->pools->on_suspect(p);
        pool_connect_failed(p, why);
        tell_waiters(p, why);
        tell_claimer(s, why);
    }
}

/* Only now is there room for another: PostgreSQL must never see more of them than a limit says. */
static void
on_left(struct server *s)
{
    struct pool *p = s->pool;

    pool_detach(p, s);
    if ((pool_unreserve(p->shared) || atomic_load(&p->shared->claims) > 0) && !p->pools->ending)
        pool_limit_freed(p->pools);
    if (p->n_waiters > 0 && pool_may_lend(p) && !p->yielded)
        pool_grow(p);
    p->yielded = false; /* the other pool first; ours tries again with its next client or the janitor */
    if (!p->pools->ending)
        pool_note_empty(p);
}

const struct server_keeper pool_keeper = { on_ready, on_gone, on_left };
