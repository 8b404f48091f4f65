/* SPDX-License-Identifier: ISC */
/* The pools of a session whose database is a cluster, one for each node; how it comes to have them, at login
 * and by a reload. */
#include "base/mem.h"
#include "choose_private.h"

/* ---- the pools of the nodes ---- */

static struct siblings *
find_siblings(struct session *s)
{
    struct hall *h = s->hall;
    struct siblings *f;

    for (f = h->siblings; f != NULL; f = f->next)
        if (strcmp(f->database, s->database) == 0 && strcmp(f->user, s->user) == 0)
            return f;
    f = mem_new(struct siblings);
    f->database = mem_strdup(s->database);
    f->user = mem_strdup(s->user);
    f->seen = h->n_views - 1;
    hall_random(h, &f->chance, sizeof(f->chance));
    f->next = h->siblings;
    h->siblings = f;
    return f;
}

static void
drop_siblings(struct hall *h, struct siblings *f)
{
    struct siblings **at = &h->siblings;

    if (--f->n_sessions > 0)
        return;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    for (unsigned i = 0; i < MOST_NODES; i++)
        pool_drop(f->at[i]);
    mem_free(f->database);
    mem_free(f->user);
    mem_free(f);
}

/* The pool of node I of C; NULL: the configuration does not name it any more. */
struct pool *
choose_pool_of(struct session *s, const struct cluster *c, unsigned i)
{
    struct siblings *f = s->routing->siblings;
    struct pool *p = f->at[i];
    struct pool_wanted want = { .name = slice_str(s->database),
                                .user = slice_str(s->user),
                                .credential = s->credential };

    if (p != NULL && strcmp(p->node, c->nodes[i].name) == 0)
        return p;
    want.database = conf_find_database(s->hall->setup.conf, want.name);
    want.node = conf_find_node(s->hall->setup.conf, slice_str(c->nodes[i].name));
    if (want.database == NULL || want.node == NULL)
        return NULL;
    p = pools_find(&s->hall->pools, &want);
    pool_hold(p);
    pool_drop(f->at[i]);
    return f->at[i] = p;
}

void
choose_use_pool(struct session *s, struct pool *p)
{
    if (s->pool == p)
        return;
    if (s->pool != NULL)
        s->pool->n_sessions--;
    s->pool = p;
    p->n_sessions++;
}

unsigned
choose_n_nodes(const struct cluster *c)
{
    return c->n_nodes < MOST_NODES ? c->n_nodes : MOST_NODES;
}

static const struct cluster *
find_cluster(const struct session *s)
{
    const struct conf_database *d = conf_find_database(s->hall->setup.conf, slice_str(s->database));
    const struct conf_cluster *c = d == NULL ? NULL : conf_cluster_of(s->hall->setup.conf, d);

    return c == NULL || s->hall->topology == NULL ? NULL : topology_find(s->hall->topology, slice_str(c->name));
}

const struct cluster *
choose_cluster(const struct session *s)
{
    struct siblings *f = s->routing == NULL ? NULL : s->routing->siblings;

    if (f == NULL)
        return find_cluster(s);
    if (f->seen != s->hall->n_views) {
        f->cluster = find_cluster(s);
        f->seen = s->hall->n_views;
    }
    return f->cluster;
}

/* ---- at login ---- */

/* The same for all connections of one host. */
static uint32_t
address_hash(const struct session *s)
{
    struct net_address a;
    char host[NET_ADDRESS_TEXT];
    uint32_t h = 2166136261u;

    if (s->is_unix)
        return h;
    net_address_peer(&a, s->client.fd);
    net_address_host(&a, host);
    for (const char *c = host; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 16777619u;
    return h;
}

static void
begin(struct session *s)
{
    s->routing = mem_new(struct routing);
    s->routing->session = s;
    ring_init(&s->routing->in_held);
    s->routing->siblings = find_siblings(s);
    s->routing->siblings->n_sessions++;
    s->routing->hash = address_hash(s);
    s->routing->rule = RULE_NONE;
    choose_settings(s);
}

/* Where the session is asked for at first: at the primary, whose pool keeps what logins are told. */
static const struct conf_node *
first_node(const struct session *s, const struct conf_cluster *cluster)
{
    const struct conf *conf = s->hall->setup.conf;
    const struct cluster *c = choose_cluster(s);
    const struct conf_node *n =
        c == NULL || c->primary < 0 ? NULL : conf_find_node(conf, slice_str(c->nodes[c->primary].name));

    for (size_t i = 0; n == NULL && i < conf->n_nodes; i++)
        if (strcmp(conf->nodes[i].cluster, cluster->name) == 0)
            n = &conf->nodes[i];
    return n;
}

bool
choose_begin(struct session *s, const struct conf_database *d)
{
    struct pool_wanted want = {
        .database = d, .name = slice_str(s->database), .user = slice_str(s->user), .credential = s->credential
    };
    const struct conf_cluster *cluster = conf_cluster_of(s->hall->setup.conf, d);

    if (cluster != NULL) {
        want.node = first_node(s, cluster);
        begin(s);
    }
    choose_use_pool(s, pools_find(&s->hall->pools, &want));
    return cluster != NULL;
}

/* Its pool's address is none any more: it waits for a node instead. */
static void
become_routed(struct session *s)
{
    bool waits = s->waiter.since_us != 0;

    if (waits)
        pool_stop_waiting(s->pool, &s->waiter);
    begin(s);
    s->routing->wrote = s->server != NULL;
    if (waits)
        choose_hold(s);
}

void
choose_reload(struct hall *h)
{
    ring_each_safe (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);
        const struct conf_database *d;

        if (s->pool == NULL || s->routing != NULL || s->replication)
            continue;
        d = conf_find_database(h->setup.conf, slice_str(s->database));
        if (d != NULL && conf_cluster_of(h->setup.conf, d) != NULL)
            become_routed(s);
    }
}

void
choose_done(struct session *s)
{
    if (s->routing == NULL)
        return;
    ring_remove(&s->routing->in_held);
    choose_avoid(s, NULL);
    pool_drop(s->routing->seen_in);
    drop_siblings(s->hall, s->routing->siblings);
    params_drop(s->routing->wishes_of);
    mem_free(s->routing);
    s->routing = NULL;
}
