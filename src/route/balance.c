/* SPDX-License-Identifier: ISC */
/* Who of the legal replicas gets a read. Pure: what is random, and the counter of turns, come with the
 * question. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "route_private.h"

#define FULL   UINT64_C(1024)       /* the share of weight 1 */
#define GOLDEN UINT32_C(0x9E3779B1) /* 2^32 divided by the golden ratio: multiples of it spread evenly */

struct candidate {
    unsigned index; /* in the cluster */
    uint64_t share; /* weight in 1/1024, less while it starts slowly; > 0 */
};

/* What N may take of the reads now; a weight of 0 counts as 1: it is asked for all the same. */
static uint64_t
share_of(const struct cluster *c, const struct node *n, int64_t now_us)
{
    uint64_t full = FULL * (n->weight == 0 ? 1 : n->weight);
    int64_t age_us;

    if (c->slow_start_us <= 0)
        return full;
    age_us = now_us - n->up_since_us;
    if (age_us >= c->slow_start_us)
        return full;
    return age_us <= 0 ? 1 : 1 + (full - 1) * (uint64_t)age_us / (uint64_t)c->slow_start_us;
}

/* By share: POINT of 2^32 on a line where the candidates lie one after the other. */
static int
at_point(const struct candidate *candidates, unsigned n, uint32_t point)
{
    uint64_t sum = 0, at;

    if (n == 1)
        return (int)candidates->index;
    for (unsigned i = 0; i < n; i++)
        sum += candidates[i].share;
    at = point * sum >> 32;
    while (at >= candidates->share) {
        at -= candidates->share;
        candidates++;
    }
    return (int)candidates->index;
}

/* Those with the fewest busy servers for their share, of which chance takes one, by share again: while little
 * is going on all are equal in that. */
static int
least_conn(const struct route_question *q, struct candidate *candidates, unsigned n)
{
    unsigned n_best = 1;

    for (unsigned i = 1; i < n; i++) {
        uint64_t mine = q->busy[candidates[i].index] * candidates->share;
        uint64_t best = q->busy[candidates->index] * candidates[i].share;

        if (mine > best)
            continue;
        n_best = mine < best ? 0 : n_best;
        candidates[n_best++] = candidates[i];
    }
    return at_point(candidates, n_best, q->random);
}

/* Strictly in turn when all shares are equal. Otherwise turns are spread evenly over the line of shares, so
 * that a heavy replica does not get its part in one go. */
static int
round_robin(const struct route_question *q, const struct candidate *candidates, unsigned n)
{
    unsigned turn = (*q->turn)++;

    for (unsigned i = 1; i < n; i++)
        if (candidates[i].share != candidates->share)
            return at_point(candidates, n, turn * GOLDEN);
    return (int)candidates[turn % n].index;
}

/* Round trips that differ by less are the same: on one network the difference is chance. */
#define SAME_RTT_US 500

static double
cost(const struct cluster *c, const struct route_question *q, const struct candidate *a)
{
    int64_t rtt_us = c->nodes[a->index].rtt_us;

    return (double)(rtt_us / SAME_RTT_US + 1) * (q->busy[a->index] + 1.0) / (double)a->share;
}

/* The better one of two drawn by chance: nobody is overrun for having been the fastest at the last probe. */
static int
latency(const struct cluster *c, const struct route_question *q, const struct candidate *candidates, unsigned n)
{
    unsigned first = (unsigned)((uint64_t)q->random * n >> 32);
    unsigned step = (unsigned)((uint64_t)(uint32_t)(q->random * GOLDEN) * (n - 1) >> 32);
    const struct candidate *a = &candidates[first];
    const struct candidate *b = &candidates[(first + 1 + step) % n];

    return (int)(cost(c, q, b) < cost(c, q, a) ? b : a)->index;
}

/* A number for this client and node that no other node has a part in (FNV-1a, splitmix64). */
static uint64_t
mixed(const char *name, uint32_t client_hash)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);

    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001B3);
    h += client_hash * UINT64_C(0x9E3779B97F4A7C15);
    h = (h ^ h >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ h >> 27) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 31;
}

/* Rendezvous hashing: each node draws a time to wait, shorter for a larger share, and the first one wins. Who
 * leaves takes only its own clients along. */
static int
client_hash(const struct cluster *c, const struct route_question *q, const struct candidate *candidates,
            unsigned n)
{
    double best = INFINITY;
    int winner = (int)candidates->index;

    for (unsigned i = 0; i < n; i++) {
        uint64_t drawn = mixed(c->nodes[candidates[i].index].name, q->client_hash);
        double wait = -log(((double)(drawn >> 11) + 0.5) * 0x1p-53) / (double)candidates[i].share;

        if (wait < best) {
            best = wait;
            winner = (int)candidates[i].index;
        }
    }
    return winner;
}

/* Those in the cluster's zone, when there are any: how many are left. */
static unsigned
in_zone(const struct cluster *c, struct candidate *candidates, unsigned n)
{
    unsigned n_near = 0;

    for (unsigned i = 0; i < n; i++) {
        const char *zone = c->nodes[candidates[i].index].zone;

        if (zone != NULL && strcmp(zone, c->zone) == 0) {
            struct candidate near = candidates[i];

            candidates[i] = candidates[n_near];
            candidates[n_near++] = near;
        }
    }
    return n_near == 0 ? n : n_near;
}

/* The order is that of the cluster. */
static unsigned
gather(const struct cluster *c, int64_t now_us, uint64_t legal, struct candidate *candidates)
{
    unsigned n = 0;

    for (; legal != 0; legal &= legal - 1) {
        unsigned index = (unsigned)__builtin_ctzll(legal);

        candidates[n++] = (struct candidate){ index, share_of(c, &c->nodes[index], now_us) };
    }
    return n;
}

bool
route_is_crowded(const struct cluster *c, const struct route_question *q, uint64_t legal, unsigned on)
{
    struct candidate candidates[ROUTE_MAX_NODES], at = { on, share_of(c, &c->nodes[on], q->now_us) };
    bool is_near = false;
    unsigned n;

    if ((legal & (legal - 1)) == 0 || c->balance == CLUSTER_HASH)
        return false;
    n = gather(c, q->now_us, legal, candidates);
    if (c->zone != NULL && c->zone[0] != '\0')
        n = in_zone(c, candidates, n);
    for (unsigned i = 0; i < n; i++) {
        if ((q->busy[candidates[i].index] + 1) * at.share * 4 < q->busy[on] * candidates[i].share * 3)
            return true;
        is_near = is_near || candidates[i].index == on;
    }
    return !is_near;
}

int
route_pick(const struct cluster *c, const struct route_question *q, uint64_t legal)
{
    struct candidate candidates[ROUTE_MAX_NODES];
    unsigned n;

    assert(legal != 0);
    if ((legal & (legal - 1)) == 0)
        return __builtin_ctzll(legal);
    n = gather(c, q->now_us, legal, candidates);
    if (c->zone != NULL && c->zone[0] != '\0')
        n = in_zone(c, candidates, n);
    if (n == 1)
        return (int)candidates->index;
    switch (c->balance) {
    case CLUSTER_ROUND_ROBIN:
        return round_robin(q, candidates, n);
    case CLUSTER_LATENCY:
        return latency(c, q, candidates, n);
    case CLUSTER_HASH:
        return client_hash(c, q, candidates, n);
    case CLUSTER_LEAST_CONN:
        break;
    }
    return least_conn(q, candidates, n);
}
