/* SPDX-License-Identifier: ISC */
/* The janitor: closes servers that are old or idle for too long, keeps the
 * minimum open, opens the reserve. Runs twice a second while somebody waits or connects, when the next server
 * is due otherwise, and not at all without servers. */
#include "base/clock.h"
#include "base/mem.h"
#include "pool/vacate.h"
#include "pool_private.h"

#define JANITOR_US (CLOCK_S / 2)
#define GONE_US    (5 * CLOCK_S) /* of a pool that the configuration does not lead to any more */
#define RARELY_US  (5 * CLOCK_S) /* what nobody told it of is seen by then */

/* Servers made together must not end together: up to a tenth less, by id. */
static int64_t
lifetime(const struct pool *p, const struct server *s)
{
    int64_t tenth = p->conf.lifetime_us / 10;

    return p->conf.lifetime_us - (tenth > 0 ? (int64_t)((s->id * 2654435761u) % 1000) * tenth / 1000 : 0);
}

bool
pool_is_too_old(const struct pool *p, const struct server *s)
{
    int64_t age = pool_worker(p)->now_us - s->connected_us;

    if (p->conf.lifetime_us == 0) /* each is used once */
        return s->lent_us != 0;
    return age >= p->conf.lifetime_us / 2 && age >= lifetime(p, s);
}

static bool
keep_minimum(const struct pool *p)
{
    return p->conf.min_size > 0 && pool_count(p->shared) <= p->conf.min_size;
}

static void
close_idle(struct pool *p)
{
    int64_t now = pool_worker(p)->now_us, most = p->pools->conf->general.server_idle_timeout;
    bool gone = !pool_may_lend(p);
    int64_t surplus = p->conf.limits.pool == 0 ? 0 : (int64_t)pool_count(p->shared) - p->conf.limits.pool;
    struct fault why;

    ring_each_safe (r, &p->idle) {
        struct server *s = container_of(r, struct server, in_pool);

        if (gone || s->old || s->epoch != p->epoch)
            fault_set(&why, "57P01", "database configuration changed");
        else if (surplus > 0 && p->n_waiters == 0 && surplus-- > 0)
            fault_set(&why, "57P01", "pool is larger than its size");
        else if (pool_is_too_old(p, s))
            fault_set(&why, "57P01", "server lifetime over");
        else if (most > 0 && now - s->idle_us >= most && !keep_minimum(p))
            fault_set(&why, "57P01", "server idle timeout");
        else
            continue;
        server_close(s, &why);
    }
}

static void
open_minimum(struct pool *p)
{
    if (p->conf.min_size == 0 || (!p->forced_user && p->n_sessions == 0) ||
        (p->flags & (DATABASE_PAUSED | DATABASE_DISABLED)) != 0)
        return;
    for (unsigned n = pool_count(p->shared); n < p->conf.min_size; n++)
        if (!pool_open_idle(p))
            return;
}

static int64_t
soonest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When to look at P again, in how many microseconds; INT64_MAX: not before it is told to. */
static int64_t
next_look(const struct pool *p)
{
    int64_t now = pool_worker(p)->now_us, most = p->pools->conf->general.server_idle_timeout;
    int64_t due = p->n_used > 0 && most > 0 ? most : INT64_MAX; /* those may be idle from now on */

    if (p->n_connecting + p->n_waiters > 0)
        return JANITOR_US;
    if (p->n_idle + p->n_used == 0 && (p->conf.min_size == 0 || p->n_sessions == 0))
        return INT64_MAX;
    ring_each (r, &p->idle) {
        const struct server *s = container_of(r, struct server, in_pool);

        due = soonest(due, s->connected_us + lifetime(p, s) - now);
        if (most > 0)
            due = soonest(due, s->idle_us + most - now);
    }
    return due < JANITOR_US ? JANITOR_US : soonest(due, RARELY_US);
}

/* How long P may be without clients and servers; 0: for ever. */
static int64_t
most_empty(const struct pool *p)
{
    const struct conf_general *g = &p->pools->conf->general;
    const struct conf_database *d = conf_find_database(p->pools->conf, slice_str(p->name));
    int64_t most = g->pool_idle_timeout, most_auto = g->autodb_idle_timeout;

    if (d == NULL || !pool_is_named(p, d))
        return GONE_US;
    if (p->conf.min_size > 0 && p->forced_user)
        return 0;
    if (strcmp(d->name, p->name) == 0 || most_auto == 0)
        return most;
    return most > 0 ? soonest(most, most_auto) : most_auto;
}

/* Nobody uses P, and no mail about it is under way. */
static bool
is_empty(const struct pool *p)
{
    return p->n_holders + p->n_sessions + p->n_waiters + p->n_idle + p->n_used + p->n_connecting +
                   p->n_leaving ==
               0 &&
           p->n_asking == 0 && atomic_load(&p->slot->incoming) == 0;
}

void
pool_note_empty(struct pool *p)
{
    if (is_empty(p) && most_empty(p) > 0)
        pool_wake_janitor(p->pools);
}

/* ---- databases that are to be left ---- */

bool
pool_is_vacated(const struct pool *p)
{
    return p->vacate_us != 0 && p->n_sessions == 0 && pool_worker(p)->now_us < p->vacate_us;
}

static void
vacate(struct pool *p)
{
    struct fault why;

    if (!pool_is_vacated(p))
        return;
    fault_set(&why, "57P01", "the database is to be left");
    while (pool_is_vacated(p) && !ring_is_empty(&p->idle))
        server_close(container_of(ring_first(&p->idle), struct server, in_pool), &why);
}

void
pools_vacate(struct pools *p, struct slice target)
{
    for (struct pool *pool = p->first; pool != NULL; pool = pool->next) {
        if (!slice_is(target, pool->target.database))
            continue;
        pool->vacate_us = pool_worker(pool)->now_us + POOL_VACATE_US;
        vacate(pool);
    }
}

void
pool_leave(struct pool *p)
{
    p->n_sessions--;
    vacate(p);
    pool_note_empty(p);
}

void
pool_hold(struct pool *p)
{
    p->n_holders++;
}

void
pool_drop(struct pool *p)
{
    if (p == NULL)
        return;
    p->n_holders--;
    pool_note_empty(p);
}

/* When P may be forgotten, in how many microseconds; 0: now. */
static int64_t
until_forgotten(struct pool *p)
{
    int64_t now = pool_worker(p)->now_us, most = is_empty(p) ? most_empty(p) : 0;

    if (most == 0) {
        p->empty_us = 0;
        return INT64_MAX;
    }
    if (p->empty_us == 0) {
        p->empty_us = now;
        registry_pool_rest(p->shared);
    }
    return now - p->empty_us >= most ? 0 : p->empty_us + most - now;
}

static int64_t
tend(struct pool *p)
{
    pool_refresh(p);
    close_idle(p);
    open_minimum(p);
    pool_claim_serve(p);
    if (p->n_waiters > 0) {
        pool_ask_others(p);
        pool_retry(p);
    }
    return next_look(p);
}

static void
look_in(struct pools *p, int64_t delay)
{
    p->janitor_due_us = p->turn->worker->now_us + delay;
    timer_start(p->turn->worker, &p->janitor, delay);
}

void
pool_janitor(struct timer *t)
{
    struct pools *p = container_of(t, struct pools, janitor);
    int64_t delay = INT64_MAX;

    for (struct pool **at = &p->first; *at != NULL;) {
        struct pool *each = *at;
        int64_t left;

        delay = soonest(delay, tend(each));
        left = until_forgotten(each);
        delay = soonest(delay, left == 0 ? INT64_MAX : left);
        if (left == 0)
            pool_forget(at);
        else
            at = &each->next;
    }
    stream_flush(p->turn);
    if (delay < INT64_MAX)
        look_in(p, delay);
}

void
pool_wake_janitor(struct pools *p)
{
    if (!timer_is_started(&p->janitor) || p->janitor_due_us - p->turn->worker->now_us > JANITOR_US)
        look_in(p, JANITOR_US);
}

void
pool_window(struct timer *t)
{
    struct pools *p = container_of(t, struct pools, window);

    for (struct pool_database *d = p->databases; d != NULL; d = d->next) {
        d->window_from = d->window_to;
        d->window_to = d->stats;
    }
    timer_start(p->turn->worker, &p->window, p->conf->general.stats_period);
}
