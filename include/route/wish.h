/* SPDX-License-Identifier: ISC */
/* What a session wishes about routing: the settings pgweir.route, pgweir.consistency, pgweir.max_lag and
 * pgweir.min_lsn, by name and text (CONTRACT section 2). pgweir.cache is checked here, and kept elsewhere.
 * Pure; the owner of a struct route_wishes is its session. */
#ifndef ROUTE_WISH_H
#define ROUTE_WISH_H

#include "base/fault.h"
#include "base/slice.h"
#include "base/text.h"
#include "route/route.h"

struct route_wishes {
    enum route_wish wish;
    char node[NODE_NAME]; /* ROUTE_NODE: its name; else "" */
    int consistency;      /* enum cluster_consistency, or -1: the cluster's */
    int64_t max_lag_us;   /* -1: the cluster's; 0: no limit */
    uint64_t min_lsn;     /* 0: none */
};

/* Nothing special: ROUTE_AUTO, and the rest as in the cluster. */
void wishes_init(struct route_wishes *w);
/* SET: NAME with its "pgweir.", in any case. False with WHY, and nothing is changed: 22023 with a hint what may
 * be said, 42704 when there is no such setting, 55P02 for those that can only be shown. The value "default" of
 * consistency and max_lag is the cluster's. */
bool wishes_set(struct route_wishes *w, struct slice name, struct slice value, struct fault *why);
/* SHOW: what wishes_set() reads back. False: NAME is none of the four. */
bool wishes_print(const struct route_wishes *w, struct slice name, struct text *out);
/* A question's wishes; W must live as long as Q. */
void wishes_ask(const struct route_wishes *w, struct route_question *q);

#endif
