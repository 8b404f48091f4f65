/* SPDX-License-Identifier: ISC */
/* Requests that no node can serve now: held, and looked at again with every change of
 * the topology; and what such a change ends. */
#include "base/clock.h"
#include "choose_private.h"
#include "session/listeners.h"
#include "topo/watch.h"

#define LOOK_AGAIN_US (CLOCK_S / 20)

static void
on_held_timer(struct timer *t)
{
    struct hall *h = container_of(t, struct hall, held_timer);

    choose_again(h);
}

/* A server of a node died, or could not be reached. */
static void
on_suspect(struct pool *p)
{
    struct hall *h = hall_of(p->pools->turn->worker);
    const struct conf_node *n = conf_find_node(h->setup.conf, slice_str(p->node));

    if (h->watch != NULL && n != NULL)
        watch_suspect(h->watch, n->cluster, n->name);
}

void
choose_open(struct hall *h, struct watch *w)
{
    h->pools.on_suspect = on_suspect;
    h->pools.checker = &identity_checker;
    ring_init(&h->held);
    timer_init(&h->held_timer, on_held_timer);
    h->watch = w;
}

bool
choose_is_paused(const struct session *s)
{
    return (registry_flags(s->hall->registry, slice_str(s->database)) & DATABASE_PAUSED) != 0;
}

/* Since when it is held: what was PAUSE does not count. It is asked again and again. */
static void
note_held(struct session *s)
{
    struct routing *r = s->routing;

    if (r->held_us == 0)
        r->held_us = r->failed_us > 0 ? r->failed_us : session_now(s);
    else if (choose_is_paused(s))
        r->held_us += session_now(s) - r->looked_us;
    r->looked_us = session_now(s);
}

/* How soon R, which is held, is to be looked at if nothing happens. */
static int64_t
look_in_us(const struct routing *r)
{
    return r->wait_us > 0 && r->wait_us < LOOK_AGAIN_US ? r->wait_us : LOOK_AGAIN_US;
}

static void
look_in(struct hall *h, int64_t delay_us)
{
    h->held_due_us = h->worker.now_us + delay_us;
    timer_start(&h->worker, &h->held_timer, delay_us);
}

void
choose_hold(struct session *s)
{
    struct hall *h = s->hall;
    int64_t delay_us = look_in_us(s->routing);

    note_held(s);
    ring_append(&h->held, &s->routing->in_held);
    if (s->state == SESSION_READY)
        session_move_to(s, SESSION_WAITING);
    timeouts_arm(s);
    if (s->routing->avoid != NULL) /* another node may do at once */
        look_in(h, 0);
    else if (!timer_is_started(&h->held_timer) || h->held_due_us > h->worker.now_us + delay_us)
        look_in(h, delay_us);
}

void
choose_unhold(struct session *s)
{
    struct routing *r = s->routing;

    if (r == NULL)
        return;
    ring_remove(&r->in_held);
    r->held_us = r->behind_us = r->failed_us = 0;
}

const struct node *
choose_find_node(const struct topology *t, const char *name)
{
    for (unsigned i = 0; t != NULL && i < t->n_clusters; i++)
        for (unsigned k = 0; k < t->clusters[i].n_nodes; k++)
            if (strcmp(t->clusters[i].nodes[k].name, name) == 0)
                return &t->clusters[i].nodes[k];
    return NULL;
}

/* The node that failed the request has answered a check since, or is none any more. */
static bool
is_better_known(const struct session *s)
{
    const struct routing *r = s->routing;
    const struct node *n = r->avoid->node == NULL ? NULL : choose_find_node(s->hall->topology, r->avoid->node);

    return n == NULL || n->sampled_us > r->avoided_us;
}

static void
resume(struct session *s)
{
    struct routing *r = s->routing;

    ring_remove(&r->in_held);
    if (r->avoid != NULL && is_better_known(s))
        choose_avoid(s, NULL);
    if (s->state == SESSION_WELCOME) {
        if (link_need(s))
            welcome_server(s);
        return;
    }
    session_move_to(s, SESSION_READY);
    stream_again(&s->client);
}

void
choose_again(struct hall *h)
{
    int64_t delay_us = LOOK_AGAIN_US;
    struct ring all;

    ring_init(&all);
    while (!ring_is_empty(&h->held)) { /* those that are held again are for the next time */
        struct ring *r = ring_first(&h->held);

        ring_remove(r);
        ring_append(&all, r);
    }
    while (!ring_is_empty(&all))
        resume(container_of(ring_first(&all), struct routing, in_held)->session);
    stream_flush(&h->turn);
    ring_each_safe (r, &h->held) {
        int64_t in_us = look_in_us(container_of(r, struct routing, in_held));

        delay_us = in_us < delay_us ? in_us : delay_us;
    }
    if (ring_is_empty(&h->held))
        timer_stop(&h->worker, &h->held_timer);
    else
        look_in(h, delay_us);
}

/* ---- the topology changed ---- */

static bool
is_gone(const struct node *n)
{
    return n->state == NODE_DOWN || n->state == NODE_FENCED;
}

/* Who waits for a server of NODE chose it for what it was: it chooses again. A node that lost its right to be
 * written to may well be alive, and would take the write. */
static void
turn_away(struct hall *h, const char *node)
{
    for (struct pool *p = h->pools.first; p != NULL; p = p->next) {
        if (p->node == NULL || strcmp(p->node, node) != 0)
            continue;
        ring_each_safe (r, &p->waiters) {
            struct session *s =
                container_of(container_of(r, struct pool_waiter, in_queue), struct session, waiter);

            pool_stop_waiting(p, &s->waiter);
            choose_hold(s);
        }
    }
}

static void
compare(struct hall *h, const struct topology *before, const struct node *n)
{
    const struct node *old = choose_find_node(before, n->name);
    enum node_state was = old == NULL ? NODE_UP : old->state;
    bool demoted = old != NULL && old->role == NODE_PRIMARY && n->role == NODE_REPLICA;
    bool ordered = (n->state == NODE_BANNED || n->state == NODE_DRAINING) && was != n->state;
    bool fell = old != NULL && n->fell_us > old->fell_us; /* its servers may know less than was said of it */
    struct fault why;

    if (is_gone(n) || demoted || ordered || fell)
        turn_away(h, n->name);
    if (is_gone(n) && (old == NULL || !is_gone(old) || demoted)) {
        fault_set(&why, "08006", "node %s is %s: %s", n->name, node_state_name(n->state), n->reason);
        pools_close_node(&h->pools, n->name, &why);
    } else if (demoted) {
        fault_set(&why, "08006", "node %s is not the primary any more", n->name);
        pools_close_node(&h->pools, n->name, &why);
    } else if (ordered || fell) {
        pools_drain_node(&h->pools, n->name);
    }
}

/* The same for nodes that a reload took out. */
static void
turn_away_gone(struct hall *h, const struct topology *before, const struct topology *now)
{
    for (unsigned i = 0; before != NULL && i < before->n_clusters; i++)
        for (unsigned k = 0; k < before->clusters[i].n_nodes; k++)
            if (choose_find_node(now, before->clusters[i].nodes[k].name) == NULL)
                turn_away(h, before->clusters[i].nodes[k].name);
}

void
hall_set_topology(struct hall *h, struct topology *t)
{
    struct topology *before = h->topology;

    h->topology = t; /* first of all: what is closed below looks for another node */
    h->n_views++;
    leave_see(h);
    for (unsigned i = 0; i < t->n_clusters; i++)
        for (unsigned k = 0; k < t->clusters[i].n_nodes; k++)
            compare(h, before, &t->clusters[i].nodes[k]);
    turn_away_gone(h, before, t);
    topology_drop(before);
    choose_again(h);
    hall_move_listeners(h);
}

void
choose_close(struct hall *h)
{
    rules_free(h->rules);
    mem_free(h->refused);
    mem_free(h->routes);
    hall_forget_catalogs(h);
    topology_drop(h->topology);
    h->topology = NULL;
    timer_stop(&h->worker, &h->held_timer);
}
