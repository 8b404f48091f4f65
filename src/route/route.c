/* SPDX-License-Identifier: ISC */
/* The decision: who may run a statement, what to do when nobody may now, and the reason of both. Pure. */
#include "route/route.h"

#include <string.h>

#include "route_private.h"

const char *
route_reason_text(enum route_reason r)
{
    static const char *const texts[] = {
#define REASON(name, text) [ROUTE_BECAUSE_##name] = text,
#include "route/reasons.def"
#undef REASON
    };

    return texts[r];
}

static bool
is_up(const struct node *n)
{
    return n->state == NODE_UP || n->state == NODE_LAGGING;
}

static bool
is_leaving(const struct cluster *c, unsigned i)
{
    return c->switching && c->primary == (int)i;
}

static bool
has_primary(const struct cluster *c)
{
    return c->primary >= 0 && is_up(&c->nodes[c->primary]) && !c->switching;
}

static void
refuse(struct route_answer *a, const char *sqlstate, const char *text)
{
    a->sqlstate = sqlstate;
    a->refusal = text;
}

static void
to_primary(const struct cluster *c, enum route_reason reason, struct route_answer *a)
{
    if (has_primary(c)) {
        a->node = c->primary;
        a->reason = reason;
    } else {
        a->reason = c->switching ? ROUTE_BECAUSE_SWITCHING : ROUTE_BECAUSE_NO_PRIMARY;
    }
}

static void
to_named(const struct cluster *c, const char *name, struct route_answer *a)
{
    a->reason = ROUTE_BECAUSE_ASKED_NODE;
    for (unsigned i = 0; i < c->n_nodes; i++) {
        if (strcmp(c->nodes[i].name, name) != 0)
            continue;
        a->node = is_up(&c->nodes[i]) && !is_leaving(c, i) ? (int)i : -1;
        return;
    }
    refuse(a, "57P03", "the cluster has no node of the name in pgweir.route");
}

/* Those that are legal, a bit for each. RESTING: those of weight 0 instead of the others. BEST rises to the
 * best verdict. */
static uint64_t
look(const struct cluster *c, const struct route_need *need, bool resting, enum route_verdict *best)
{
    unsigned n_nodes = c->n_nodes < ROUTE_MAX_NODES ? c->n_nodes : ROUTE_MAX_NODES;
    enum route_verdict highest = *best;
    uint64_t legal = 0;

    for (unsigned i = 0; i < n_nodes; i++) {
        const struct node *n = &c->nodes[i];
        enum route_verdict v;

        if (n->role != NODE_REPLICA || (n->weight == 0) != resting)
            continue;
        v = route_judge(n, need);
        highest = v > highest ? v : highest;
        legal |= (uint64_t)(v == ROUTE_LEGAL) << i;
    }
    *best = highest;
    return legal;
}

/* Why no replica serves, and what may change that. */
static void
explain(const struct cluster *c, const struct route_need *need, enum route_verdict best, struct route_answer *a)
{
    static const enum route_reason reasons[] = {
        [ROUTE_NOT_UP] = ROUTE_BECAUSE_NO_REPLICA,
        [ROUTE_STRANGE] = ROUTE_BECAUSE_STRANGE,
        [ROUTE_LAGS] = ROUTE_BECAUSE_LAG,
        [ROUTE_BEHIND] = ROUTE_BECAUSE_BEHIND,
    };

    if (need->unresolved && best >= ROUTE_BEHIND) {
        a->reason = ROUTE_BECAUSE_UNRESOLVED;
        a->wait_for_sample = true;
        return;
    }
    if (best == ROUTE_LEGAL) {
        a->reason = ROUTE_BECAUSE_UNSEEN;
        a->wait_for_sample = a->wait_for_seen = true;
        return;
    }
    a->reason = best == ROUTE_NOT_UP && c->n_nodes == 1 ? ROUTE_BECAUSE_SINGLE : reasons[best];
    a->wait_for_replay = best == ROUTE_BEHIND && c->replica_wait_us > 0;
}

/* The same when nothing but a replica will do. */
static void
insist(const struct cluster *c, enum route_verdict best, struct route_answer *a)
{
    a->wait_for_replay = !a->wait_for_sample && (best == ROUTE_BEHIND || best == ROUTE_LAGS);
    if (a->wait_for_sample && !has_primary(c))
        a->reason = ROUTE_BECAUSE_NO_PRIMARY;
    if (a->reason != ROUTE_BECAUSE_SINGLE)
        return;
    a->reason = ROUTE_BECAUSE_NO_REPLICA;
    if (has_primary(c))
        refuse(a, "57P03", "the cluster has no replica");
}

/* One of those that are LEGAL and hold what was seen. False: nobody is known to. */
static bool
take_legal(const struct cluster *c, const struct route_question *q, const struct route_need *need,
           uint64_t legal, struct route_answer *a)
{
    if (legal == 0 || need->unresolved)
        return false;
    if (!need->unseen) {
        a->node = route_pick(c, q, legal);
        return true;
    }
    if (need->seen_on < 0 || need->seen_on >= ROUTE_MAX_NODES || (legal >> need->seen_on & 1) == 0)
        return false;
    a->node = need->seen_on;
    a->wait_for_seen = route_is_crowded(c, q, legal, (unsigned)need->seen_on);
    return true;
}

static void
to_replica(const struct cluster *c, const struct route_question *q, enum route_reason reason,
           struct route_answer *a)
{
    enum route_verdict best = ROUTE_NOT_UP;
    struct route_need need;
    uint64_t legal;

    route_need_of(c, q, &need);
    legal = look(c, &need, false, &best);
    if (legal == 0 && q->wish == ROUTE_REPLICA)
        legal = look(c, &need, true, &best);
    if (take_legal(c, q, &need, legal, a)) {
        a->reason = reason;
        return;
    }
    explain(c, &need, best, a);
    if (q->wish == ROUTE_REPLICA)
        insist(c, best, a);
    else if (best == ROUTE_NOT_UP && !has_primary(c))
        a->reason = ROUTE_BECAUSE_NO_NODE;
    else
        to_primary(c, a->reason, a);
}

/* Nothing else than the primary may run it. */
static enum route_reason
why_primary(const struct route_question *q)
{
    if (q->in_transaction)
        return ROUTE_BECAUSE_TRANSACTION;
    return q->is_doubt ? ROUTE_BECAUSE_DOUBT : ROUTE_BECAUSE_WRITE;
}

void
route_decide(const struct cluster *c, const struct route_question *q, struct route_answer *a)
{
    bool reads = q->in_transaction ? q->read_only : q->is_read;
    enum route_reason reason = q->in_transaction ? ROUTE_BECAUSE_READ_ONLY : ROUTE_BECAUSE_READ;

    *a = (struct route_answer){ .node = -1 };
    switch (q->wish) {
    case ROUTE_PRIMARY:
        to_primary(c, ROUTE_BECAUSE_ASKED_PRIMARY, a);
        return;
    case ROUTE_NODE:
        to_named(c, q->node, a);
        return;
    case ROUTE_REPLICA:
        reads = reads || q->in_transaction || q->is_doubt;
        reason = ROUTE_BECAUSE_ASKED_REPLICA;
        break;
    case ROUTE_PREFER_REPLICA:
        reason = ROUTE_BECAUSE_PREFERRED;
        break;
    case ROUTE_AUTO:
        break;
    }
    if (reads) {
        to_replica(c, q, reason, a);
        return;
    }
    if (q->wish != ROUTE_REPLICA) {
        to_primary(c, why_primary(q), a);
        return;
    }
    a->reason = ROUTE_BECAUSE_ASKED_REPLICA;
    refuse(a, "25006", "cannot execute a write on a read-only entry");
}
