/* SPDX-License-Identifier: ISC */
/* The DNS zones of the names in use, asked for their serial number now and then. When it is another one, the
 * names in that zone are looked up at once. On the control thread, but for zones_each(). */
#ifndef SERVER_ZONES_H
#define SERVER_ZONES_H

#include "server/names.h"

struct zones;

/* All three outlive the zones. */
struct zones *zones_new(struct worker *control, struct names_cache *names, const struct resolver *by);
/* After the helper of the resolver ended. NULL is fine. */
void zones_free(struct zones *z);
/* How often they are asked; 0: never, and none are shown. */
void zones_set_period(struct zones *z, int64_t period_us);

struct zones_shown {
    const char *name;
    uint32_t serial; /* 0: not known */
    unsigned n_hosts;
};
/* Any thread. OWNER may be anything. */
void zones_each(struct zones *z, void (*each)(void *owner, const struct zones_shown *s), void *owner);

#endif
