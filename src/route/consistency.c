/* SPDX-License-Identifier: ISC */
/* Which replicas are known to hold what a read must see: causal tokens and lag (DESIGN section 6). Pure. */
#include "route_private.h"

#define STILL_US 1000000 /* without a move of the primary */

static uint64_t
higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Whose samples cover what was written: the primary, or the one that is down and has no heir yet. */
static const struct node *
last_primary(const struct cluster *c)
{
    const struct node *n = c->primary >= 0 ? &c->nodes[c->primary] : c->lost >= 0 ? &c->nodes[c->lost] : NULL;

    if (n == NULL || (c->primary < 0 && (n->role != NODE_PRIMARY || n->state != NODE_DOWN)))
        return NULL;
    return n;
}

/* Its last sample is as good as one that would be sent now: nobody has written for a while. */
static bool
is_still(const struct cluster *c, const struct node *primary, int64_t written_us)
{
    return primary->sampled_us - c->moved_us >= STILL_US && primary->sampled_us > written_us;
}

/* What the read saw: T's LSN rises to a position that is not before it. PRIMARY may be NULL. */
static void
resolve_seen(struct route_token *t, const struct cluster *c, const struct node *primary, int64_t written_us)
{
    const struct node *on = t->seen_on >= 0 ? &c->nodes[t->seen_on] : NULL;
    bool replica = on != NULL && on->role == NODE_REPLICA && on->state != NODE_DOWN;

    if (replica && on->sampled_us > t->seen_us && on->lsn > 0)
        t->lsn = higher(t->lsn, on->lsn);
    else if (primary != NULL && primary->sampled_us > t->seen_us && (!replica || on->lsn >= primary->lsn))
        t->lsn = higher(t->lsn, primary->lsn);
    else if (replica && primary != NULL && on->lsn >= primary->lsn && is_still(c, primary, written_us))
        t->lsn = higher(t->lsn, primary->lsn);
    else if (replica || c->primary >= 0 || (on != NULL && on->role == NODE_PRIMARY))
        return; /* else the replica is gone, and so is whoever could tell */
    t->seen_us = 0;
}

void
route_token_resolve(struct route_token *t, const struct cluster *c, int64_t written_us)
{
    const struct node *primary;

    if (t->unresolved_us == 0 && t->seen_us == 0)
        return;
    primary = last_primary(c);
    if (t->unresolved_us != 0 && primary != NULL && primary->sampled_us > t->unresolved_us) {
        t->lsn = higher(t->lsn, primary->lsn);
        t->unresolved_us = 0;
    }
    if (t->seen_us != 0)
        resolve_seen(t, c, primary, written_us);
}

void
route_token_saw(struct route_token *t, const struct node *n)
{
    t->lsn = higher(t->lsn, n->lsn);
}

/* T is a copy: the session's own changes only by its own call. */
static void
need_token(struct route_need *need, const struct cluster *c, struct route_token t, int64_t written_us)
{
    route_token_resolve(&t, c, written_us);
    need->lsn = higher(need->lsn, t.lsn);
    need->unresolved |= t.unresolved_us != 0;
    if (t.seen_us == 0)
        return;
    need->unseen = true;
    need->seen_on = t.seen_on;
}

void
route_need_of(const struct cluster *c, const struct route_question *q, struct route_need *need)
{
    int consistency = q->consistency >= 0 ? q->consistency : (int)c->consistency;

    need->lsn = q->min_lsn;
    need->timeline = c->primary >= 0 ? c->nodes[c->primary].timeline : 0;
    need->unresolved = need->unseen = false;
    need->takes_lagging = q->max_lag_us >= 0;
    need->max_lag_us = need->takes_lagging ? q->max_lag_us : c->max_lag_us;
    need->max_lag_bytes = c->max_lag_bytes;
    if (consistency == CLUSTER_EVENTUAL)
        return;
    need_token(need, c, q->token, q->global_unresolved_us);
    if (consistency == CLUSTER_GLOBAL)
        need_token(need, c,
                   (struct route_token){ .lsn = q->global_lsn, .unresolved_us = q->global_unresolved_us },
                   q->global_unresolved_us);
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
