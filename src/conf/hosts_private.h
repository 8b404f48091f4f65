/* SPDX-License-Identifier: ISC */
/* Clusters that nobody wrote down: those of databases with several hosts, and those that only
 * [nodes] names. Belongs to one load. */
#ifndef CONF_HOSTS_PRIVATE_H
#define CONF_HOSTS_PRIVATE_H

#include "conf/conf.h"

/* The nodes that one line of [databases] makes: none unless it has several hosts. Starts zeroed. */
struct hosts {
    struct conf_node *nodes;
    size_t n;
    char *list; /* the hosts as written, when they are a cluster only if [clusters] has it; or NULL */
};

/* When D has several hosts, H gets a node for each and D names the cluster instead. PORTS: its port as it
 * stands, where that has commas. COMPAT: hosts that share a port may stay a list, as in PgBouncer. False: WHY,
 * without the line. */
bool hosts_split(struct hosts *h, struct conf_database *d, struct slice ports, bool compat, struct fault *why);
void hosts_done(struct hosts *h);

/* All lines are read: what H says of each database of C becomes nodes, and every cluster that a node names gets
 * an entry. False: WHY has FILE:LINE. */
bool hosts_join(struct conf *c, struct hosts *h, struct fault *why);
/* For each cluster of C whether a node names it; free with mem_free(). */
bool *hosts_clusters(const struct conf *c);

#endif
