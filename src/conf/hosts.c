/* SPDX-License-Identifier: ISC */
/* Several hosts in a database become nodes of a cluster of its own; the clusters of all nodes are completed. */
#include "hosts_private.h"

#include "base/mem.h"
#include "option_private.h"
#include "snapshot_private.h"

static size_t
count(struct slice list)
{
    size_t n = 1;

    for (size_t i = 0; i < list.len; i++)
        n += list.data[i] == ',';
    return n;
}

/* The first of a list with commas; LIST moves behind it. */
static struct slice
take_first(struct slice *list)
{
    const uint8_t *comma = list->len == 0 ? NULL : memchr(list->data, ',', list->len);
    struct slice first = slice_head(*list, comma == NULL ? list->len : (size_t)(comma - list->data));

    *list = slice_tail(*list, first.len + 1);
    return slice_trim(first);
}

static bool
set(struct conf_node *n, const char *option, struct slice value, struct fault *why)
{
    return conf_section_set(conf_option_find(conf_node_options(), slice_str(option)), n, value, why);
}

/* Node number I of D, at HOST and the port of D. */
static bool
node_init(struct conf_node *n, const struct conf_database *d, size_t i, struct slice host, struct fault *why)
{
    *n = (struct conf_node){ .name = mem_printf("%s-%zu", d->name, i + 1),
                             .file = mem_strdup(d->file),
                             .line = d->line };
    conf_section_init(conf_node_options(), n, false);
    n->port = d->port;
    if (host.len == 0)
        return fault_set(why, "F0000", "host number %zu of database \"%s\" is empty; take its comma out", i + 1,
                         d->name);
    return set(n, "cluster", slice_str(d->name), why) && set(n, "host", host, why);
}

bool
hosts_split(struct hosts *h, struct conf_database *d, struct slice ports, bool compat, struct fault *why)
{
    struct slice hosts = slice_str(d->host);
    size_t n_hosts = count(hosts), n_ports = count(ports);
    bool many_ports = n_ports > 1;

    if (many_ports && n_ports != n_hosts)
        return fault_set(why, "F0000", "%zu ports for %zu host%s; write one for all, or one for each", n_ports,
                         n_hosts, n_hosts == 1 ? "" : "s");
    if (n_hosts == 1)
        return true;
    if (compat && !many_ports)
        h->list = mem_strdup(d->host);
    h->nodes = mem_zalloc(n_hosts * sizeof(*h->nodes));
    while (h->n < n_hosts) {
        struct conf_node *n = &h->nodes[h->n];

        if (!node_init(n, d, h->n++, take_first(&hosts), why) ||
            (many_ports && !set(n, "port", take_first(&ports), why)))
            return false;
    }
    mem_free(d->cluster);
    d->cluster = mem_strdup(d->name);
    d->host[0] = '\0';
    return true;
}

void
hosts_done(struct hosts *h)
{
    for (size_t i = 0; i < h->n; i++)
        snapshot_row_done(CONF_NODES, &h->nodes[i]);
    mem_free(h->nodes);
    mem_free(h->list);
    *h = (struct hosts){ 0 };
}

/* The place of the cluster NAME, which gets the defaults when [clusters] does not have it; FILE and LINE name
 * it. */
static size_t
cluster_at(struct conf *c, const char *name, const char *file, int line)
{
    size_t at = snapshot_find(c, CONF_CLUSTERS, slice_str(name));
    struct conf_cluster k = { 0 };

    if (at != NAMES_NONE)
        return at;
    k.name = mem_strdup(name);
    k.file = mem_strdup(file);
    k.line = line;
    conf_section_init(conf_cluster_options(), &k, false);
    return snapshot_put(c, CONF_CLUSTERS, &k);
}

/* A node without a cluster is left to conf_check(). */
static void
join_nodes(struct conf *c)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (c->nodes[i].cluster[0] != '\0')
            cluster_at(c, c->nodes[i].cluster, c->nodes[i].file, c->nodes[i].line);
}

bool *
hosts_clusters(const struct conf *c)
{
    bool *named = mem_zalloc(c->n_clusters * sizeof(*named));

    for (size_t i = 0; i < c->n_nodes; i++) {
        size_t at = snapshot_find(c, CONF_CLUSTERS, slice_str(c->nodes[i].cluster));

        if (at != NAMES_NONE)
            named[at] = true;
    }
    return named;
}

/* Nobody asked for a cluster: D's hosts are a list after all. */
static void
stay_list(struct conf_database *d, struct hosts *h)
{
    mem_free(d->host);
    d->host = h->list;
    h->list = NULL;
    d->cluster[0] = '\0';
    hosts_done(h);
}

/* The nodes of H, which database D makes, are put into C. */
static bool
join_hosts(struct conf *c, const struct conf_database *d, struct hosts *h, struct fault *why)
{
    cluster_at(c, d->name, d->file, d->line);
    for (size_t i = 0; i < h->n; i++)
        if (snapshot_find(c, CONF_NODES, slice_str(h->nodes[i].name)) != NAMES_NONE)
            return fault_set(why, "F0000",
                             "the hosts of database \"%s\" become nodes \"%s-1\" and so on, and \"%s\" is in "
                             "[nodes] too; rename that",
                             d->name, d->name, h->nodes[i].name);
    for (size_t i = 0; i < h->n; i++)
        snapshot_put(c, CONF_NODES, &h->nodes[i]);
    h->n = 0;
    hosts_done(h);
    return true;
}

bool
hosts_join(struct conf *c, struct hosts *h, struct fault *why)
{
    bool *written, ok = true;
    size_t n_written;

    join_nodes(c);
    written = hosts_clusters(c); /* so far the nodes are those of [nodes] */
    n_written = c->n_clusters;
    for (size_t i = 0; ok && i < c->n_databases; i++) {
        struct conf_database *d = &c->databases[i];
        size_t at = h[i].n == 0 ? NAMES_NONE : snapshot_find(c, CONF_CLUSTERS, slice_str(d->name));

        if (h[i].n == 0)
            continue;
        if (h[i].list != NULL && at == NAMES_NONE) {
            stay_list(d, &h[i]);
            continue;
        }
        ok =
            at < n_written && written[at]
                ? fault_set(why, "F0000",
                            "database \"%s\" has several hosts, and cluster \"%s\" has nodes in [nodes]; write "
                            "cluster=%s instead of host, or rename one",
                            d->name, d->name, d->name)
                : join_hosts(c, d, &h[i], why);
        if (!ok)
            fault_prefix(why, "%s:%d", d->file, d->line);
    }
    mem_free(written);
    return ok;
}
