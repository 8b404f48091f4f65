/* SPDX-License-Identifier: ISC */
/* Clusters of nodes: what the watch sees goes to every hall, orders of the console go to the watch. */
#include "nodes_private.h"

#include "base/log.h"
#include "route/route.h"
#include "topo/lsn.h"
#include "topo/watch.h"

/* ---- publishing: one round of the halls at a time, always with the newest snapshot ---- */

static void
at_hall(struct worker *w, struct visit *v)
{
    struct app *a = container_of(v, struct app, topology_visit);

    hall_set_topology(hall_of(w), topology_hold(a->topology_visiting));
}

static void start_round(struct app *a);

/* Every hall has heard of them. */
static void
answer_orders(struct app *a)
{
    while (a->orders_now != NULL) {
        struct task *e = container_of(a->orders_now, struct task, mail);

        a->orders_now = e->mail.next;
        task_home(e, task_arrive);
    }
}

static void
round_done(struct worker *w, struct visit *v)
{
    struct app *a = container_of(v, struct app, topology_visit);
    bool newest = a->topology_visiting == a->topology;

    (void)w;
    topology_drop(a->topology_visiting);
    a->topology_visiting = NULL;
    answer_orders(a);
    if (!newest)
        start_round(a);
}

static void
start_round(struct app *a)
{
    a->topology_visiting = topology_hold(a->topology);
    a->orders_now = a->orders_next;
    a->orders_next = NULL;
    a->topology_visit = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = at_hall, .home = round_done
    };
    visit_start(&a->topology_visit);
}

static void
on_topology(void *owner, struct topology *t)
{
    struct app *a = owner;

    topology_drop(a->topology);
    a->topology = t;
    catalogs_look(a);
    if (a->topology_visiting == NULL)
        start_round(a);
}

char *
nodes_password(void *owner, struct slice role)
{
    const struct app *a = owner;
    struct slice secret = secrets_find(a->loaded.setup.secrets, role);

    return secret.data != NULL && secret_kind(secret) == SECRET_PLAIN ? slice_dup(secret) : NULL;
}

void
nodes_open(struct app *a)
{
    a->watch = watch_new(&a->control, &a->resolver, on_topology, a);
    watch_set_find_password(a->watch, nodes_password);
}

/* Without a role libpq takes the name of the operating system's user: hardly what was meant. */
static void
warn(const struct conf *c)
{
    for (size_t i = 0; i < c->n_clusters; i++)
        if (c->clusters[i].monitor_user[0] == '\0' && c->general.auth_user[0] == '\0')
            log_warning(
                "cluster=%s has neither monitor_user nor auth_user: see sql/monitor.sql for a role that its "
                "nodes can be asked as",
                c->clusters[i].name);
}

void
nodes_configure(struct app *a)
{
    warn(a->loaded.setup.conf);
    watch_configure(a->watch, a->loaded.setup.conf);
}

void
nodes_done(struct app *a)
{
    watch_free(a->watch);
    topology_drop(a->topology);
    topology_drop(a->topology_visiting);
}

/* ---- orders ---- */

/* The round that tells the halls of it has begun, or follows the one under way. */
static void
wait_for_halls(struct app *a, struct mail *m)
{
    struct mail **list = a->topology_visiting == a->topology ? &a->orders_now : &a->orders_next;

    m->next = *list;
    *list = m;
}

static void
order(struct worker *w, struct mail *m)
{
    static const enum watch_order orders[ADMIN_NVERBS] = { [ADMIN_BAN] = WATCH_BAN,
                                                           [ADMIN_UNBAN] = WATCH_UNBAN,
                                                           [ADMIN_DRAIN] = WATCH_DRAIN,
                                                           [ADMIN_UNDRAIN] = WATCH_UNDRAIN };
    struct task *e = container_of(m, struct task, mail);
    struct app *a = app_of_control(w);
    enum watch_order what = orders[e->command.verb];

    if (a->takeover.giving && (what == WATCH_BAN || what == WATCH_DRAIN))
        fault_set(&e->why, "55000", "another process has taken over from this one");
    else if (watch_order(a->watch, slice_str(e->command.name), what, &e->why)) {
        wait_for_halls(a, m);
        return;
    }
    task_home(e, task_arrive);
}

void
action_node(struct task *e)
{
    task_to_control(e, order);
}

/* ---- SHOW NODES, CLUSTERS, EVENTS ---- */

static void
put_known(struct admin_table *t, int64_t v)
{
    if (v < 0)
        admin_put_null(t);
    else
        admin_put_int(t, v);
}

static void
put_lsn(struct admin_table *t, uint64_t lsn)
{
    struct text text = { 0 };

    lsn_print(lsn, &text);
    admin_put_str(t, lsn == 0 ? NULL : text_str(&text));
    text_done(&text);
}

void
nodes_each(struct hall *h, struct task *e)
{
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next)
        if (p->node != NULL)
            gather_at(&e->gather, slice_str(p->node), slice_of(NULL, 0))->n[0] += p->n_idle + p->n_used;
}

static void
put_node(struct task *e, const struct cluster *c, const struct node *n)
{
    struct admin_table *t = &e->table;

    admin_put_str(t, c->name);
    admin_put_str(t, n->name);
    admin_put_str(t, n->host);
    admin_put_int(t, n->port);
    admin_put_str(t, node_role_name(n->role));
    admin_put_str(t, node_state_name(n->state));
    admin_put_str(t, n->reason[0] == '\0' ? NULL : n->reason);
    put_known(t, n->timeline == 0 ? -1 : (int64_t)n->timeline);
    put_lsn(t, n->lsn);
    put_known(t, n->role == NODE_REPLICA ? n->lag_bytes : -1);
    put_known(t, n->role == NODE_REPLICA && n->lag_us >= 0 ? n->lag_us / CLOCK_MS : -1);
    put_known(t, n->rtt_us > 0 ? n->rtt_us : -1);
    admin_put_int(t, n->weight);
    admin_put_str(t, n->zone == NULL || n->zone[0] == '\0' ? NULL : n->zone);
    admin_put_int(t, gather_at(&e->gather, slice_str(n->name), slice_of(NULL, 0))->n[0]);
    admin_row_end(t);
}

void
nodes_home(struct task *e)
{
    const struct topology *t = e->hall->topology;

    for (unsigned i = 0; t != NULL && i < t->n_clusters; i++)
        for (unsigned k = 0; k < t->clusters[i].n_nodes; k++)
            put_node(e, &t->clusters[i], &t->clusters[i].nodes[k]);
}

static void
put_cluster(struct admin_table *t, const struct cluster *c)
{
    unsigned up = 0;

    for (unsigned i = 0; i < c->n_nodes; i++)
        up += node_is_usable(&c->nodes[i], true);
    admin_put_str(t, c->name);
    admin_put_str(t, c->primary < 0 ? NULL : c->nodes[c->primary].name);
    admin_put_int(t, (int64_t)c->reign);
    admin_put_str(t, conf_word("consistency", (int)c->consistency));
    admin_put_str(t, conf_word("balance", (int)c->balance));
    admin_put_int(t, c->max_lag_us / CLOCK_MS);
    admin_put_int(t, c->n_nodes);
    admin_put_int(t, up);
    admin_put_int(t, (clock_now_us() - c->reign_since_us) / CLOCK_S); /* with this primary, or without one */
    admin_put_str(t, c->switching ? "yes" : "no");
    admin_row_end(t);
}

void
clusters_home(struct task *e)
{
    const struct topology *t = e->hall->topology;

    for (unsigned i = 0; t != NULL && i < t->n_clusters; i++)
        put_cluster(&e->table, &t->clusters[i]);
}

/* ---- SHOW ROUTES: where requests went, and why ---- */

void
routes_each(struct hall *h, struct task *e)
{
    for (unsigned i = 0; i < ROUTE_N_REASONS && h->routes != NULL; i++)
        if (h->routes[i] > 0)
            gather_at(&e->gather, slice_str(route_reason_text(i)), slice_of(NULL, 0))->n[0] +=
                (int64_t)h->routes[i];
}

void
routes_home(struct task *e)
{
    for (const struct tally *t = e->gather.first; t != NULL; t = t->next) {
        admin_put_slice(&e->table, t->first);
        admin_put_int(&e->table, t->n[0]);
        admin_row_end(&e->table);
    }
}

/* On the control thread, which keeps the events. */
void
events_control(struct app *a, struct task *e)
{
    struct admin_table *t = &e->table;

    for (unsigned i = 0; i < watch_n_events(a->watch); i++) {
        const struct watch_event *v = watch_event_at(a->watch, i);

        view_put_time(t, v->wall_us);
        admin_put_str(t, v->cluster);
        admin_put_str(t, v->node[0] == '\0' ? NULL : v->node);
        admin_put_str(t, v->text);
        admin_row_end(t);
    }
}
