/* SPDX-License-Identifier: ISC */
/* SWITCHOVER: the watch leads it, the halls are visited for it. On the control thread. */
#include <inttypes.h>
#include <stdio.h>

#include "nodes_private.h"
#include "topo/watch.h"

struct handover {
    struct visit visit;
    struct task *task;
    char cluster[NODE_NAME], node[NODE_NAME]; /* who gives up its office */
    bool close, looking, over;
    unsigned n_busy;
    uint64_t version; /* of the first snapshot after it was over */
};

static void
visit(struct handover *o, void (*at_each)(struct worker *w, struct visit *v),
      void (*home)(struct worker *w, struct visit *v))
{
    struct app *a = o->task->app;

    o->n_busy = 0;
    o->visit = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = at_each, .home = home
    };
    visit_start(&o->visit);
}

/* ---- the end: answered when every hall knows of it ---- */

static void
finish(struct handover *o)
{
    struct task *e = o->task;

    mem_free(o);
    if (e->app->joined)
        task_end(e, NULL); /* nobody is there to hear */
    else
        task_home(e, task_arrive);
}

static void
count_unaware(struct worker *w, struct visit *v)
{
    struct handover *o = container_of(v, struct handover, visit);
    const struct topology *t = hall_of(w)->topology;

    o->n_busy += t == NULL || t->version < o->version;
}

static void
counted(struct worker *w, struct visit *v)
{
    struct handover *o = container_of(v, struct handover, visit);

    (void)w;
    if (o->n_busy > 0)
        visit(o, count_unaware, counted);
    else
        finish(o);
}

/* ---- looking: on each hall's thread, and back ---- */

static void
at_hall(struct worker *w, struct visit *v)
{
    struct handover *o = container_of(v, struct handover, visit);

    if (o->close)
        hall_close_node(hall_of(w), o->node);
    else
        o->n_busy += hall_count_busy(hall_of(w), o->cluster, o->node);
}

static void
looked(struct worker *w, struct visit *v)
{
    struct handover *o = container_of(v, struct handover, visit);

    o->looking = false;
    if (o->over)
        visit(o, count_unaware, counted);
    else
        watch_switch_seen(app_of_control(w)->watch, o->cluster, o->n_busy);
}

static void
look(void *owner, const char *cluster, const char *node, bool close)
{
    struct handover *o = owner;

    snprintf(o->cluster, sizeof(o->cluster), "%s", cluster);
    snprintf(o->node, sizeof(o->node), "%s", node);
    o->close = close;
    o->looking = true;
    visit(o, at_hall, looked);
}

/* ---- the beginning and the end ---- */

static bool
is_cancelled(void *owner)
{
    const struct handover *o = owner;

    return o->task->cancelled;
}

static void
done(void *owner, const struct watch_switched *how, const struct fault *why)
{
    struct handover *o = owner;
    struct task *e = o->task;

    if (why != NULL)
        e->why = *why;
    snprintf(e->command.value, sizeof(e->command.value), "%s -> %s, writes were held for %" PRId64 " ms",
             how->from, how->to, how->held_us / CLOCK_MS);
    o->over = true;
    o->version = e->app->topology->version + 1;
    if (e->app->joined)
        finish(o);
    else if (!o->looking)
        visit(o, count_unaware, counted);
}

static void
start(struct worker *w, struct mail *m)
{
    struct task *e = container_of(m, struct task, mail);
    struct app *a = app_of_control(w);
    struct handover *o = mem_new(struct handover);
    struct watch_switch order = { .cluster = slice_str(e->command.name),
                                  .to = slice_str(e->command.value),
                                  .look = look,
                                  .is_cancelled = is_cancelled,
                                  .done = done,
                                  .owner = o };

    o->task = e;
    if (a->takeover.younger != NULL || a->takeover.elder != NULL) {
        fault_set(&e->why, "55000", "another process serves clients, too: a take-over is under way");
        finish(o);
    } else if (!watch_switch(a->watch, &order, &e->why)) {
        finish(o);
    }
}

void
action_switchover(struct task *e)
{
    task_to_control(e, start);
}
