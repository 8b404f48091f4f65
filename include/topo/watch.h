/* SPDX-License-Identifier: ISC */
/* Watching the nodes: probes on libpq connections of their own, roles, lag, election and
 * fencing (DESIGN section 6). Runs on the control thread; publishes snapshots. */
#ifndef TOPO_WATCH_H
#define TOPO_WATCH_H

#include "base/text.h"
#include "conf/conf.h"
#include "net/resolve.h"
#include "topo/topology.h"

struct watch;
struct watch_switched;

/* A new snapshot, held for the callee; on the control thread. At most one for each turn of the loop. A node
 * that is NODE_FENCED in it lost its right to be written to: its links must be closed before anything is
 * routed. While nothing moves and nobody asks for a sample, snapshots come once a second. */
typedef void watch_on_topology(void *owner, struct topology *t);
/* The password of a role of auth_file in plain text (mem_free), for a cluster without monitor_password; or
 * NULL. */
typedef char *watch_find_password(void *owner, struct slice role);

/* CONTROL: the worker whose loop runs the probes. BY looks names up. */
struct watch *
watch_new(struct worker *control, const struct resolver *by, watch_on_topology *on_topology, void *owner);
/* Before watch_configure(). OWNER is that of watch_new(). */
void watch_set_find_password(struct watch *w, watch_find_password *find);
/* On the control thread, whose loop turns once more for what is in the mail, or after it ended and before
 * worker_done(). No other thread may call anything of W any more. NULL is fine. */
void watch_free(struct watch *w);
/* Clusters and nodes of CONF (held): new ones are probed at once, those that are gone are forgotten, what is
 * known of the others stays. A snapshot follows before this returns. On the control thread. */
void watch_configure(struct watch *w, struct conf *conf);

/* On the control thread: may it promote a replica (auto_failover)? True until it is said. Of two processes that
 * watch the same nodes only one may; it begins to count anew then, in case the other one was at it. */
void watch_set_elects(struct watch *w, bool elects);

/* Any thread: somebody waits for a fresh sample of CLUSTER; many askers cost one question. */
void watch_sample(struct watch *w, const char *cluster);
/* Any thread: a worker saw NODE's connections fail (or a server say 57P01 to 57P03): look at once. */
void watch_suspect(struct watch *w, const char *cluster, const char *node);

/* From the console, on the control thread. False with WHY: no such node or cluster, or it makes no sense now.
 */
enum watch_order { WATCH_BAN, WATCH_UNBAN, WATCH_DRAIN, WATCH_UNDRAIN };
bool watch_order(struct watch *w, struct slice node, enum watch_order order, struct fault *why);
/* No node is banned or drained any more: who would end that is heard elsewhere. */
void watch_forget_orders(struct watch *w);

/* Planned switchover (SWITCHOVER on the console), on the control thread. Clients see it as cluster.switching of
 * the snapshots, and then as a new primary. */
struct watch_switch {
    struct slice cluster, to; /* TO empty: the most advanced replica */
    /* See how many links to NODE are at work on any worker, or CLOSE all there are; then say so with
     * watch_switch_seen(). Asked once at a time. */
    void (*look)(void *owner, const char *cluster, const char *node, bool close);
    bool (*is_cancelled)(void *owner);
    /* Called once: it is over, and neither function above is called any more. WHY is NULL when it went well:
     * TO is the primary, and for HELD_US nobody was. A snapshot follows. */
    void (*done)(void *owner, const struct watch_switched *how, const struct fault *why);
    void *owner;
};
struct watch_switched {
    const char *from, *to;
    int64_t held_us;
};
/* Copied. False with WHY, and none of its functions is called: it cannot begin. */
bool watch_switch(struct watch *w, const struct watch_switch *order, struct fault *why);
bool watch_is_switching(const struct watch *w); /* any cluster */
void watch_switch_seen(struct watch *w, const char *cluster, unsigned n_busy);

/* The events kept, oldest first: bounded. */
struct watch_event {
    int64_t wall_us; /* of the wall clock */
    char cluster[NODE_NAME], node[NODE_NAME];
    char text[NODE_REASON];
};
unsigned watch_n_events(const struct watch *w);
const struct watch_event *watch_event_at(const struct watch *w, unsigned i);

#endif
