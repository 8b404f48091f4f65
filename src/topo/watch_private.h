/* SPDX-License-Identifier: ISC */
/* What the watch keeps of each cluster and node, and its parts: check.c asks the nodes, cluster.c judges what
 * they said and publishes, failover.c promotes, switchover.c does so by order. All on the control thread. */
#ifndef TOPO_WATCH_PRIVATE_H
#define TOPO_WATCH_PRIVATE_H

#include <stdatomic.h>

#include "ask/ask.h"
#include "elect_private.h"
#include "events_private.h"
#include "health_private.h"
#include "history_private.h"
#include "lag_private.h"
#include "look_up_private.h"
#include "probe_private.h"
#include "topo/watch.h"

struct watch_node {
    struct watch_cluster *cluster;
    const struct conf_node *conf;
    struct health health;
    struct probe probe; /* what its last answers said */
    struct lag lag;
    enum node_state shown;       /* told last */
    uint64_t shown_lsn;          /* published last */
    int64_t fell_us;             /* when a replica was first seen behind that; 0: never */
    int64_t sent_us;             /* the last question */
    int64_t sampled_us, full_us; /* the last that brought a position, and everything */
    int64_t rtt_us;
    int64_t suspect_us; /* when somebody suspected it last; 0: never */
    /* asking */
    struct ask *ask;    /* NULL: to be made */
    struct timer timer; /* until the next question */
    bool asks_all;      /* the question under way is probe_sql */
    bool linked;        /* the connection has answered */
    bool anew;          /* what it said does not fit what is known: everything is to be asked */
    bool again;         /* somebody wants an answer to a question sent later than the one under way */
    bool closing;
    bool named;                   /* its host is a name, to be looked up */
    char *address;                /* NULL: not known yet */
    struct node_look_up *look_up; /* under way, or NULL */
    int64_t looked_up_us;         /* when that was started last */
};

struct watch_cluster {
    struct watch *watch;
    const struct conf_cluster *conf;
    struct watch_node **nodes; /* in the order of the configuration */
    struct elect_node *ballot; /* the same */
    unsigned n_nodes;
    struct elected elected;
    struct history history; /* of the elected primary */
    uint64_t reign;
    int64_t reign_since_us;
    int64_t moved_us;        /* the last sample that said something new, */
    uint64_t moved_to;       /* and what */
    int64_t wanted_us;       /* when a sample was asked for last; 0: never */
    bool wanted;             /* and none of the primary was sent since */
    struct watch_node *lost; /* who was the primary before nobody was, or NULL */
    uint64_t promoted_reign; /* the reign that failover.c has tried to end */
    struct ask *promoter;
    char heir[NODE_NAME];
    struct switchover *switchover; /* under way, or NULL */
};

struct watch {
    struct worker *control;
    const struct resolver *resolver;
    watch_on_topology *on_topology;
    watch_find_password *find_password;
    void *owner;
    struct conf *conf;
    struct watch_cluster **clusters; /* in the order of the configuration */
    unsigned n_clusters;
    struct events events;
    bool stands_back;        /* another process promotes, if anybody does */
    int64_t elects_since_us; /* 0: from the start */
    struct timer publish_timer;
    int64_t published_us;
    uint64_t version;
    struct {
        _Atomic(struct bell *) bells; /* never removed before watch_free() */
    } shared;
};

/* ---- check.c ---- */

struct watch_node *check_new(struct watch_cluster *c, const struct conf_node *conf);
void check_free(struct watch_node *n);
/* The configuration changed: new connections from now on. */
void check_relink(struct watch_node *n);
/* Ask it now, or right after the question under way. */
void check_at_once(struct watch_node *n);
/* Where and as whom to log in to N, whose address is known; *PASSWORD is wiped and freed by the caller. */
void check_target(const struct watch_node *n, struct ask_target *target, char **password);
void check_rules(const struct watch_cluster *c, struct health_rules *rules);
int64_t check_timeout_us(const struct watch_cluster *c);

/* ---- cluster.c ---- */

/* Keep the event and log it. NODE may be NULL. */
void watch_tell(struct watch_cluster *c, const char *node, bool good, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* N has answered, or failed to: elect, tell what changed, have it published. SAMPLED: it said where it is. */
void cluster_judge(struct watch_cluster *c, struct watch_node *n, bool sampled);
/* Everything of C, without an answer. */
void cluster_judge_all(struct watch_cluster *c);
/* Its nodes are to be asked more often than usual. */
bool cluster_hurries(const struct watch_cluster *c, int64_t now_us);
void cluster_publish(struct watch *w);

/* At the next turn of the loop, together with what else this turn brings. */
void cluster_publish_soon(struct watch *w);

/* ---- switchover.c ---- */

/* C was judged anew. */
void switchover_see(struct watch_cluster *c);
/* N (NULL: all of C) is not watched any more, or not as before. */
void switchover_forget(struct watch_cluster *c, const struct watch_node *n);
/* The primary is to get nothing new. */
bool switchover_holds(const struct watch_cluster *c);

/* ---- failover.c ---- */

void failover_consider(struct watch_cluster *c, int64_t now_us);

#endif
