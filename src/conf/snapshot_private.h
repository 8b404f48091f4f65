/* SPDX-License-Identifier: ISC */
/* Making and taking apart the published snapshot. */
#ifndef CONF_SNAPSHOT_PRIVATE_H
#define CONF_SNAPSHOT_PRIVATE_H

#include "conf/conf.h"
#include "names_private.h"

struct conf_private {
    _Atomic unsigned holders;
    struct names databases, users;
};

/* An empty configuration with one holder; the general section is still zeroed. */
struct conf *snapshot_new(void);
/* Frees a database or user line, its texts included. */
void snapshot_done_database(struct conf_database *d);
void snapshot_done_user(struct conf_user *u);

#endif
