/* SPDX-License-Identifier: ISC */
/* Databases that nobody may be connected to for a moment, as one that is to be dropped. */
#ifndef POOL_VACATE_H
#define POOL_VACATE_H

#include "pool/pool.h"

#define POOL_VACATE_US 5000000 /* so long PostgreSQL waits for others to leave */

/* Idle servers in PostgreSQL's database TARGET whose pool has no session here go: now, or with the last one
 * within that time. */
void pools_vacate(struct pools *p, struct slice target);

#endif
