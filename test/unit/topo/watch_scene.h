/* SPDX-License-Identifier: ISC */
/* The watch on a loop of its own with three fake nodes, turned until something holds. */
#ifndef TEST_UNIT_TOPO_WATCH_SCENE_H
#define TEST_UNIT_TOPO_WATCH_SCENE_H

#include "fake_node.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "topo/watch.h"

#define N        3
#define PATIENCE (30 * CLOCK_S)
/* On a busy machine a node may be late; only who asks for silence gets a short time-out. */
#define DEFAULTS "check_interval=60ms check_interval_fast=10ms check_timeout=10s"

struct scene {
    struct worker worker;
    struct resolver resolver;
    struct watch *watch;
    struct fake_node fake[N];
    struct topology *now; /* the newest */
    unsigned n_snapshots;
    bool (*until)(struct scene *s);
    struct timer poll;
    int64_t since_us;
    int64_t mark; /* for conditions */
};

static inline const struct cluster *
cluster(const struct scene *s)
{
    const struct cluster *c = topology_find(s->now, SLICE("main"));

    assert_non_null(c);
    return c;
}

static inline const struct node *
node(const struct scene *s, unsigned i)
{
    return &cluster(s)->nodes[i];
}

static inline void
look(struct scene *s)
{
    if (s->until(s))
        worker_stop(&s->worker);
    else if (clock_now_us() - s->since_us > PATIENCE)
        fail_msg("it did not happen");
}

static inline void
on_poll(struct timer *t)
{
    struct scene *s = container_of(t, struct scene, poll);

    timer_start(&s->worker, t, 5 * CLOCK_MS);
    look(s);
}

static inline bool
never(struct scene *s)
{
    (void)s;
    return false;
}

static inline void
on_topology(void *owner, struct topology *t)
{
    struct scene *s = owner;

    assert_true(s->now == NULL || t->version > s->now->version);
    topology_drop(s->now);
    s->now = t;
    s->n_snapshots++;
    look(s);
}

/* Turn the loop until CONDITION holds. */
static inline void
wait_until(struct scene *s, bool (*condition)(struct scene *s))
{
    s->until = condition;
    s->since_us = clock_now_us();
    timer_start(&s->worker, &s->poll, 0);
    worker_run(&s->worker);
    timer_stop(&s->worker, &s->poll);
    s->until = never;
}

static inline void
configure(struct scene *s, unsigned n_nodes, const char *host, const char *options)
{
    struct text t = { 0 };
    struct fault why;
    struct conf *conf;

    text_printf(&t, "[pgweir]\nserver_tls_sslmode = disable\n[nodes]\n");
    for (unsigned i = 0; i < n_nodes; i++)
        text_printf(&t, "n%u = cluster=main host=%s port=%u\n", i, host, (unsigned)s->fake[i].port);
    text_printf(&t, "[clusters]\nmain = monitor_user=u %s\n", options);
    conf = conf_parse(text_slice(&t), "t.ini", &why);
    if (conf == NULL)
        fail_msg("%s", why.message);
    watch_configure(s->watch, conf);
    conf_drop(conf);
    text_done(&t);
}

/* n0 is the primary, the others follow it. */
static inline void
scene_init(struct scene *s)
{
    memset(s, 0, sizeof(*s));
    log_set_level(LOG_LEVEL_FATAL);
    worker_init(&s->worker, 0);
    s->resolver.helper = helper_new(1, 10);
    s->watch = watch_new(&s->worker, &s->resolver, on_topology, s);
    s->until = never;
    s->since_us = clock_now_us();
    timer_init(&s->poll, on_poll);
    for (unsigned i = 0; i < N; i++)
        fake_start(&s->fake[i], i != 0);
}

static inline bool
turned(struct scene *s)
{
    return s->mark-- == 0;
}

static inline void
scene_done(struct scene *s)
{
    helper_free(s->resolver.helper);
    watch_free(s->watch);
    s->mark = 1;
    wait_until(s, turned);
    topology_drop(s->now);
    for (unsigned i = 0; i < N; i++)
        fake_stop(&s->fake[i]);
    worker_done(&s->worker);
}

static inline bool
all_is_well(struct scene *s)
{
    const struct cluster *c = cluster(s);
    bool well = c->primary == 0;

    for (unsigned i = 0; i < c->n_nodes; i++)
        well &= c->nodes[i].state == NODE_UP && c->nodes[i].role == (i == 0 ? NODE_PRIMARY : NODE_REPLICA);
    return well;
}

static inline bool
nobody_leads(struct scene *s)
{
    return cluster(s)->primary == -1;
}

static inline void
start(struct scene *s, const char *options)
{
    scene_init(s);
    configure(s, N, "127.0.0.1", options);
    assert_int_equal(s->n_snapshots, 1); /* before it returned */
    assert_true(nobody_leads(s));
    wait_until(s, all_is_well);
}

static inline bool
has_event(const struct scene *s, const char *node_name, const char *text)
{
    for (unsigned i = 0; i < watch_n_events(s->watch); i++) {
        const struct watch_event *e = watch_event_at(s->watch, i);

        if (strcmp(e->node, node_name) == 0 && strstr(e->text, text) != NULL)
            return true;
    }
    return false;
}

#endif
