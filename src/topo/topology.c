/* SPDX-License-Identifier: ISC */
/* Snapshots of the topology: counted, never changed after they were published. */
#include "topo/topology.h"

#include <stdatomic.h>

#include "base/mem.h"

const char *
node_role_name(enum node_role r)
{
    static const char *const names[] = { "unknown", "primary", "replica" };

    return names[r];
}

const char *
node_state_name(enum node_state s)
{
    static const char *const names[] = {
        [NODE_UP] = "up",         [NODE_LAGGING] = "lagging",   [NODE_DOWN] = "down",
        [NODE_BANNED] = "banned", [NODE_DRAINING] = "draining", [NODE_FENCED] = "fenced"
    };

    return names[s];
}

struct topology *
topology_hold(struct topology *t)
{
    atomic_fetch_add_explicit(&t->holders, 1, memory_order_relaxed);
    return t;
}

static void
cluster_done(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        mem_free(c->nodes[i].host);
        mem_free(c->nodes[i].address);
        mem_free(c->nodes[i].zone);
    }
    mem_free(c->nodes);
    mem_free(c->zone);
}

void
topology_drop(struct topology *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < t->n_clusters; i++)
        cluster_done(&t->clusters[i]);
    mem_free(t->clusters);
    mem_free(t);
}

const struct cluster *
topology_find(const struct topology *t, struct slice cluster)
{
    for (unsigned i = 0; i < t->n_clusters; i++)
        if (slice_is(cluster, t->clusters[i].name))
            return &t->clusters[i];
    return NULL;
}

bool
node_is_usable(const struct node *n, bool lagging_too)
{
    return n->state == NODE_UP || (lagging_too && n->state == NODE_LAGGING);
}
