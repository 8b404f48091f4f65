/* SPDX-License-Identifier: ISC */
/* Servers that move between workers: to the client that has waited longest,
 * wherever it is. A local client is preferred while the other has waited less
 * than a millisecond longer. */
#include "base/mem.h"
#include "pool_private.h"

#define LOCAL_ADVANTAGE_US 1000
#define EVICT_PAUSE_US     20000 /* between two questions of one pool */

static struct pool_slot *
slot_of(const struct pool *p, unsigned worker)
{
    return &p->shared->slots[worker];
}

static bool
is_unserved(struct pool_slot *s)
{
    return atomic_load(&s->waiting) > atomic_load(&s->incoming);
}

/* The worker whose first waiter has waited longest, when it may have the server; -1: keep it. */
static int
neediest(const struct pool *p)
{
    const struct ring *first = ring_first(&p->waiters);
    int64_t best = first == NULL ? INT64_MAX : container_of(first, struct pool_waiter, in_queue)->since_us;
    unsigned own = pool_worker(p)->index, n = registry_n_workers(p->pools->registry);
    int answer = -1;

    best -= first == NULL ? 0 : LOCAL_ADVANTAGE_US;
    for (unsigned i = 0; i < n; i++) {
        struct pool_slot *s = slot_of(p, i);
        int64_t oldest = i == own ? 0 : atomic_load(&s->oldest_us);

        if (oldest == 0 || oldest >= best || !is_unserved(s))
            continue;
        best = oldest;
        answer = (int)i;
    }
    return answer;
}

static void
on_arrival(struct worker *w, struct mail *m)
{
    struct server *s = container_of(m, struct server, moving);
    struct pool_shared *shared = s->pool;
    struct pool_slot *slot = &shared->slots[w->index];
    struct pool *p = slot->pool;
    struct fault why;

    atomic_fetch_sub(&slot->incoming, 1);
    server_join(s, p->pools->turn, &p->target, p);
    pool_refresh(p);
    pool_check_address(p, s);
    if (s->stream.stage != STREAM_OPEN || s->epoch != p->epoch || s->old) {
        fault_set(&why, "57P01", "obsolete connection");
        pool_attach(p, s, &p->used);
        server_close(s, &why);
        return;
    }
    if (p->n_waiters > 0)
        pool_offer(p, s);
    else {
        pool_attach(p, s, &p->idle);
        pool_publish(p);
        pool_claim_idle(p);
    }
}

bool
pool_send_away(struct pool *p, struct server *s)
{
    int to;

    if (registry_n_workers(p->pools->registry) == 1 || atomic_load(&p->shared->hungry) == 0)
        return false;
    to = neediest(p);
    if (to < 0 || !server_may_move(s))
        return false;
    atomic_fetch_add(&slot_of(p, (unsigned)to)->incoming, 1);
    pool_detach(p, s);
    server_leave(s);
    s->pool = p->shared;
    s->moving.deliver = on_arrival;
    mail_post(registry_worker(p->pools->registry, (unsigned)to), &s->moving);
    return true;
}

/* ---- asking ---- */

struct want {
    struct mail mail;
    struct pool_shared *shared; /* alive: the asker's pool stays while a question is under way */
    struct worker *from;
};

static void
on_answered(struct worker *w, struct mail *m)
{
    struct want *q = container_of(m, struct want, mail);
    struct pool *p = q->shared->slots[w->index].pool;

    p->n_asking--;
    if (p->n_waiters > 0)
        pool_grow(p);
    mem_free(q);
}

static void
on_asked(struct worker *w, struct mail *m)
{
    struct want *q = container_of(m, struct want, mail);
    struct pool *p = q->shared->slots[w->index].pool;
    struct ring *r = p == NULL ? NULL : ring_first(&p->idle);

    while (r != NULL && pool_may_lend(p) && pool_send_away(p, container_of(r, struct server, in_pool)))
        r = ring_first(&p->idle);
    if (p != NULL)
        pool_publish(p);
    m->deliver = on_answered;
    mail_post(q->from, m);
}

void
pool_ask_others(struct pool *p)
{
    unsigned own = pool_worker(p)->index, n = registry_n_workers(p->pools->registry);

    if (n == 1)
        return;
    for (unsigned i = 0; i < n; i++) {
        struct want *q;

        if (i == own || p->n_asking >= n || atomic_load(&slot_of(p, i)->idle) == 0)
            continue;
        q = mem_new(struct want);
        q->shared = p->shared;
        q->from = pool_worker(p);
        q->mail.deliver = on_asked;
        p->n_asking++;
        mail_post(registry_worker(p->pools->registry, i), &q->mail);
    }
}

/* ---- limits ---- */

struct freed {
    struct mail mail;
    struct pools *(*pools_of)(struct worker *w);
};

static void
on_freed(struct worker *w, struct mail *m)
{
    struct freed *f = container_of(m, struct freed, mail);

    for (struct pool *p = f->pools_of(w)->first; p != NULL; p = p->next)
        if (!pool_must_yield(p->shared, w->now_us))
            pool_retry(p);
    mem_free(f);
}

void
pool_limit_freed(struct pools *p)
{
    for (unsigned i = 0; i < registry_n_workers(p->registry); i++) {
        struct freed *f = mem_new(struct freed);

        f->pools_of = p->of_worker;
        f->mail.deliver = on_freed;
        mail_post(registry_worker(p->registry, i), &f->mail);
    }
}

struct evict {
    struct mail mail;
    struct pool_shared *wanting; /* held */
    enum pool_room full;
    struct pools *(*pools_of)(struct worker *w);
};

static void
on_evict(struct worker *w, struct mail *m)
{
    struct evict *e = container_of(m, struct evict, mail);
    struct pools *pools = e->pools_of(w);

    if (e->full > POOL_FULL)
        pool_evict_idle(pools, e->wanting, e->full);
    else if (e->wanting->slots[w->index].pool != NULL)
        pool_claim_idle(e->wanting->slots[w->index].pool);
    stream_flush(pools->turn);
    registry_pool_drop(e->wanting);
    mem_free(e);
}

void
pool_ask_to_evict(struct pool *p, enum pool_room full)
{
    struct worker *own = pool_worker(p);

    if (full > POOL_FULL && own->now_us - p->evict_asked_us < EVICT_PAUSE_US)
        return;
    p->evict_asked_us = own->now_us;
    for (unsigned i = 0; i < registry_n_workers(p->pools->registry); i++) {
        struct evict *e;

        if (i == own->index)
            continue;
        e = mem_new(struct evict);
        e->wanting = p->shared;
        registry_pool_hold(e->wanting);
        e->full = full;
        e->pools_of = p->pools->of_worker;
        e->mail.deliver = on_evict;
        mail_post(registry_worker(p->pools->registry, i), &e->mail);
    }
}
