/* SPDX-License-Identifier: ISC */
/* The janitor: closes servers that are old or idle for too long, keeps the
 * minimum open, opens the reserve. Runs twice a second while somebody waits or connects, when the next server
 * is due otherwise, and not at all without servers. */
#include "base/clock.h"
#include "base/mem.h"
#include "pool_private.h"

#define JANITOR_US (CLOCK_S / 2)
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
    if (p->conf.lifetime_us == 0) /* each is used once */
        return s->lent_us != 0;
    return pool_worker(p)->now_us - s->connected_us >= lifetime(p, s);
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
    bool gone = (p->flags & (DATABASE_PAUSED | DATABASE_DISABLED)) != 0;
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

static int64_t
tend(struct pool *p)
{
    pool_refresh(p);
    close_idle(p);
    open_minimum(p);
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

    for (struct pool *each = p->first, *next; each != NULL; each = next) {
        next = each->next;
        delay = soonest(delay, tend(each));
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
