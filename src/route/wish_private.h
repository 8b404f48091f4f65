/* SPDX-License-Identifier: ISC */
/* Wishes by their short names, for comments in SQL. */
#ifndef ROUTE_WISH_PRIVATE_H
#define ROUTE_WISH_PRIVATE_H

#include "route/wish.h"

/* As wishes_set(), but KEY is without "pgweir.", and the fault of a key that is not known is the caller's. */
enum wish_answer { WISH_SET, WISH_BAD, WISH_UNKNOWN };
enum wish_answer
wishes_set_key(struct route_wishes *w, struct slice key, struct slice value, struct fault *why);
/* VALUE as it may stand in a message: short, and whole characters of UTF-8. */
struct slice wish_shown(struct slice value);

#endif
