/* SPDX-License-Identifier: ISC */
/* Election and fencing. */
#include "elect_private.h"

#include <inttypes.h>
#include <stdio.h>

static unsigned
count_of(const struct elect_node *nodes, unsigned n, uint64_t system_id)
{
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++)
        count += nodes[i].system_id == system_id;
    return count;
}

/* The identifier that most nodes have; of two as frequent, the one of a node that claims to be the primary. */
static uint64_t
majority(const struct elect_node *nodes, unsigned n)
{
    uint64_t best = 0;
    unsigned best_count = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned count = nodes[i].system_id == 0 ? 0 : 2 * count_of(nodes, n, nodes[i].system_id);

        count += count > 0 && nodes[i].up && nodes[i].role == NODE_PRIMARY;
        if (count > best_count) {
            best = nodes[i].system_id;
            best_count = count;
        }
    }
    return best;
}

static void
judge_identity(struct elected *e, const struct elect_node *nodes, unsigned n)
{
    uint64_t id;

    if (e->settled && count_of(nodes, n, e->system_id) > 0)
        return;
    id = majority(nodes, n);
    if (id == 0 || id == e->system_id)
        return;
    *e = (struct elected){ .system_id = id, .primary = -1 };
}

static bool
claims(const struct elected *e, const struct elect_node *node)
{
    return node->up && node->role == NODE_PRIMARY && node->system_id == e->system_id;
}

static bool
all_tried(const struct elect_node *nodes, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!nodes[i].tried)
            return false;
    return true;
}

/* The only claim to the highest timeline, else -1; FIRST is the first of them. */
static int
winner(struct elected *e, const struct elect_node *nodes, unsigned n, int *first)
{
    unsigned n_first = 0;

    *first = -1;
    for (unsigned i = 0; i < n; i++) {
        if (!claims(e, &nodes[i]) || nodes[i].timeline < e->timeline)
            continue;
        if (*first == -1 || nodes[i].timeline > nodes[*first].timeline) {
            *first = (int)i;
            n_first = 0;
        }
        n_first += nodes[i].timeline == nodes[*first].timeline;
    }
    e->tied = n_first > 1;
    return n_first == 1 ? *first : -1;
}

static void
fence(struct elected *e, struct elect_node *nodes, unsigned at, int first)
{
    struct elect_node *node = &nodes[at];
    size_t size = sizeof(node->reason);

    node->reason[0] = '\0';
    node->fenced = false;
    if (!node->up || (int)at == e->primary)
        return;
    if (e->system_id != 0 && node->system_id != e->system_id) {
        node->fenced = true;
        snprintf(node->reason, size, "its system identifier is %" PRIu64 ", that of the cluster %" PRIu64,
                 node->system_id, e->system_id);
        return;
    }
    if (node->role != NODE_PRIMARY)
        return;
    node->fenced = true;
    if (e->tied && node->timeline == nodes[first].timeline)
        snprintf(node->reason, size, "not the only one that claims to be the primary on timeline %" PRIu32,
                 node->timeline);
    else if (first == -1)
        snprintf(node->reason, size,
                 "claims to be the primary on timeline %" PRIu32 ", but there was one on timeline %" PRIu32,
                 node->timeline, e->timeline);
    else
        snprintf(node->reason, size,
                 "claims to be the primary on timeline %" PRIu32 ", but %.40s is on timeline %" PRIu32,
                 node->timeline, nodes[first].name, nodes[first].timeline);
}

void
elect(struct elected *e, struct elect_node *nodes, unsigned n)
{
    int first;

    if (e->primary == -1 && !e->settled && !all_tried(nodes, n))
        return;
    judge_identity(e, nodes, n);
    e->primary = winner(e, nodes, n, &first);
    if (e->primary != -1) {
        e->timeline = nodes[e->primary].timeline;
        e->settled = true;
    }
    for (unsigned i = 0; i < n; i++)
        fence(e, nodes, i, first);
}

/* ---- who could take its place ---- */

static bool
is_better(const struct elect_node *a, const struct elect_node *b)
{
    return a->timeline != b->timeline ? a->timeline > b->timeline : a->received > b->received;
}

int
elect_heir(const struct elected *e, const struct elect_node *nodes, unsigned n, int primary)
{
    unsigned n_replicas = 0, n_cut_off = 0;
    int best = -1;

    for (unsigned i = 0; i < n; i++) {
        const struct elect_node *node = &nodes[i];

        if ((int)i == primary)
            continue;
        n_replicas++;
        if (!node->up)
            continue;
        if (node->role == NODE_PRIMARY)
            return -1;
        if (node->fenced || node->system_id != e->system_id || node->stream != ELECT_CUT_OFF)
            continue;
        n_cut_off++;
        if (!node->barred && (best == -1 || is_better(node, &nodes[best])))
            best = (int)i;
    }
    return 2 * n_cut_off > n_replicas ? best : -1;
}

/* ---- who takes its place by order ---- */

/* Why the node at I cannot; NULL: it can. */
static const char *
bar_of(const struct ballot *b, unsigned i)
{
    const struct elect_node *node = &b->nodes[i];

    if ((int)i == b->elected->primary)
        return "is the primary already";
    if (!node->up)
        return "is down";
    if (node->fenced || node->role != NODE_REPLICA)
        return "is not a replica";
    if (node->system_id != b->elected->system_id || node->timeline != b->elected->timeline)
        return "does not follow the primary: it is on another timeline";
    if (node->barred)
        return "is banned or drained";
    if (node->behind)
        return "lags too much";
    if (node->stream == ELECT_CUT_OFF)
        return "receives no WAL from the primary";
    return NULL;
}

static int
named(const struct ballot *b, struct slice name, struct fault *why)
{
    const char *bar;

    for (unsigned i = 0; i < b->n; i++) {
        if (!slice_is(name, b->nodes[i].name))
            continue;
        bar = bar_of(b, i);
        if (bar == NULL)
            return (int)i;
        fault_set(why, "55000", "node \"%.63s\" cannot become the primary", b->nodes[i].name);
        fault_detail(why, "It %s.", bar);
        return -1;
    }
    fault_set(why, "42704", "there is no node \"%.*s\" in this cluster", (int)slice_head(name, NODE_NAME).len,
              (const char *)name.data);
    return -1;
}

/* The detail names each replica and what is wrong with it. */
static void
nobody(const struct ballot *b, struct fault *why)
{
    char all[sizeof(why->detail)] = "";
    size_t len = 0;

    for (unsigned i = 0; i < b->n && len < sizeof(all); i++)
        if ((int)i != b->elected->primary)
            len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%.63s %s", len > 0 ? "; " : "",
                                    b->nodes[i].name, bar_of(b, i));
    fault_set(why, "55000", "no replica can become the primary");
    fault_detail(why, "%s.", all[0] == '\0' ? "There is none" : all);
}

int
elect_successor(const struct ballot *b, struct slice name, struct fault *why)
{
    int best = -1;

    if (b->elected->primary == -1) {
        fault_set(why, "55000", "nobody is the primary now");
        return -1;
    }
    if (name.len > 0)
        return named(b, name, why);
    for (unsigned i = 0; i < b->n; i++)
        if (bar_of(b, i) == NULL && (best == -1 || is_better(&b->nodes[i], &b->nodes[best])))
            best = (int)i;
    if (best == -1)
        nobody(b, why);
    return best;
}
