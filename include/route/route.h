/* SPDX-License-Identifier: ISC */
/* Which node gets a statement, and why (DESIGN section 6). Pure: no clock, no I/O, no memory of its own. */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include "topo/topology.h"

enum route_wish { ROUTE_AUTO, ROUTE_PRIMARY, ROUTE_REPLICA, ROUTE_PREFER_REPLICA, ROUTE_NODE };

/* Why: rows of route/reasons.def, each with the text that SHOW pgweir.last_route_reason prints. */
enum route_reason {
#define REASON(name, text) ROUTE_BECAUSE_##name,
#include "route/reasons.def"
#undef REASON
    ROUTE_N_REASONS
};
const char *route_reason_text(enum route_reason r);

/* What a session has seen: its causal token. All zero: nothing yet. */
struct route_token {
    uint64_t lsn;          /* reads must have reached it */
    int64_t unresolved_us; /* 0, or when the last write was acknowledged: its LSN is not known yet */
    int64_t seen_us;       /* 0, or when the last read was answered: how far its node was is not known yet */
    int seen_on;           /* that node in the cluster that is asked about; -1: it is none of it any more */
};

struct route_question {
    bool is_read;        /* surely a read: facts and catalog say so */
    bool is_doubt;       /* not is_read, but no sure write either: SET, a function that nobody knows */
    bool in_transaction; /* a block is open (or BEGIN was asked for): stays on its node */
    bool read_only;      /* the block is READ ONLY */
    enum route_wish wish;
    const char *node;   /* ROUTE_NODE: its name */
    int consistency;    /* enum cluster_consistency, or -1: the cluster's */
    int64_t max_lag_us; /* -1: the cluster's; 0: no limit */
    uint64_t min_lsn;   /* pgweir.min_lsn, 0: none */
    struct route_token token;
    uint64_t global_lsn;          /* for CLUSTER_GLOBAL: highest known of any session here */
    int64_t global_unresolved_us; /* the same of unresolved_us */
    uint32_t client_hash;         /* for balance = hash */
    uint32_t random;              /* for ties and two choices */
    const unsigned *busy;         /* for each node: servers lent or waited for; N of the cluster's nodes */
    unsigned *turn;               /* round robin's counter of this worker; advanced */
    int64_t now_us;
};

struct route_answer {
    int node;                 /* index in the cluster; -1: nobody now */
    enum route_reason reason; /* of the choice, or why there is none */
    bool wait_for_sample;     /* a replica might serve once the token is resolved: ask for a sample */
    bool wait_for_replay;     /* a replica might serve within replica_wait */
    bool wait_for_seen;       /* a sample would let another replica serve what only NODE can now */
    const char *refusal;      /* node == -1 and waiting does not help: what to tell the client; else NULL */
    const char *sqlstate;     /* of the refusal: 25006 or 57P03; else NULL */
};

/* TOKEN of the question (a copy of it) is first resolved against the primary's sample (route_token_resolve).
 *
 * Only nodes that are up are chosen, or a replica that is lagging when it keeps a limit that the question
 * brings along. A replica gets what is surely a read and read-only blocks. With ROUTE_REPLICA it also gets
 * doubt and any other block, which PostgreSQL keeps from writing there (25006); with ROUTE_NODE whatever comes.
 * max_lag_bytes of the cluster holds beside a max_lag_us of the question. A replica whose timeline is known to
 * differ from the primary's serves nothing, and one whose timeline is not known serves no read that must have
 * reached an LSN: what it replayed may not be what the primary wrote. Only the first
 * ROUTE_MAX_NODES nodes of a cluster get reads.
 *
 * What a read on a replica saw no other replica is known to have before a sample says how far that one was:
 * until then later reads stay there (it never goes back), or go to the primary.
 *
 * node == -1 without a refusal: hold the client until the topology changes. While a switchover is under way
 * that is the answer for whatever needs the primary. */
#define ROUTE_MAX_NODES 64
void route_decide(const struct cluster *c, const struct route_question *q, struct route_answer *a);

/* A sample that was sent after the write was acknowledged covers it, and one of the node that was read on, or
 * of the primary, what was seen. WRITTEN_US: when anybody's write was acknowledged last. */
void route_token_resolve(struct route_token *t, const struct cluster *c, int64_t written_us);
/* A read goes to the replica N: later ones must see no less. Call with the node as it was when routed. */
void route_token_saw(struct route_token *t, const struct node *n);

#endif
