/* SPDX-License-Identifier: ISC */
/* Which node a request goes to: what route wants to know is put together here, and its answer becomes the pool
 * to borrow from. What the request is: request.c. */
#include "choose_private.h"

/* ---- the server at hand ---- */

bool
choose_is_primary(const struct session *s, const struct cluster *c)
{
    return c != NULL && c->primary >= 0 && s->pool->node != NULL &&
           strcmp(c->nodes[c->primary].name, s->pool->node) == 0;
}

/* A read that follows others on a replica may stay there, unless it wants to see more than they did. */
static bool
reads_on(const struct session *s, const struct cluster *c)
{
    const struct routing *r = s->routing;
    int consistency = r->wishes.consistency >= 0 ? r->wishes.consistency : c == NULL ? -1 : (int)c->consistency;

    return r->is_read && !r->has_hints && consistency != CLUSTER_GLOBAL;
}

/* More of a pipeline for a primary that is to get nothing new. */
static bool
must_leave(const struct session *s)
{
    const struct cluster *c = s->hall->leaving && !pending_is_empty(s) ? choose_cluster(s) : NULL;

    return c != NULL && c->switching && strcmp(c->nodes[c->primary].name, s->pool->node) == 0;
}

/* Whatever the decision chose for the request fits: else it would be made again and again. */
static bool
fits(const struct session *s)
{
    const struct routing *r = s->routing;
    const struct route_wishes *w = r->has_hints ? &r->hinted : &r->wishes;
    const struct cluster *c;

    if (pending_is_empty(s)) /* it was lent for this request */
        return true;
    if (session_in_block(s) || s->extended == EXTENDED_BATCH || session_is_pinned(s) ||
        s->pool->conf.mode == CONF_POOL_SESSION || s->state != SESSION_LINKED)
        return true;
    if (must_leave(s))
        return false;
    c = choose_cluster(s);
    if (r->only_primary || w->wish == ROUTE_PRIMARY)
        return choose_is_primary(s, c);
    if (w->wish == ROUTE_NODE)
        return strcmp(w->node, s->pool->node) == 0;
    if (w->wish == ROUTE_REPLICA)
        return !choose_is_primary(s, c);
    return reads_on(s, c) || r->read_only || choose_is_primary(s, c);
}

bool
choose_stays(struct session *s)
{
    if (session_is_pinned(s))
        s->routing->reason = ROUTE_BECAUSE_PINNED;
    if (s->routing->lent) {
        s->routing->lent = false;
        return true;
    }
    return fits(s);
}

/* ---- the decision ---- */

/* Good enough to spread reads, and no system call. */
static uint32_t
chance(struct siblings *f)
{
    f->chance = f->chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(f->chance >> 32);
}

static void
ask(struct session *s, const struct cluster *c, unsigned *busy, struct route_question *q)
{
    struct routing *r = s->routing;
    bool keeps = s->pool->conf.mode == CONF_POOL_SESSION; /* the node is for whatever the session will do */

    choose_settings(s);
    seen_resolve(s, c);
    for (unsigned i = 0; i < choose_n_nodes(c); i++) {
        const struct pool *p = r->siblings->at[i];

        busy[i] = p == NULL ? 0 : p->n_used + p->n_waiters;
    }
    *q = (struct route_question){
        .is_read = r->is_read && !keeps && !choose_default_serializable(s),
        .is_doubt = r->is_doubt || keeps || choose_default_serializable(s),
        .in_transaction = r->begins || keeps,
        .read_only = !keeps && r->read_only,
        .token = r->token,
        .client_hash = r->hash,
        .random = chance(r->siblings),
        .busy = busy,
        .turn = &r->siblings->turn,
        .now_us = session_now(s),
    };
    wishes_ask(r->has_hints ? &r->hinted : &r->wishes, q);
    if (r->only_primary)
        q->wish = ROUTE_PRIMARY;
    if (s->hall->last_write != NULL)
        q->global_unresolved_us = atomic_load(s->hall->last_write);
    if (s->state == SESSION_WELCOME) { /* its settings are to be judged: any node can */
        q->is_read = true;
        q->wish = q->wish == ROUTE_REPLICA                      ? ROUTE_REPLICA
                  : keeps || (c->primary >= 0 && !c->switching) ? ROUTE_PRIMARY
                                                                : ROUTE_PREFER_REPLICA;
        q->token = (struct route_token){ 0 };
        q->consistency = CLUSTER_EVENTUAL;
    }
}

/* What C looks like without the node that has just failed this request. */
static void
without(struct cluster *to, struct node *nodes, const struct cluster *c, const char *node)
{
    *to = *c;
    to->n_nodes = choose_n_nodes(c);
    to->nodes = nodes;
    for (unsigned i = 0; i < to->n_nodes; i++) {
        nodes[i] = c->nodes[i];
        if (strcmp(nodes[i].name, node) != 0)
            continue;
        nodes[i].state = NODE_DOWN;
        if (c->primary == (int)i)
            to->primary = -1;
    }
}

static void
decide(struct session *s, const struct cluster *c, struct route_answer *a)
{
    struct routing *r = s->routing;
    struct node nodes[MOST_NODES];
    struct cluster rest;
    unsigned busy[MOST_NODES];
    struct route_question q;

    ask(s, c, busy, &q);
    if (r->avoid != NULL && r->avoid->node != NULL) {
        without(&rest, nodes, c, r->avoid->node);
        c = &rest;
    }
    route_decide(c, &q, a);
}

static void
count_route(struct hall *h, enum route_reason reason)
{
    if (h->routes == NULL)
        h->routes = mem_zalloc(ROUTE_N_REASONS * sizeof(*h->routes));
    h->routes[reason]++;
}

/* Why it goes there: who wished it is not always the session. */
static enum route_reason
reason_of(const struct routing *r, const struct route_answer *a)
{
    if (r->only_primary)
        return ROUTE_BECAUSE_RETRY;
    switch (a->reason) {
    case ROUTE_BECAUSE_ASKED_PRIMARY:
    case ROUTE_BECAUSE_ASKED_REPLICA:
    case ROUTE_BECAUSE_PREFERRED:
    case ROUTE_BECAUSE_ASKED_NODE:
        return r->has_hints && r->ruled ? ROUTE_BECAUSE_RULE : a->reason;
    default:
        return a->reason;
    }
}

/* A reload made the database one with a single server; NULL: it did not. */
static struct pool *
single_pool(struct session *s)
{
    struct pool_wanted want = { .name = slice_str(s->database),
                                .user = slice_str(s->user),
                                .credential = s->credential };

    want.database = conf_find_database(s->hall->setup.conf, want.name);
    if (want.database == NULL || conf_cluster_of(s->hall->setup.conf, want.database) != NULL)
        return NULL;
    return pools_find(&s->hall->pools, &want);
}

bool
choose_pool(struct session *s)
{
    struct routing *r = s->routing;
    const struct cluster *c = choose_cluster(s);
    struct pool *p = c == NULL ? single_pool(s) : NULL;
    struct route_answer a = { .node = -1, .reason = ROUTE_BECAUSE_SINGLE };
    bool waits = false;

    r->refusal = NULL;
    if (c != NULL) {
        decide(s, c, &a);
        waits = seen_waits(s, c, &a);
    }
    if (a.node >= 0 && !waits)
        p = choose_pool_of(s, c, (unsigned)a.node);
    if (p == NULL) {
        r->reason = a.reason;
        r->refusal = a.node < 0 ? a.refusal : NULL;
        r->sqlstate = a.sqlstate;
        if (r->refusal == NULL || s->state == SESSION_WELCOME)
            choose_hold(s);
        return false;
    }
    choose_use_pool(s, p);
    count_route(s->hall, a.reason);
    r->last = p;
    r->reason = reason_of(r, &a);
    seen_settled(s, p);
    r->held_us = r->behind_us = 0;
    if (c != NULL && c->nodes[a.node].role == NODE_REPLICA && s->state != SESSION_WELCOME)
        route_token_saw(&r->token, &c->nodes[a.node]);
    return true;
}

bool
choose_refusal(struct session *s, struct fault *why)
{
    struct routing *r = s->routing;

    if (r->refusal == NULL)
        return false;
    if (strcmp(r->sqlstate, "57P03") == 0) {
        choose_no_node(s, why);
    } else {
        fault_set(why, r->sqlstate, "%s", r->refusal);
        fault_detail(why, "The route of this session is replica, and replicas take no writes.");
        fault_hint(why, "Set pgweir.route to auto or primary, or use a database with another route.");
    }
    r->refusal = NULL;
    r->held_us = r->behind_us = r->failed_us = 0;
    return true;
}

/* The node of P failed S: not there again before more is known. */
void
choose_avoid(struct session *s, struct pool *p)
{
    struct routing *r = s->routing;

    r->avoided_us = session_now(s);
    if (r->avoid == p)
        return;
    if (p != NULL)
        pool_hold(p);
    pool_drop(r->avoid);
    r->avoid = p;
}

/* The connection to the node that was chosen could not be made, or broke. False: it stays in the pool's queue.
 */
bool
choose_another(struct session *s)
{
    if (s->pool->n_idle + s->pool->n_used > 0) /* others of the pool live: one of them will do */
        return false;
    if (s->routing->failed_us == 0)
        s->routing->failed_us = session_now(s);
    choose_avoid(s, s->pool);
    return true;
}

/* ---- for those who show it ---- */

void
choose_explain(struct session *s, const struct facts *f, struct slice sql, struct explained *out)
{
    struct routing now = *s->routing;
    const struct cluster *c = choose_cluster(s);
    struct route_answer a = { .node = -1, .reason = ROUTE_BECAUSE_NO_NODE };

    choose_request(s, f, sql);
    if (c != NULL)
        decide(s, c, &a);
    out->node = a.node < 0 ? "" : c->nodes[a.node].name;
    out->lag_us = a.node < 0 || c->nodes[a.node].role != NODE_REPLICA ? -1 : c->nodes[a.node].lag_us;
    out->rule = s->routing->rule == RULE_NONE ? "" : rules_name(s->hall->rules, s->routing->rule);
    out->reason = reason_of(s->routing, &a);
    now.siblings->turn = s->routing->siblings->turn;
    now.wishes_of = s->routing->wishes_of;
    now.wishes_known = true;
    now.wishes = s->routing->wishes;
    now.token = s->routing->token; /* a sample may have resolved it */
    now.in_held = s->routing->in_held;
    now.rules = s->routing->rules;
    now.own = s->routing->own;
    *s->routing = now;
}

int64_t
choose_patience(const struct session *s)
{
    const struct cluster *c = choose_cluster(s);

    if (c == NULL)
        return s->pool->conf.query_wait_us;
    return c->failover_wait_us > 0 ? c->failover_wait_us : 1; /* 0 would be without a limit */
}

void
choose_no_node(const struct session *s, struct fault *why)
{
    const struct cluster *c = choose_cluster(s);
    struct text t = { 0 };
    struct fault last;

    fault_set(why, "57P03", "no server is available for database \"%.63s\"", s->database);
    for (unsigned i = 0; c != NULL && i < choose_n_nodes(c); i++) {
        const struct node *n = &c->nodes[i];

        text_printf(&t, "%s%s (%s) is %s%s%.80s", i > 0 ? "; " : "", n->name, node_role_name(n->role),
                    node_state_name(n->state), n->reason[0] != '\0' ? ": " : "", n->reason);
    }
    pool_fault(s->pool->shared, &last);
    if (s->routing->failed_us > 0 && last.message[0] != '\0')
        text_printf(&t, "; the last attempt: %.63s:%u: %.200s", s->pool->target.host, s->pool->target.port,
                    last.message);
    fault_detail(why, "%s.", c == NULL ? "Its nodes are not known yet" : text_str(&t));
    fault_hint(why, "See SHOW NODES on the console.");
    text_done(&t);
}
