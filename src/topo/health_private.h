/* SPDX-License-Identifier: ISC */
/* Whether one node may be used, from what its checks brought and what the console ordered. Pure: time and
 * chance are arguments. */
#ifndef TOPO_HEALTH_PRIVATE_H
#define TOPO_HEALTH_PRIVATE_H

#include "topo/topology.h"

struct health_rules {
    int64_t interval_us, fast_us;
    unsigned unhealthy, healthy; /* checks in a row that change it */
};

enum health_trouble {
    HEALTH_SLOW,  /* no answer by the deadline: one failed check */
    HEALTH_GONE,  /* refused, shutting down, starting, or nonsense: as good as all of them */
    HEALTH_ENDED, /* a connection that had answered ended. Its server may have, or just that connection: one
                   * more look, at once, and whatever fails then takes the node down */
    HEALTH_FULL,  /* "too many clients" is a sign of life, but no answer: changes nothing */
};

struct health {
    bool up, tried;                     /* TRIED: a check ended, well or not */
    bool banned, draining;              /* by order */
    bool doubted;                       /* ENDED was the last that came */
    unsigned n_bad, n_good;             /* checks in a row */
    unsigned n_down;                    /* failed checks since it is down, with the one that took it down */
    int64_t up_since_us, down_since_us; /* 0: never */
    int64_t falls_since_us, open_until_us;
    unsigned n_falls, n_pauses; /* of the circuit breaker */
    char reason[NODE_REASON];   /* while not up */
};

void health_init(struct health *h);

struct health_moment {
    int64_t now_us;
    uint64_t random;
};

/* A check was answered. BREAKS: one that falls too often is kept out for a while when it comes back; not for a
 * primary, which nobody can stand in for. */
void health_good(struct health *h, const struct health_rules *r, struct health_moment at, bool breaks);
/* A check failed; WHY in one line. */
void health_bad(struct health *h, const struct health_rules *r, struct health_moment at,
                enum health_trouble what, const char *why);

/* Until the next check. A node that is down is asked with pauses that double up to a second (with HURRY to a
 * fifth of one), and some jitter. HURRY: somebody waits for the answer. */
int64_t health_delay_us(const struct health *h, const struct health_rules *r, bool hurry, uint64_t random);

/* FENCED and LAGGING are the cluster's judgement. */
enum node_state health_state(const struct health *h, int64_t now_us, bool fenced, bool lagging);

#endif
