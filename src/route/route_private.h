/* SPDX-License-Identifier: ISC */
/* Inside room route: what a replica must fulfil, and who is picked among those that do. */
#ifndef ROUTE_PRIVATE_H
#define ROUTE_PRIVATE_H

#include "route/route.h"

/* ---- consistency.c ---- */

/* What a question asks of a replica. */
struct route_need {
    uint64_t lsn;      /* it must have replayed; 0: anything will do */
    uint32_t timeline; /* of the primary; 0: not known */
    bool unresolved;   /* LSN is not all: something was acknowledged that no sample covers yet */
    bool unseen;       /* LSN is not all: only SEEN_ON (-1: nobody) is known to hold what was read there */
    int seen_on;
    bool takes_lagging; /* the question brings its own limit: NODE_LAGGING says nothing about that */
    int64_t max_lag_us; /* 0: no limit */
    int64_t max_lag_bytes;
};

/* Best last: the best of all replicas says why there is none. */
enum route_verdict { ROUTE_NOT_UP, ROUTE_STRANGE, ROUTE_LAGS, ROUTE_BEHIND, ROUTE_LEGAL };

void route_need_of(const struct cluster *c, const struct route_question *q, struct route_need *need);
/* Apart from need->unresolved, which is about all of them. */
enum route_verdict route_judge(const struct node *n, const struct route_need *need);

/* ---- balance.c ---- */

/* One of the nodes whose bits are set in LEGAL; there is one at least. */
int route_pick(const struct cluster *c, const struct route_question *q, uint64_t legal);
/* ON, whose bit is set in LEGAL, has clearly more to do than another of them, or is not in the zone of one. */
bool route_is_crowded(const struct cluster *c, const struct route_question *q, uint64_t legal, unsigned on);

#endif
