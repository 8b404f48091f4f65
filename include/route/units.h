/* SPDX-License-Identifier: ISC */
/* Durations as text, as PostgreSQL writes them. Pure; any thread. */
#ifndef ROUTE_UNITS_H
#define ROUTE_UNITS_H

#include "base/slice.h"
#include "base/text.h"

/* A number, perhaps with a fraction, and a unit (us ms s min h d; none: seconds), up to a day. False: it is
 * none. */
bool route_duration_parse(struct slice text, int64_t *out_us);
/* With the largest unit that leaves a whole number, as PostgreSQL does. */
void route_duration_print(int64_t us, struct text *out);

#endif
