/* SPDX-License-Identifier: ISC */
/* The watch: what it watches, who rings for it from other threads, orders from the console.
 *
 * A bell is how another thread asks for a sample or names a suspect. There is one for each cluster and each
 * node that was ever configured; it is found without a lock, and many who ring it before it was heard make one
 * mail. */
#include "topo/watch.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "watch_private.h"

struct bell {
    struct mail mail;
    struct bell *next;
    struct watch *watch;  /* NULL: it is gone, and the mail frees the bell */
    char *cluster, *node; /* node: "" for a bell of the cluster */
    atomic_bool rung;
};

/* ---- finding ---- */

static struct watch_cluster *
cluster_find(const struct watch *w, const char *name)
{
    for (unsigned i = 0; i < w->n_clusters; i++)
        if (strcmp(w->clusters[i]->conf->name, name) == 0)
            return w->clusters[i];
    return NULL;
}

static struct watch_node *
node_find(const struct watch_cluster *c, struct slice name)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (slice_is(name, c->nodes[i]->conf->name))
            return c->nodes[i];
    return NULL;
}

/* ---- bells ---- */

static void
bell_free(struct bell *b)
{
    mem_free(b->cluster);
    mem_free(b->node);
    mem_free(b);
}

/* Somebody waits: the primary and the replicas are asked. One that is down is asked often anyway. */
static void
on_sample_wanted(struct watch_cluster *c, int64_t now_us)
{
    c->wanted_us = now_us;
    c->wanted = true;
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (c->nodes[i]->health.up)
            check_at_once(c->nodes[i]);
}

/* What is rung from now on finds the bell silent and comes with mail of its own. */
static void
on_bell(struct worker *w, struct mail *m)
{
    struct bell *b = container_of(m, struct bell, mail);
    struct watch_cluster *c = b->watch == NULL ? NULL : cluster_find(b->watch, b->cluster);
    struct watch_node *n = c == NULL ? NULL : node_find(c, slice_str(b->node));

    (void)w;
    if (b->watch == NULL) {
        bell_free(b);
        return;
    }
    atomic_store(&b->rung, false);
    if (n != NULL) {
        n->suspect_us = clock_now_us();
        check_at_once(n);
    } else if (c != NULL && b->node[0] == '\0') {
        on_sample_wanted(c, clock_now_us());
    }
}

static struct bell *
bell_find(struct watch *w, const char *cluster, const char *node)
{
    struct bell *b = atomic_load_explicit(&w->shared.bells, memory_order_acquire);

    while (b != NULL && (strcmp(b->cluster, cluster) != 0 || strcmp(b->node, node) != 0))
        b = b->next;
    return b;
}

static void
bell_hang(struct watch *w, const char *cluster, const char *node)
{
    struct bell *b;

    if (bell_find(w, cluster, node) != NULL)
        return;
    b = mem_new(struct bell);
    b->mail.deliver = on_bell;
    b->watch = w;
    b->cluster = mem_strdup(cluster);
    b->node = mem_strdup(node);
    b->next = atomic_load_explicit(&w->shared.bells, memory_order_relaxed);
    atomic_store_explicit(&w->shared.bells, b, memory_order_release);
}

static void
ring(struct watch *w, const char *cluster, const char *node)
{
    struct bell *b = bell_find(w, cluster, node);

    if (b != NULL && !atomic_exchange(&b->rung, true))
        mail_post(w->control, &b->mail);
}

void
watch_sample(struct watch *w, const char *cluster)
{
    ring(w, cluster, "");
}

void
watch_suspect(struct watch *w, const char *cluster, const char *node)
{
    ring(w, cluster, node);
}

/* ---- what is watched ---- */

static void
cluster_free(struct watch_cluster *c)
{
    struct ask *promoter = c->promoter;

    switchover_forget(c, NULL);
    c->promoter = NULL;
    ask_free(promoter);
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (c->nodes[i] != NULL)
            check_free(c->nodes[i]);
    mem_free(c->nodes);
    mem_free(c->ballot);
    mem_free(c);
}

/* The node of C that CONF means too, taken out of it; else NULL. Another address is another node. */
static struct watch_node *
take_node(struct watch_node **nodes, unsigned n_nodes, const struct conf_node *conf)
{
    for (unsigned i = 0; i < n_nodes; i++) {
        struct watch_node *n = nodes[i];

        if (n == NULL || strcmp(n->conf->name, conf->name) != 0 || strcmp(n->conf->host, conf->host) != 0 ||
            n->conf->port != conf->port)
            continue;
        nodes[i] = NULL;
        return n;
    }
    return NULL;
}

static unsigned
count_nodes(const struct conf *conf, const char *cluster)
{
    unsigned n = 0;

    for (size_t i = 0; i < conf->n_nodes; i++)
        n += strcmp(conf->nodes[i].cluster, cluster) == 0;
    return n;
}

static void
add_node(struct watch_cluster *c, struct watch_node *known, const struct conf_node *conf)
{
    if (known == NULL) {
        known = check_new(c, conf);
    } else {
        known->conf = conf;
        check_relink(known);
    }
    c->nodes[c->n_nodes++] = known;
    bell_hang(c->watch, c->conf->name, conf->name);
}

/* Those that are known stay what they are, wherever they stand now. */
static void
set_nodes(struct watch_cluster *c, const struct conf *conf)
{
    struct watch_node **old = c->nodes;
    struct watch_node *primary = c->elected.primary == -1 ? NULL : old[c->elected.primary];
    unsigned n_old = c->n_nodes, n = count_nodes(conf, c->conf->name);

    c->n_nodes = 0;
    c->nodes = mem_zalloc(n * sizeof(struct watch_node *));
    mem_free(c->ballot);
    c->ballot = mem_zalloc(n * sizeof(struct elect_node));
    for (size_t i = 0; i < conf->n_nodes; i++)
        if (strcmp(conf->nodes[i].cluster, c->conf->name) == 0)
            add_node(c, take_node(old, n_old, &conf->nodes[i]), &conf->nodes[i]);
    c->elected.primary = -1;
    for (unsigned i = 0; i < n; i++)
        if (c->nodes[i] == primary)
            c->elected.primary = (int)i;
    for (unsigned i = 0; i < n_old; i++) {
        if (old[i] == NULL)
            continue;
        if (old[i] == c->lost)
            c->lost = NULL;
        switchover_forget(c, old[i]);
        check_free(old[i]);
    }
    mem_free(old);
    if (primary != NULL && c->elected.primary == -1) {
        c->reign++;
        c->reign_since_us = clock_now_us();
    }
}

static struct watch_cluster *
take_cluster(struct watch *w, struct watch_cluster **old, unsigned n_old, const char *name)
{
    struct watch_cluster *c;

    for (unsigned i = 0; i < n_old; i++) {
        if (old[i] == NULL || strcmp(old[i]->conf->name, name) != 0)
            continue;
        c = old[i];
        old[i] = NULL;
        return c;
    }
    c = mem_new(struct watch_cluster);
    c->watch = w;
    c->elected.primary = -1;
    c->reign_since_us = clock_now_us();
    return c;
}

void
watch_configure(struct watch *w, struct conf *conf)
{
    struct watch_cluster **old = w->clusters;
    struct conf *before = w->conf;
    unsigned n_old = w->n_clusters;

    w->conf = conf_hold(conf);
    w->n_clusters = 0;
    w->clusters = mem_zalloc(conf->n_clusters * sizeof(struct watch_cluster *));
    for (size_t i = 0; i < conf->n_clusters; i++) {
        struct watch_cluster *c = take_cluster(w, old, n_old, conf->clusters[i].name);

        c->conf = &conf->clusters[i];
        w->clusters[w->n_clusters++] = c;
        bell_hang(w, c->conf->name, "");
        set_nodes(c, conf);
    }
    for (unsigned i = 0; i < n_old; i++)
        if (old[i] != NULL)
            cluster_free(old[i]);
    mem_free(old);
    for (unsigned i = 0; i < w->n_clusters; i++)
        cluster_judge_all(w->clusters[i]);
    cluster_publish(w);
    conf_drop(before);
}

/* ---- orders ---- */

static bool
obey(struct watch_node *n, enum watch_order order, struct fault *why)
{
    bool *flag = order == WATCH_BAN || order == WATCH_UNBAN ? &n->health.banned : &n->health.draining;
    bool on = order == WATCH_BAN || order == WATCH_DRAIN;
    bool was_open = order == WATCH_UNBAN && n->health.open_until_us > clock_now_us();

    if (*flag == on && !was_open)
        return fault_set(why, "55000", "node \"%s\" is %s %s", n->conf->name, on ? "already" : "not",
                         order == WATCH_BAN || order == WATCH_UNBAN ? "banned" : "draining");
    *flag = on;
    if (was_open)
        n->health.open_until_us = 0;
    return true;
}

bool
watch_order(struct watch *w, struct slice node, enum watch_order order, struct fault *why)
{
    for (unsigned i = 0; i < w->n_clusters; i++) {
        struct watch_node *n = node_find(w->clusters[i], node);

        if (n == NULL)
            continue;
        if (!obey(n, order, why))
            return false;
        cluster_judge_all(w->clusters[i]);
        cluster_publish(w);
        return true;
    }
    return fault_set(why, "42704", "there is no node \"%.*s\"", (int)slice_head(node, NODE_NAME).len,
                     (const char *)node.data);
}

void
watch_forget_orders(struct watch *w)
{
    for (unsigned i = 0; i < w->n_clusters; i++) {
        struct watch_cluster *c = w->clusters[i];

        for (unsigned j = 0; j < c->n_nodes; j++)
            c->nodes[j]->health.banned = c->nodes[j]->health.draining = false;
        cluster_judge_all(c);
    }
    cluster_publish(w);
}

void
watch_set_elects(struct watch *w, bool elects)
{
    w->stands_back = !elects;
    w->elects_since_us = clock_now_us();
}

unsigned
watch_n_events(const struct watch *w)
{
    return events_count(&w->events);
}

const struct watch_event *
watch_event_at(const struct watch *w, unsigned i)
{
    return events_at(&w->events, i);
}

/* ---- making and freeing ---- */

static void
on_publish(struct timer *t)
{
    cluster_publish(container_of(t, struct watch, publish_timer));
}

struct watch *
watch_new(struct worker *control, const struct resolver *by, watch_on_topology *on_topology, void *owner)
{
    struct watch *w = mem_new(struct watch);

    w->control = control;
    w->resolver = by;
    w->on_topology = on_topology;
    w->owner = owner;
    timer_init(&w->publish_timer, on_publish);
    return w;
}

void
watch_set_find_password(struct watch *w, watch_find_password *find)
{
    w->find_password = find;
}

void
watch_free(struct watch *w)
{
    struct bell *b;

    if (w == NULL)
        return;
    for (unsigned i = 0; i < w->n_clusters; i++)
        cluster_free(w->clusters[i]);
    timer_stop(w->control, &w->publish_timer);
    mem_free(w->clusters);
    b = atomic_load(&w->shared.bells);
    while (b != NULL) {
        struct bell *next = b->next;

        b->watch = NULL;
        if (!atomic_load(&b->rung))
            bell_free(b);
        b = next;
    }
    conf_drop(w->conf);
    mem_free(w);
}
