/* SPDX-License-Identifier: ISC */
/* What clients are told at login, kept with their pool: a server that judged the same
 * start-up settings before speaks for all. Owned by the pool's worker. */
#ifndef POOL_WELCOME_H
#define POOL_WELCOME_H

#include "base/slice.h"

struct params; /* wire/params.h */

struct pool_welcome { /* ParameterStatus values that a client with these start-up settings gets */
    struct params *settings, *reports;
};
#define POOL_WELCOMES 16

struct pool_greeting { /* what one that has exactly these settings is told, and the messages that tell it */
    struct params *settings, *reports;
    struct slice messages;
};
#define POOL_GREETINGS 16 /* a power of two */

struct pool;
/* ParameterStatus values known for SETTINGS, or NULL. */
struct params *pool_find_welcome(struct pool *p, struct params *settings);
void pool_add_welcome(struct pool *p, struct params *settings, struct params *reports);
/* NULL: not known. Valid until the next pool_add_greeting(). */
const struct pool_greeting *pool_find_greeting(const struct pool *p, const struct params *settings);
const struct pool_greeting *
pool_add_greeting(struct pool *p, struct params *settings, struct params *reports, struct slice messages);
/* The configuration changed: on this worker. */
void pool_forget_welcomes(struct pool *p);

#endif
