/* SPDX-License-Identifier: ISC */
/* Which replicas are known to hold what a read must see: causal tokens and lag (DESIGN section 6). Pure. */
#include "route_private.h"

static uint64_t
higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool
route_token_resolve(struct route_token *t, const struct cluster *c)
{
    const struct node *primary;

    if (t->unresolved_us == 0 || c->primary < 0)
        return false;
    primary = &c->nodes[c->primary];
    if (primary->sampled_us <= t->unresolved_us)
        return false;
    t->lsn = higher(t->lsn, primary->lsn);
    t->unresolved_us = 0;
    return true;
}

void
route_token_saw(struct route_token *t, const struct node *n)
{
    t->lsn = higher(t->lsn, n->lsn);
}

/* T is a copy: the session's own changes only by its own call. */
static void
need_token(struct route_need *need, const struct cluster *c, struct route_token t)
{
    route_token_resolve(&t, c);
    need->lsn = higher(need->lsn, t.lsn);
    need->unresolved |= t.unresolved_us != 0;
}

void
route_need_of(const struct cluster *c, const struct route_question *q, struct route_need *need)
{
    int consistency = q->consistency >= 0 ? q->consistency : (int)c->consistency;

    need->lsn = q->min_lsn;
    need->timeline = c->primary >= 0 ? c->nodes[c->primary].timeline : 0;
    need->unresolved = false;
    need->takes_lagging = q->max_lag_us >= 0;
    need->max_lag_us = need->takes_lagging ? q->max_lag_us : c->max_lag_us;
    need->max_lag_bytes = c->max_lag_bytes;
    if (consistency == CLUSTER_EVENTUAL)
        return;
    need_token(need, c, q->token);
    if (consistency == CLUSTER_GLOBAL)
        need_token(need, c, (struct route_token){ q->global_lsn, q->global_unresolved_us });
}

/* An LSN says what was written only together with its timeline: a replica of a primary that lost may have
 * replayed past the point where the new one went its own way. */
static bool
is_strange(const struct node *n, const struct route_need *need)
{
    if (need->timeline == 0 || n->timeline == need->timeline)
        return false;
    return n->timeline != 0 || need->lsn > 0;
}

/* -1, not known, is more than any limit. */
static bool
exceeds(int64_t lag, int64_t limit)
{
    return limit > 0 && (uint64_t)lag > (uint64_t)limit;
}

enum route_verdict
route_judge(const struct node *n, const struct route_need *need)
{
    if (n->role != NODE_REPLICA || (n->state != NODE_UP && n->state != NODE_LAGGING))
        return ROUTE_NOT_UP;
    if (is_strange(n, need))
        return ROUTE_STRANGE;
    if (n->state == NODE_LAGGING && !need->takes_lagging)
        return ROUTE_LAGS;
    if (exceeds(n->lag_us, need->max_lag_us) || exceeds(n->lag_bytes, need->max_lag_bytes))
        return ROUTE_LAGS;
    return n->lsn < need->lsn ? ROUTE_BEHIND : ROUTE_LEGAL;
}
