/* SPDX-License-Identifier: ISC */
/* Nodes and clusters that make no sense, alone or together. The first fault is the answer. */
#include <stdlib.h>

#include "base/mem.h"
#include "check_private.h"
#include "hosts_private.h"

#define MAX_NAME     63
#define MIN_INTERVAL 1000 /* microseconds */

static bool
is_set(const char *text)
{
    return text[0] != '\0';
}

static bool
node_is_fine(const struct conf_node *n, struct fault *why)
{
    if (strlen(n->name) > MAX_NAME)
        return fault_set(why, "F0000", "node name \"%s\" is too long: it has at most %d bytes", n->name,
                         MAX_NAME);
    if (!is_set(n->cluster))
        return fault_set(why, "F0000", "node \"%s\" has no cluster; add cluster=NAME", n->name);
    if (!is_set(n->host))
        return fault_set(why, "F0000",
                         "node \"%s\" has no host; add host=ADDRESS, or the folder of a Unix socket", n->name);
    if (strchr(n->host, ',') != NULL)
        return fault_set(why, "F0000", "node \"%s\" has several hosts; write a line for each", n->name);
    if (strchr(n->host, '=') != NULL)
        return fault_set(why, "F0000", "host \"%s\" looks like an option; host= needs an address", n->host);
    return true;
}

/* By cluster, host, port, and then as they stand in the array of all nodes. */
static int
compare_nodes(const void *a, const void *b)
{
    const struct conf_node *x = *(const struct conf_node *const *)a, *y = *(const struct conf_node *const *)b;
    int order = strcmp(x->cluster, y->cluster);

    if (order == 0)
        order = strcmp(x->host, y->host);
    if (order == 0)
        order = (x->port > y->port) - (x->port < y->port);
    return order != 0 ? order : (x > y) - (x < y);
}

static bool
is_same_server(const struct conf_node *x, const struct conf_node *y)
{
    return strcmp(x->cluster, y->cluster) == 0 && strcmp(x->host, y->host) == 0 && x->port == y->port;
}

static bool
servers_differ(const struct conf *c, struct fault *why)
{
    const struct conf_node **sorted = mem_alloc(c->n_nodes * sizeof(*sorted));
    bool ok = true;

    for (size_t i = 0; i < c->n_nodes; i++)
        sorted[i] = &c->nodes[i];
    qsort(sorted, c->n_nodes, sizeof(*sorted), compare_nodes);
    for (size_t i = 1; ok && i < c->n_nodes; i++) {
        if (!is_same_server(sorted[i - 1], sorted[i]))
            continue;
        fault_set(why, "F0000",
                  "nodes \"%s\" and \"%s\" of cluster \"%s\" are the same host and port; take one out",
                  sorted[i - 1]->name, sorted[i]->name, sorted[i]->cluster);
        ok = fault_prefix(why, "%s:%d", sorted[i]->file, sorted[i]->line);
    }
    mem_free(sorted);
    return ok;
}

bool
conf_check_nodes(const struct conf *c, struct fault *why)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (!node_is_fine(&c->nodes[i], why))
            return fault_prefix(why, "%s:%d", c->nodes[i].file, c->nodes[i].line);
    return servers_differ(c, why);
}

static bool
is_interval(int64_t us, const char *option, struct fault *why)
{
    return us >= MIN_INTERVAL || fault_set(why, "F0000", "%s must be at least 1ms", option);
}

static bool
cluster_is_fine(const struct conf_cluster *k, bool has_nodes, struct fault *why)
{
    if (strlen(k->name) > MAX_NAME)
        return fault_set(why, "F0000", "cluster name \"%s\" is too long: it has at most %d bytes", k->name,
                         MAX_NAME);
    if (!has_nodes)
        return fault_set(why, "F0000",
                         "cluster \"%s\" has no nodes; add them to [nodes] with cluster=%s, or take it out",
                         k->name, k->name);
    return is_interval(k->check_interval, "check_interval", why) &&
           is_interval(k->check_interval_fast, "check_interval_fast", why) &&
           is_interval(k->check_timeout, "check_timeout", why);
}

bool
conf_check_clusters(const struct conf *c, struct fault *why)
{
    bool *has_nodes = hosts_clusters(c), ok = true;

    for (size_t i = 0; ok && i < c->n_clusters; i++) {
        ok = cluster_is_fine(&c->clusters[i], has_nodes[i], why);
        if (!ok)
            fault_prefix(why, "%s:%d", c->clusters[i].file, c->clusters[i].line);
    }
    mem_free(has_nodes);
    return ok;
}

/* OPTION of D means something only where there are several nodes. */
static bool
needs_cluster(const char *option, struct fault *why)
{
    return fault_set(why, "F0000", "%s needs a cluster; add cluster=NAME or a second host, or take %s out",
                     option, option);
}

bool
conf_check_cluster_of(const struct conf *c, const struct conf_database *d, struct fault *why)
{
    if (is_set(d->cluster))
        return conf_cluster_of(c, d) != NULL ||
               fault_set(why, "F0000",
                         "cluster \"%s\" of database \"%s\" has no nodes; add them to [nodes] with cluster=%s",
                         d->cluster, d->name, d->cluster);
    if (d->route >= 0)
        return needs_cluster("route", why);
    if (d->consistency >= 0)
        return needs_cluster("consistency", why);
    return d->max_lag < 0 || needs_cluster("max_lag", why);
}
