/* SPDX-License-Identifier: ISC */
/* A planned switchover, as one worker sees it: who waits for the primary is held, what is at work there ends,
 * what does not end is closed. */
#include "choose_private.h"

static bool
is_of(const struct pool *p, const char *node)
{
    return p->node != NULL && strcmp(p->node, node) == 0;
}

/* What is held looks for a node again: a read finds another. */
static void
hold_waiting(struct pool *p)
{
    ring_each_safe (r, &p->waiters) {
        struct pool_waiter *w = container_of(r, struct pool_waiter, in_queue);
        struct session *s = container_of(w, struct session, waiter);

        if (s->routing == NULL)
            continue;
        pool_stop_waiting(p, w);
        choose_hold(s);
    }
}

void
leave_see(struct hall *h)
{
    h->leaving = false;
    for (unsigned i = 0; i < h->topology->n_clusters; i++) {
        const struct cluster *c = &h->topology->clusters[i];

        if (!c->switching)
            continue;
        h->leaving = true;
        for (struct pool *p = h->pools.first; p != NULL; p = p->next)
            if (is_of(p, c->nodes[c->primary].name))
                hold_waiting(p);
    }
}

/* A server lent and at rest belongs to a session that is pinned to it: that may stay so for ever. */
static bool
is_at_rest(const struct server *server)
{
    const struct session *s = server->session;

    return s != NULL && (s->state == SESSION_TUNNEL || (server->status == 'I' && link_is_quiet(s)));
}

unsigned
hall_count_busy(struct hall *h, const char *cluster, const char *node)
{
    const struct cluster *c = h->topology == NULL ? NULL : topology_find(h->topology, slice_str(cluster));
    unsigned n = 0;

    if (c == NULL || !c->switching || strcmp(c->nodes[c->primary].name, node) != 0)
        return 1; /* not heard of it yet: more may come */
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next) {
        if (!is_of(p, node))
            continue;
        ring_each (r, &p->used)
            n += !is_at_rest(container_of(r, struct server, in_pool));
    }
    return n;
}

void
hall_close_node(struct hall *h, const char *node)
{
    struct fault why;

    fault_set(&why, "08006", "a switchover takes its office from node %.63s", node);
    pools_close_node(&h->pools, node, &why);
    stream_flush(&h->turn);
}
