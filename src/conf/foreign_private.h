/* SPDX-License-Identifier: ISC */
/* Numbers in a [pgbouncer] file. Keeps nothing; any thread. */
#ifndef CONF_FOREIGN_PRIVATE_H
#define CONF_FOREIGN_PRIVATE_H

#include "conf/option.h"

/* PgBouncer reads numbers as C does (010, 0x10, +5, .5, 1e3), has no limits to them, and any number is a
 * boolean. Where VALUE is such a number for O it becomes one that O takes, the nearest when it is beyond O's
 * limits: then true. */
bool foreign_number(const struct conf_option *o, struct text *value);

#endif
