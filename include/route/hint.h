/* SPDX-License-Identifier: ISC */
/* Wishes for one statement, in a comment at its start or end:
 *
 *     SELECT ... FROM t / * pgweir: route=primary, max_lag=5s, cache=60s * /
 *
 * Keys are those of the settings without "pgweir.", and node=NAME for route=node:NAME. Pure; any thread. */
#ifndef ROUTE_HINT_H
#define ROUTE_HINT_H

#include "base/fault.h"
#include "base/slice.h"
#include "route/wish.h"

/* A longer comment is no hint. */
#define HINT_MAX_LEN 1024

/* The hints of SQL, put onto W: those at the start first, so that those at the end win. Only a comment that is
 * the first or the last token counts, apart from white space and semicolons: what a literal holds never does.
 * False: there were none. The first bad key or value fills WARNING (22023, or 42704 for an unknown key) and the
 * rest still applies; its SQLSTATE is "" when all is well. Without a comment this costs a look at both ends. */
bool hint_apply(struct slice sql, struct route_wishes *w, struct fault *warning);
/* A look at both ends: no is sure. */
bool hint_is_possible(struct slice sql);

#endif
