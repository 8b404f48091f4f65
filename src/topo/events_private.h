/* SPDX-License-Identifier: ISC */
/* What happened to nodes, for SHOW EVENTS: the newest EVENTS_KEPT. On the control thread. */
#ifndef TOPO_EVENTS_PRIVATE_H
#define TOPO_EVENTS_PRIVATE_H

#include "topo/watch.h"

#define EVENTS_KEPT 200

struct events {
    struct watch_event event[EVENTS_KEPT];
    uint64_t n; /* that ever were */
};

/* NODE may be "". */
struct watch_event *events_add(struct events *e, int64_t wall_us, const char *cluster, const char *node);
unsigned events_count(const struct events *e);
/* Oldest first. NULL: there are not so many. */
const struct watch_event *events_at(const struct events *e, unsigned i);

#endif
