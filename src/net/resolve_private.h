/* SPDX-License-Identifier: ISC */
/* What resolve.c and cares.c share. */
#ifndef NET_RESOLVE_PRIVATE_H
#define NET_RESOLVE_PRIVATE_H

#include "net/resolve.h"

/* One more address, if there is room for it; its port is R's. */
void resolve_add(struct resolve *r, const struct sockaddr *address, socklen_t len);

/* ---- cares.c: both are SLOW ---- */

void cares_look_up(struct resolve *r);
void cares_find_serial(struct resolve_serial *r);

#endif
