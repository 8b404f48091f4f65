/* SPDX-License-Identifier: ISC */
/* What a node is asked, and the reading of its answer. Pure. */
#ifndef TOPO_PROBE_PRIVATE_H
#define TOPO_PROBE_PRIVATE_H

#include "ask/ask.h"
#include "elect_private.h"

/* Everything about a node; and only what changes all the time, for those who wait. Both work for a role without
 * any right, on a primary, in recovery, and while one becomes the other. */
extern const char probe_sql[], probe_sample_sql[], probe_promote_sql[];

struct probe {
    enum node_role role; /* unknown: never answered */
    uint64_t system_id;
    uint32_t timeline;
    uint64_t lsn;      /* a primary's without page header */
    uint64_t received; /* a primary's: what it has flushed, and may have sent */
    enum elect_stream stream;
    bool read_only;
    uint64_t segment_size, page_size;
};

/* False with WHY: not an answer to probe_sql. P is what was known, and unchanged then. */
bool probe_read(struct probe *p, const struct ask_answer *answer, struct fault *why);
/* The answer to probe_sample_sql. ANEW: it is not what it was; everything must be asked, and P is unchanged. */
bool probe_read_sample(struct probe *p, const struct ask_answer *answer, bool *anew, struct fault *why);

#endif
