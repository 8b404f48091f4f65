/* SPDX-License-Identifier: ISC */
/* Time from the system. Pure code takes time as an argument instead. Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_MS INT64_C(1000)    /* microseconds */
#define CLOCK_S  INT64_C(1000000) /* microseconds */

/* Microseconds of a clock that never goes back (CLOCK_MONOTONIC). */
int64_t clock_now_us(void);
/* Microseconds since 1970-01-01 UTC. */
int64_t clock_wall_us(void);

#endif
