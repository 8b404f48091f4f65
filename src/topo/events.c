/* SPDX-License-Identifier: ISC */
/* A bounded ring of events. */
#include "events_private.h"

#include <stdio.h>

struct watch_event *
events_add(struct events *e, int64_t wall_us, const char *cluster, const char *node)
{
    struct watch_event *v = &e->event[e->n++ % EVENTS_KEPT];

    *v = (struct watch_event){ .wall_us = wall_us };
    snprintf(v->cluster, sizeof(v->cluster), "%s", cluster);
    snprintf(v->node, sizeof(v->node), "%s", node);
    return v;
}

unsigned
events_count(const struct events *e)
{
    return e->n < EVENTS_KEPT ? (unsigned)e->n : EVENTS_KEPT;
}

const struct watch_event *
events_at(const struct events *e, unsigned i)
{
    return i < events_count(e) ? &e->event[(e->n - events_count(e) + i) % EVENTS_KEPT] : NULL;
}
