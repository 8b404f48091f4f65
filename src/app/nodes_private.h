/* SPDX-License-Identifier: ISC */
/* Clusters of nodes, as app runs them. On the control thread. */
#ifndef APP_NODES_PRIVATE_H
#define APP_NODES_PRIVATE_H

#include "base/clock.h"
#include "topo/topology.h"
#include "views_private.h"

void nodes_open(struct app *a);
/* Of auth_file, when it is there in plain text; NULL otherwise. OWNER is the app. */
char *nodes_password(void *owner, struct slice role);
/* When the halls run, and after each reload: probes begin, or change. */
void nodes_configure(struct app *a);
void nodes_done(struct app *a);

/* catalogs.c: each database of a cluster has a catalog, loaded from its primary. */
void catalogs_look(struct app *a);
/* As hall.want_catalog. */
void catalogs_want(struct hall *h, const char *database, bool changed);
void catalogs_done(struct app *a);

#endif
