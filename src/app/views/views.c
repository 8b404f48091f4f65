/* SPDX-License-Identifier: ISC */
/* SHOW: which rows each view has. A view without a row here is an empty one. */
#include "views_private.h"

static const struct {
    view_each *each;
    view_home *home;
} views[ADMIN_NVIEWS] = {
    [ADMIN_VIEW_CLIENTS] = { clients_each, NULL },
    [ADMIN_VIEW_SERVERS] = { servers_each, NULL },
    [ADMIN_VIEW_SOCKETS] = { sockets_each, NULL },
    [ADMIN_VIEW_ACTIVE_SOCKETS] = { active_sockets_each, NULL },
    [ADMIN_VIEW_FDS] = { fds_each, NULL },
    [ADMIN_VIEW_PINS] = { pins_each, NULL },
    [ADMIN_VIEW_PREPARED] = { prepared_each, NULL },
    [ADMIN_VIEW_POOLS] = { pools_each, pools_home },
    [ADMIN_VIEW_DATABASES] = { databases_each, databases_home },
    [ADMIN_VIEW_USERS] = { NULL, users_home },
    [ADMIN_VIEW_LISTS] = { lists_each, lists_home },
    [ADMIN_VIEW_STATS] = { stats_each, stats_home },
    [ADMIN_VIEW_STATS_TOTALS] = { stats_each, stats_totals_home },
    [ADMIN_VIEW_STATS_AVERAGES] = { stats_each, stats_averages_home },
    [ADMIN_VIEW_TOTALS] = { stats_each, totals_home },
    [ADMIN_VIEW_CONFIG] = { NULL, config_home },
    [ADMIN_VIEW_VERSION] = { NULL, version_home },
    [ADMIN_VIEW_STATE] = { NULL, state_home },
    [ADMIN_VIEW_NODES] = { nodes_each, nodes_home },
    [ADMIN_VIEW_ROUTES] = { routes_each, routes_home },
    [ADMIN_VIEW_CLUSTERS] = { NULL, clusters_home },
    [ADMIN_VIEW_RULES] = { rules_each, rules_home },
    [ADMIN_VIEW_LIMITS] = { limits_each, limits_home },
    [ADMIN_VIEW_LISTENERS] = { listeners_each, listeners_home },
    [ADMIN_VIEW_MEM] = { mem_each, mem_home },
    [ADMIN_VIEW_DNS_HOSTS] = { NULL, dns_hosts_home },
    [ADMIN_VIEW_DNS_ZONES] = { NULL, dns_zones_home },
    [ADMIN_VIEW_PEERS] = { NULL, peers_home },
    [ADMIN_VIEW_PEER_POOLS] = { peer_pools_each, NULL },
};

static void
at_each(struct worker *w, struct visit *v)
{
    struct task *e = task_of(v);

    views[e->command.view].each(hall_of(w), e);
}

static void
finish(struct task *e)
{
    if (views[e->command.view].home != NULL)
        views[e->command.view].home(e);
    if (e->gift != NULL)
        gift_send(e);
    else
        task_end(e, NULL);
}

static void
home(struct worker *w, struct visit *v)
{
    (void)w;
    finish(task_of(v));
}

static void
at_control(struct worker *w, struct mail *m)
{
    struct task *e = container_of(m, struct task, mail);

    events_control(app_of_control(w), e);
    task_home(e, task_arrive);
}

void
action_show(struct task *e)
{
    admin_table_init(&e->table, &e->command, &e->out);
    admin_table_head(&e->table);
    if (e->command.view == ADMIN_VIEW_FDS)
        gift_begin(e);
    if (e->command.view == ADMIN_VIEW_EVENTS)
        task_to_control(e, at_control);
    else if (views[e->command.view].each != NULL)
        task_visit(e, at_each, home);
    else
        finish(e);
}

const char *
view_pool_mode(int mode)
{
    static const char *const names[] = { "session", "transaction", "statement" };

    return mode >= 0 && mode < 3 ? names[mode] : NULL;
}
