/* SPDX-License-Identifier: ISC */
/* Replication clients that wait for a place in a full pool. A server of it that is idle, on whatever worker, or
 * the next that comes back, goes for each; meanwhile nobody else opens one. */
#include "base/mem.h"
#include "pool_private.h"

struct claim {
    struct ring in_pool;
    struct pool_waiter *waiter;
    struct slice mode;      /* the client's login keeps it */
    struct params *startup; /* held */
};

/* True: the caller closes a server for a claim. */
static bool
take_due(struct pool_shared *s)
{
    unsigned due = atomic_load_explicit(&s->claims_due, memory_order_relaxed);

    while (due > 0)
        if (atomic_compare_exchange_weak(&s->claims_due, &due, due - 1))
            return true;
    return false;
}

bool
pool_claim_takes(const struct pool *p, struct fault *why)
{
    return take_due(p->shared) && !fault_set(why, "57P01", "a replication client needs its place");
}

void
pool_claim_idle(struct pool *p)
{
    struct ring *r = ring_last(&p->idle);
    struct fault why;

    if (r != NULL && pool_claim_takes(p, &why))
        server_close(container_of(r, struct server, in_pool), &why);
}

static void
end_claim(struct pool *p, struct claim *c)
{
    ring_remove(&c->in_pool);
    params_drop(c->startup);
    mem_free(c);
    if (atomic_fetch_sub(&p->shared->claims, 1) <= atomic_load(&p->shared->claims_due))
        take_due(p->shared); /* it had no need of one, or needs it no more */
    if (!p->pools->ending)
        pool_limit_freed(p->pools); /* others may open servers again */
}

void
pool_claim_serve(struct pool *p)
{
    ring_each_safe (r, &p->claims) {
        struct claim *c = container_of(r, struct claim, in_pool);

        if (!pool_open_for(p, c->waiter, c->mode, c->startup))
            return;
        end_claim(p, c);
    }
}

void
pool_claim_new(struct pool *p, struct pool_waiter *w, struct slice mode, struct params *startup)
{
    struct claim *c = mem_new(struct claim);

    c->waiter = w;
    c->mode = mode;
    c->startup = params_hold(startup);
    ring_append(&p->claims, &c->in_pool);
    atomic_fetch_add(&p->shared->claims, 1);
    atomic_fetch_add(&p->shared->claims_due, 1);
    pool_claim_idle(p);
    pool_ask_to_evict(p, POOL_FULL);
}

void
pool_claim_forget(struct pool *p, struct pool_waiter *w)
{
    ring_each_safe (r, &p->claims) {
        struct claim *c = container_of(r, struct claim, in_pool);

        if (c->waiter == w)
            end_claim(p, c);
    }
}
