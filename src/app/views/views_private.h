/* SPDX-License-Identifier: ISC */
/* The rows of each view: some from each hall as a visit passes, some at home from what it gathered. */
#ifndef APP_VIEWS_PRIVATE_H
#define APP_VIEWS_PRIVATE_H

#include "actions_private.h"

typedef void view_each(struct hall *h, struct task *e); /* on H's thread */
typedef void view_home(struct task *e);                 /* on the console's thread */

/* views_people.c */
view_each clients_each, servers_each, sockets_each, active_sockets_each, pins_each, prepared_each;
/* views_fds.c */
view_each fds_each;
/* views_pools.c */
view_each pools_each, databases_each, lists_each;
view_home pools_home, databases_home, users_home, lists_home;
/* views_limits.c */
view_each limits_each;
view_home limits_home;
/* views_stats.c */
view_each stats_each;
view_home stats_home, stats_totals_home, stats_averages_home, totals_home;
/* views_process.c */
view_each mem_each;
view_home config_home, version_home, state_home, mem_home, dns_hosts_home, dns_zones_home;

/* nodes.c */
view_each nodes_each, routes_each;
view_home nodes_home, clusters_home, routes_home;
void events_control(struct app *a, struct task *e); /* on the control thread */

/* views_peers.c */
view_each peer_pools_each;
view_home peers_home;

/* views_rules.c */
view_each rules_each;
view_home rules_home;

/* views_listeners.c */
view_each listeners_each;
view_home listeners_home;

bool view_is_used(const struct pool *p, const struct server *s);
/* UTC; NULL for 0. */
void view_put_time(struct admin_table *t, int64_t wall_us);
const char *view_pool_mode(int mode);
/* What counts for a database: its own option, else the general one. */
static inline int64_t
view_pick(int64_t own, int64_t general)
{
    return own >= 0 ? own : general;
}

#endif
