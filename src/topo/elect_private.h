/* SPDX-License-Identifier: ISC */
/* Who the primary of a cluster is, who must not be written to, and who could take its place. Pure. */
#ifndef TOPO_ELECT_PRIVATE_H
#define TOPO_ELECT_PRIVATE_H

#include "base/fault.h"
#include "topo/topology.h"

/* Whether a replica receives WAL from somebody now. */
enum elect_stream { ELECT_UNTOLD, ELECT_STREAMS, ELECT_CUT_OFF };

/* What is known of a node: by its last answer, which may be old when it is not up. */
struct elect_node {
    const char *name;
    bool up, tried, barred; /* BARRED: the console wants no work on it */
    bool behind;            /* a replica that lags more than it may */
    enum node_role role;    /* unknown: it has never answered */
    uint32_t timeline;
    uint64_t system_id;
    uint64_t received; /* a replica's: how far its WAL goes */
    enum elect_stream stream;
    /* the result */
    bool fenced;
    char reason[NODE_REASON]; /* while fenced */
};

struct elected {
    uint64_t system_id; /* of the cluster; 0: not known yet */
    bool settled;       /* a primary was elected: the identifier is that one's, as long as some node has it */
    uint32_t timeline;  /* the highest that was elected: what is older claims in vain */
    int primary;        /* index, or -1 */
    bool tied;          /* several claim the highest timeline */
};

/* Nobody is elected before every node was tried. */
void elect(struct elected *e, struct elect_node *nodes, unsigned n);

/* PRIMARY is gone: the most advanced of the replicas it cut off; -1 unless most of its replicas are up and cut
 * off, and nobody else claims to be the primary. */
int elect_heir(const struct elected *e, const struct elect_node *nodes, unsigned n, int primary);

/* Who is to take over from the living primary by order: the node NAME, or when that is empty the most advanced
 * of those that can. -1 with WHY: it cannot, or nobody can. */
struct ballot {
    const struct elected *elected;
    const struct elect_node *nodes;
    unsigned n;
};
int elect_successor(const struct ballot *b, struct slice name, struct fault *why);

#endif
