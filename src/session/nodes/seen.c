/* SPDX-License-Identifier: ISC */
/* What a session has written and read: its causal token (DESIGN section 6), and waiting for a replica that has
 * as much. */
#include "base/clock.h"
#include "choose_private.h"
#include "topo/watch.h"

/* A read that only lacks a sample waits this long for it, and for a replica that is not far behind. When that
 * was in vain, the session's next ones do not for a while; then one waits twice as long, some times over. */
#define SEEN_WAIT_US (10 * CLOCK_MS)
#define SEEN_REST    10 /* times as long as it has waited */
#define SEEN_MOST    2  /* doublings */

/* The answer to a write was read just now: a sample that is sent later has seen it, and what was read before.
 */
static void
note_write(struct session *s)
{
    int64_t now = clock_now_us(), last;

    s->routing->token.unresolved_us = now;
    s->routing->token.seen_us = 0;
    if (s->hall->last_write == NULL)
        return;
    last = atomic_load(s->hall->last_write);
    while (last < now && !atomic_compare_exchange_weak(s->hall->last_write, &last, now))
        ; /* it never falls: another worker's write may be the later one */
}

/* Nothing was promised about what it reads, or there is nobody to read less on. */
static bool
may_forget(struct session *s)
{
    const struct routing *r = s->routing;
    const struct route_wishes *w = r->has_hints ? &r->hinted : &r->wishes;
    const struct cluster *c = choose_cluster(s);

    if (c == NULL || c->n_nodes < 2)
        return true;
    return (w->consistency >= 0 ? w->consistency : (int)c->consistency) == CLUSTER_EVENTUAL;
}

void
seen_ended(struct session *s)
{
    struct routing *r = s->routing;

    if (r->wrote) {
        note_write(s);
        return;
    }
    if (!r->looked || may_forget(s))
        return;
    r->token.seen_us = clock_now_us();
    if (r->seen_in == s->pool)
        return;
    pool_hold(s->pool);
    pool_drop(r->seen_in);
    r->seen_in = s->pool;
}

/* A node that fell since is not the one that was read. */
static int
seen_on(const struct routing *r, const struct cluster *c)
{
    for (unsigned i = 0; i < choose_n_nodes(c); i++)
        if (r->siblings->at[i] == r->seen_in && strcmp(c->nodes[i].name, r->seen_in->node) == 0)
            return c->nodes[i].fell_us > r->token.seen_us ? -1 : (int)i;
    return -1;
}

void
seen_resolve(struct session *s, const struct cluster *c)
{
    struct routing *r = s->routing;

    if (r->token.seen_us != 0)
        r->token.seen_on = seen_on(r, c);
    route_token_resolve(&r->token, c, s->hall->last_write == NULL ? 0 : atomic_load(s->hall->last_write));
}

/* For how long a request with the answer A may wait. */
static int64_t
patience_us(const struct session *s, const struct cluster *c, const struct route_answer *a)
{
    const struct routing *r = s->routing;
    bool seen = a->wait_for_seen || (r->behind_us > 0 && a->reason == ROUTE_BECAUSE_BEHIND);
    int64_t us = a->wait_for_sample || a->wait_for_replay ? c->replica_wait_us : 0,
            most = SEEN_WAIT_US << r->n_vain;

    return seen && us < most && r->rest_us <= session_now(s) ? most : us;
}

bool
seen_waits(struct session *s, const struct cluster *c, const struct route_answer *a)
{
    struct routing *r = s->routing;
    int64_t us = a->node < 0 ? 0 : patience_us(s, c, a);

    r->wait_us = 0;
    if (us > 0) {
        if (r->behind_us == 0)
            r->behind_us = session_now(s);
        r->wait_us = r->behind_us + us - session_now(s);
    }
    if (s->hall->watch != NULL && (a->wait_for_sample || a->wait_for_replay || r->wait_us > 0))
        watch_sample(s->hall->watch, c->name);
    return r->wait_us > 0;
}

void
seen_settled(struct session *s, const struct pool *p)
{
    struct routing *r = s->routing;
    const struct cluster *c = choose_cluster(s);

    if (r->behind_us == 0)
        return;
    if (p != r->seen_in && !choose_is_primary(s, c)) {
        r->n_vain = 0;
        return;
    }
    r->rest_us = session_now(s) + SEEN_REST * (SEEN_WAIT_US << r->n_vain);
    r->n_vain = (uint8_t)(r->n_vain < SEEN_MOST ? r->n_vain + 1 : SEEN_MOST);
}

void
choose_resolve(struct session *s)
{
    const struct cluster *c = choose_cluster(s);

    if (c == NULL)
        return;
    seen_resolve(s, c);
    if ((s->routing->token.unresolved_us > 0 || s->routing->token.seen_us > 0) && s->hall->watch != NULL)
        watch_sample(s->hall->watch, c->name);
}
