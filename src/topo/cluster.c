/* SPDX-License-Identifier: ISC */
/* What the answers of a cluster's nodes mean together: the primary, lag, states; and the snapshot of it all. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "watch_private.h"

#define WANTED_US     CLOCK_S        /* after a sample was asked for, more will be */
#define LEADERLESS_US (60 * CLOCK_S) /* for so long we expect a primary back any moment */
#define QUIET_US      CLOCK_S        /* between snapshots in which nothing moved */

bool
cluster_hurries(const struct watch_cluster *c, int64_t now_us)
{
    if (c->switchover != NULL)
        return true;
    if (c->wanted_us != 0 && now_us - c->wanted_us < WANTED_US)
        return true;
    return c->elected.primary == -1 && now_us - c->reign_since_us < LEADERLESS_US;
}

void
watch_tell(struct watch_cluster *c, const char *node, bool good, const char *fmt, ...)
{
    enum log_level level = good ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING;
    const char *cluster = c->conf->name;
    struct watch_event *e = events_add(&c->watch->events, clock_wall_us(), cluster, node == NULL ? "" : node);
    char line[2 * NODE_REASON];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    snprintf(e->text, sizeof(e->text), "%.*s", NODE_REASON - 1, line);
    if (node == NULL)
        log_line(level, "cluster=%s %s", cluster, line);
    else
        log_line(level, "node=%s cluster=%s %s", node, cluster, line);
}

/* ---- publishing ---- */

static const char *
reason_of(const struct watch_cluster *c, unsigned i)
{
    const struct watch_node *n = c->nodes[i];

    switch (n->shown) {
    case NODE_DOWN:
        return n->health.reason;
    case NODE_FENCED:
        return c->ballot[i].reason;
    case NODE_BANNED:
        return n->health.banned ? "by order" : "went down too often";
    case NODE_DRAINING:
        return "by order";
    case NODE_LAGGING:
        return n->lag.reason;
    default:
        return "";
    }
}

static void
show_node(const struct watch_cluster *c, unsigned i, struct node *out)
{
    struct watch_node *n = c->nodes[i];
    bool is_replica = n->probe.role == NODE_REPLICA;

    if (is_replica && n->probe.lsn < n->shown_lsn)
        n->fell_us = clock_now_us();
    n->shown_lsn = n->probe.lsn;
    *out = (struct node){ .host = mem_strdup(n->conf->host),
                          .address = n->named ? mem_strdup(n->address) : NULL,
                          .port = (uint16_t)n->conf->port,
                          .weight = (unsigned)n->conf->weight,
                          .zone = mem_strdup(n->conf->zone),
                          .role = n->probe.role,
                          .state = n->shown,
                          .timeline = n->probe.timeline,
                          .system_id = n->probe.system_id,
                          .lsn = is_replica && n->lag.elsewhere ? 0 : n->probe.lsn,
                          .sampled_us = n->sampled_us,
                          .fell_us = n->fell_us,
                          .lag_bytes = is_replica ? n->lag.bytes : -1,
                          .lag_us = is_replica ? n->lag.us : -1,
                          .rtt_us = n->rtt_us,
                          .up_since_us = n->health.up_since_us,
                          .read_only = n->probe.read_only };
    snprintf(out->name, sizeof(out->name), "%s", n->conf->name);
    snprintf(out->reason, sizeof(out->reason), "%s", reason_of(c, i));
}

static int
index_of(const struct watch_cluster *c, const struct watch_node *n)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (c->nodes[i] == n)
            return (int)i;
    return -1;
}

static void
show_cluster(struct watch_cluster *c, struct cluster *out)
{
    const struct conf_cluster *conf = c->conf;

    *out = (struct cluster){ .nodes = mem_zalloc(c->n_nodes * sizeof(struct node)),
                             .n_nodes = c->n_nodes,
                             .primary = c->elected.primary,
                             .lost = index_of(c, c->lost),
                             .switching = switchover_holds(c),
                             .reign = c->reign,
                             .reign_since_us = c->reign_since_us,
                             .moved_us = c->moved_us,
                             .consistency = (enum cluster_consistency)conf->consistency,
                             .balance = (enum cluster_balance)conf->balance,
                             .max_lag_us = conf->max_lag,
                             .max_lag_bytes = conf->max_lag_size,
                             .replica_wait_us = conf->replica_wait,
                             .failover_wait_us = conf->failover_wait,
                             .slow_start_us = conf->slow_start,
                             .zone = mem_strdup(conf->zone) };
    snprintf(out->name, sizeof(out->name), "%s", conf->name);
    for (unsigned i = 0; i < c->n_nodes; i++)
        show_node(c, i, &out->nodes[i]);
}

void
cluster_publish(struct watch *w)
{
    struct topology *t = mem_new(struct topology);

    timer_stop(w->control, &w->publish_timer);
    w->published_us = clock_now_us();
    atomic_store_explicit(&t->holders, 1, memory_order_relaxed);
    t->version = ++w->version;
    t->n_clusters = w->n_clusters;
    t->clusters = mem_zalloc(w->n_clusters * sizeof(struct cluster));
    for (unsigned i = 0; i < w->n_clusters; i++)
        show_cluster(w->clusters[i], &t->clusters[i]);
    w->on_topology(w->owner, t);
}

void
cluster_publish_soon(struct watch *w)
{
    if (!timer_is_started(&w->publish_timer))
        timer_start(w->control, &w->publish_timer, 0);
}

/* ---- judging ---- */

/* A look at a replica's receiver from before the primary was lost tells nothing. */
static enum elect_stream
stream_of(const struct watch_cluster *c, const struct watch_node *n)
{
    return c->lost != NULL && n->full_us <= c->lost->health.down_since_us ? ELECT_UNTOLD : n->probe.stream;
}

static void
fill_ballot(struct watch_cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        const struct watch_node *n = c->nodes[i];

        c->ballot[i] = (struct elect_node){ .name = n->conf->name,
                                            .up = n->health.up,
                                            .tried = n->health.tried,
                                            .barred = n->health.banned || n->health.draining,
                                            .behind = n->lag.behind,
                                            .role = n->probe.role,
                                            .timeline = n->probe.timeline,
                                            .system_id = n->probe.system_id,
                                            .received = n->probe.received,
                                            .stream = stream_of(c, n) };
    }
}

static void
sample(struct watch_cluster *c, const struct watch_node *primary)
{
    struct history *h = &c->history;

    if (h->n == 0 || primary->probe.lsn != c->moved_to)
        c->moved_us = primary->sampled_us;
    c->moved_to = primary->probe.lsn;
    if (h->n > 0 && primary->probe.received < h->sample[h->n - 1].lsn)
        history_clear(h);
    history_add(h, primary->sampled_us, primary->probe.received);
}

/* While nobody is the primary nobody moves on: the lag that was stays. */
static bool
judge_lag(struct watch_cluster *c, struct watch_node *n)
{
    struct lag_question q = { .history = &c->history,
                              .primary_timeline = c->elected.timeline,
                              .timeline = n->probe.timeline,
                              .replayed = n->probe.lsn,
                              .at_us = n->sampled_us,
                              .max_us = c->conf->max_lag,
                              .max_bytes = c->conf->max_lag_size };
    struct lag before = n->lag;

    if (n->probe.role != NODE_REPLICA)
        lag_init(&n->lag);
    else if (c->elected.primary != -1)
        lag_judge(&n->lag, &q);
    return n->lag.bytes != before.bytes || n->lag.us != before.us || n->lag.elsewhere != before.elsewhere;
}

/* Replicas are asked at once: whoever was promoted shall not stay unseen. What was known of them is judged by
 * the new primary before anybody sees it: the position of one on another timeline says nothing. */
static void
on_new_reign(struct watch_cluster *c, int before, int64_t now_us)
{
    int primary = c->elected.primary;

    c->reign++;
    c->reign_since_us = now_us;
    if (primary == -1 && before != -1)
        c->lost = c->nodes[before];
    if (primary != -1) {
        c->lost = NULL;
        history_clear(&c->history);
        sample(c, c->nodes[primary]);
        watch_tell(c, c->nodes[primary]->conf->name, true,
                   "is the primary, timeline=%" PRIu32 " reign=%" PRIu64, c->elected.timeline, c->reign);
    } else {
        watch_tell(c, NULL, false, "%s",
                   c->elected.tied ? "several nodes claim to be the primary: nobody is"
                                   : "nobody is the primary");
    }
    for (unsigned i = 0; i < c->n_nodes; i++)
        if ((int)i != primary && c->nodes[i]->health.up) {
            judge_lag(c, c->nodes[i]);
            check_at_once(c->nodes[i]);
        }
}

/* True when anybody else's life changed by it. */
static bool
hold_election(struct watch_cluster *c, int64_t now_us)
{
    int before = c->elected.primary;

    fill_ballot(c);
    elect(&c->elected, c->ballot, c->n_nodes);
    if (c->elected.primary == before)
        return false;
    on_new_reign(c, before, now_us);
    return true;
}

/* One line for each change of state. A replica that is behind is told as such, not how far each time. */
static bool
show_state(struct watch_cluster *c, unsigned i, int64_t now_us)
{
    struct watch_node *n = c->nodes[i];
    enum node_state state = health_state(&n->health, now_us, c->ballot[i].fenced, n->lag.behind);

    if (state == n->shown)
        return false;
    n->shown = state;
    if (state == NODE_UP)
        watch_tell(c, n->conf->name, true, "state=up role=%s", node_role_name(n->probe.role));
    else
        watch_tell(c, n->conf->name, false, "state=%s reason=\"%s\"", node_state_name(state), reason_of(c, i));
    return true;
}

static bool
show_states(struct watch_cluster *c, int64_t now_us)
{
    bool changed = false;

    for (unsigned i = 0; i < c->n_nodes; i++)
        changed |= show_state(c, i, now_us);
    return changed;
}

void
cluster_judge_all(struct watch_cluster *c)
{
    int64_t now_us = clock_now_us();

    hold_election(c, now_us);
    show_states(c, now_us);
    switchover_see(c);
}

/* Whoever waits for a sample wants one of the primary, sent after they asked. */
static bool
satisfies(struct watch_cluster *c, const struct watch_node *n)
{
    if (!c->wanted || n->sampled_us < c->wanted_us)
        return false;
    c->wanted = false;
    return true;
}

void
cluster_judge(struct watch_cluster *c, struct watch_node *n, bool sampled)
{
    int64_t now_us = clock_now_us();
    bool matters = hold_election(c, now_us);

    if (sampled && c->elected.primary != -1 && c->nodes[c->elected.primary] == n) {
        sample(c, n);
        matters |= satisfies(c, n);
    }
    if (sampled)
        matters |= judge_lag(c, n) || n->probe.lsn != n->shown_lsn;
    matters |= show_states(c, now_us);
    switchover_see(c);
    failover_consider(c, now_us);
    if (matters || now_us - c->watch->published_us >= QUIET_US)
        cluster_publish_soon(c->watch);
}
