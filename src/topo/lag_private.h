/* SPDX-License-Identifier: ISC */
/* How far a replica is behind, and whether that is too far. Pure. */
#ifndef TOPO_LAG_PRIVATE_H
#define TOPO_LAG_PRIVATE_H

#include "history_private.h"
#include "topo/topology.h"

struct lag_question {
    const struct history *history; /* of the primary */
    uint32_t primary_timeline;     /* 0: there was none yet */
    uint32_t timeline;             /* of the replica */
    uint64_t replayed;
    int64_t at_us;
    int64_t max_us, max_bytes; /* 0: no limit */
};

/* Kept from one sample to the next: a replica that was behind is not before it has come well below the limit.
 */
struct lag {
    int64_t bytes, us; /* -1: not known */
    bool elsewhere;    /* not known to follow the primary's timeline: its position says nothing */
    bool behind;
    char reason[NODE_REASON]; /* while behind */
};

void lag_init(struct lag *l);
void lag_judge(struct lag *l, const struct lag_question *q);

#endif
