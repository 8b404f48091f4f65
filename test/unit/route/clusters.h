/* SPDX-License-Identifier: ISC */
/* Clusters and questions for the tests of room route: one that is well, and ones by chance. */
#ifndef TEST_UNIT_ROUTE_CLUSTERS_H
#define TEST_UNIT_ROUTE_CLUSTERS_H

#include <stdio.h>

#include "base/unit.h"
#include "route/route.h"

#define MOST  6
#define NOW   INT64_C(1000000000)
#define MS    INT64_C(1000)
#define WROTE (NOW - 20 * MS)

struct scene {
    struct cluster cluster;
    struct node nodes[MOST];
    struct route_question question;
    unsigned busy[MOST], turn;
    struct route_answer answer;
};

/* The primary at LSN 1000, N - 1 replicas at 900, 10 ms behind; a read that nothing holds back. */
static inline void
scene_init(struct scene *s, unsigned n)
{
    static char none[] = "";

    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < n; i++) {
        s->nodes[i] = (struct node){ .weight = 1,
                                     .zone = none,
                                     .role = i == 0 ? NODE_PRIMARY : NODE_REPLICA,
                                     .state = NODE_UP,
                                     .timeline = 3,
                                     .lsn = i == 0 ? 1000 : 900,
                                     .sampled_us = NOW - 10 * MS,
                                     .lag_bytes = i == 0 ? -1 : 100,
                                     .lag_us = i == 0 ? -1 : 10 * MS,
                                     .rtt_us = 100,
                                     .up_since_us = 1 };
        snprintf(s->nodes[i].name, NODE_NAME, "pg%u", i);
    }
    s->cluster = (struct cluster){ .nodes = s->nodes,
                                   .n_nodes = n,
                                   .lost = -1,
                                   .consistency = CLUSTER_SESSION,
                                   .max_lag_us = 1000 * MS,
                                   .zone = none };
    s->question = (struct route_question){ .is_read = true,
                                           .consistency = -1,
                                           .max_lag_us = -1,
                                           .random = 12345,
                                           .busy = s->busy,
                                           .turn = &s->turn,
                                           .now_us = NOW };
}

static inline int
ask(struct scene *s)
{
    memset(&s->answer, 0xFF, sizeof(s->answer));
    route_decide(&s->cluster, &s->question, &s->answer);
    return s->answer.node;
}

/* True once in N. */
static inline bool
once_in(uint64_t *seed, unsigned n)
{
    return draw(seed) % n == 0;
}

static inline void
random_node(struct node *n, uint64_t *seed)
{
    n->role = once_in(seed, 4) ? (enum node_role)(draw(seed) % 3) : NODE_REPLICA;
    n->state = once_in(seed, 3) ? (enum node_state)(draw(seed) % NODE_NSTATES) : NODE_UP;
    n->weight = once_in(seed, 4) ? 0 : (unsigned)(draw(seed) % 4);
    n->timeline = once_in(seed, 8) ? (uint32_t)(draw(seed) % 4) : 3;
    n->lsn = draw(seed) % 20;
    n->sampled_us = WROTE - 5 + (int64_t)(draw(seed) % 10);
    n->lag_us = (int64_t)(draw(seed) % 12) - 1;
    n->lag_bytes = (int64_t)(draw(seed) % 12) - 1;
    n->rtt_us = (int64_t)(draw(seed) % 1000);
    n->up_since_us = once_in(seed, 4) ? NOW - (int64_t)(draw(seed) % 1000) : 1;
}

static inline void
random_question(struct route_question *q, uint64_t *seed)
{
    static const char *const names[] = { "pg0", "pg1", "pg2", "pg5", "pg77" };

    q->is_read = !once_in(seed, 3);
    q->is_doubt = !q->is_read && once_in(seed, 2);
    q->in_transaction = once_in(seed, 4);
    q->read_only = once_in(seed, 2);
    q->wish = once_in(seed, 2) ? ROUTE_AUTO : (enum route_wish)(draw(seed) % 5);
    q->node = names[draw(seed) % COUNT(names)];
    q->consistency = (int)(draw(seed) % 4) - 1;
    q->max_lag_us = once_in(seed, 2) ? -1 : (int64_t)(draw(seed) % 10);
    q->min_lsn = once_in(seed, 4) ? draw(seed) % 20 : 0;
    q->token.lsn = once_in(seed, 2) ? draw(seed) % 20 : 0;
    q->token.unresolved_us = once_in(seed, 4) ? WROTE : 0;
    q->global_lsn = draw(seed) % 20;
    q->global_unresolved_us = once_in(seed, 3) ? WROTE : 0;
    q->client_hash = (uint32_t)draw(seed);
    q->random = (uint32_t)draw(seed);
}

static inline void
random_scene(struct scene *s, uint64_t *seed)
{
    static char a[] = "a", b[] = "b", none[] = "";
    char *const zones[] = { none, a, b };

    scene_init(s, 1 + (unsigned)(draw(seed) % MOST));
    for (unsigned i = 0; i < s->cluster.n_nodes; i++) {
        random_node(&s->nodes[i], seed);
        s->nodes[i].zone = zones[draw(seed) % 3];
        s->busy[i] = (unsigned)(draw(seed) % 5);
    }
    s->cluster.primary = once_in(seed, 4) ? -1 : (int)(draw(seed) % s->cluster.n_nodes);
    if (s->cluster.primary >= 0)
        s->nodes[s->cluster.primary].role = NODE_PRIMARY;
    s->cluster.switching = s->cluster.primary >= 0 && once_in(seed, 8);
    s->cluster.consistency = (enum cluster_consistency)(draw(seed) % 3);
    s->cluster.balance = (enum cluster_balance)(draw(seed) % 4);
    s->cluster.max_lag_us = (int64_t)(draw(seed) % 10);
    s->cluster.max_lag_bytes = once_in(seed, 2) ? (int64_t)(draw(seed) % 10) : 0;
    s->cluster.replica_wait_us = once_in(seed, 2) ? 50 * MS : 0;
    s->cluster.slow_start_us = once_in(seed, 2) ? 500 : 0;
    s->cluster.zone = zones[draw(seed) % 3];
    s->turn = (unsigned)draw(seed);
    random_question(&s->question, seed);
}

#endif
