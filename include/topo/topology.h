/* SPDX-License-Identifier: ISC */
/* What is known about the nodes of all clusters at one moment: an immutable, counted
 * snapshot, made by topo/watch.h on the control thread and held by workers. Any thread. */
#ifndef TOPO_TOPOLOGY_H
#define TOPO_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum node_role { NODE_ROLE_UNKNOWN, NODE_PRIMARY, NODE_REPLICA };
enum node_state {
    NODE_UP,       /* answers, and may be used for what its role allows */
    NODE_LAGGING,  /* a replica behind max_lag */
    NODE_DOWN,     /* does not answer, or not sensibly; also before its first answer */
    NODE_BANNED,   /* BAN on the console, or its circuit breaker is open */
    NODE_DRAINING, /* DRAIN on the console: no new work */
    NODE_FENCED,   /* another node is the primary, and this one claims to be it too */
    NODE_NSTATES
};
const char *node_role_name(enum node_role r);
const char *node_state_name(enum node_state s);

#define NODE_NAME   64
#define NODE_REASON 160

/* One node. Times are of the monotonic clock in microseconds, 0: never. */
struct node {
    char name[NODE_NAME];
    char *host;
    char *address; /* of a host that is a name: where the last look-up found it; else NULL */
    uint16_t port;
    unsigned weight;
    char *zone; /* "" for none */
    enum node_role role;
    enum node_state state;
    char reason[NODE_REASON]; /* why it is in that state; "" while up */
    uint32_t timeline;
    uint64_t system_id;
    uint64_t lsn; /* primary: insert position without a page header (FACTS 8); replica: replayed */
    int64_t
        sampled_us;  /* when the question that gave lsn was SENT: what was acknowledged before is below lsn */
    int64_t fell_us; /* 0, or when it was found to be behind where it had been: another server, or restarted */
    int64_t lag_bytes; /* replicas: -1 not known */
    int64_t lag_us;    /* replicas: -1 not known */
    int64_t rtt_us;    /* of probes, smoothed */
    int64_t up_since_us;
    bool read_only; /* default_transaction_read_only of a primary */
};

enum cluster_consistency { CLUSTER_EVENTUAL, CLUSTER_SESSION, CLUSTER_GLOBAL };
enum cluster_balance { CLUSTER_LEAST_CONN, CLUSTER_ROUND_ROBIN, CLUSTER_LATENCY, CLUSTER_HASH };

struct cluster {
    char name[NODE_NAME];
    struct node *nodes;
    unsigned n_nodes;
    int primary;    /* index, or -1: nobody is */
    int lost;       /* who was it before nobody was, or -1 */
    bool switching; /* a planned switchover is under way: the primary gets nothing new */
    uint64_t reign; /* rises with every change of the primary, also to nobody */
    int64_t reign_since_us;
    int64_t moved_us; /* the last sample of a primary that said something else than the one before it */
    enum cluster_consistency consistency;
    enum cluster_balance balance;
    int64_t max_lag_us, max_lag_bytes; /* 0: no limit */
    int64_t replica_wait_us, failover_wait_us, slow_start_us;
    char *zone; /* preferred */
};

struct topology {
    _Atomic unsigned holders;
    uint64_t version; /* rises with each snapshot */
    struct cluster *clusters;
    unsigned n_clusters;
};

struct topology *topology_hold(struct topology *t);
void topology_drop(struct topology *t); /* NULL is fine */
/* NULL: no such cluster. */
const struct cluster *topology_find(const struct topology *t, struct slice cluster);
/* A node that new work may go to: up, or lagging when LAGGING_TOO. */
bool node_is_usable(const struct node *n, bool lagging_too);

#endif
