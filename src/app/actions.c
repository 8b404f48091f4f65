/* SPDX-License-Identifier: ISC */
/* Commands that act on databases and clients: flags in the registry, then a visit of all
 * halls, and for those that wait, a visit again until nothing is left. */
#include "actions_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "session/listeners.h"

#define LOOK_AGAIN_US (20 * CLOCK_MS)

static const struct slice all = { NULL, 0 };

/* ---- what happens on each hall's thread ---- */

static void
wake_hall(struct hall *h)
{
    suspend_end(h);
    hall_resume(h);
    hall_move_listeners(h);
    stream_flush(&h->turn);
}

static void
wake(struct worker *w, struct visit *v)
{
    (void)v;
    wake_hall(hall_of(w));
}

static bool
is_meant(const struct task *e, const struct pool *p)
{
    return e->command.name[0] == '\0' || strcmp(e->command.name, p->name) == 0;
}

static void
close_idle(struct worker *w, struct visit *v)
{
    struct hall *h = hall_of(w);

    pools_close_servers(&h->pools, task_database(task_of(v)), false);
    hall_reconnect_listeners(h, task_database(task_of(v)));
    stream_flush(&h->turn);
}

/* Counts servers of all workers, those on their way between two as well. */
static void
empty(struct worker *w, struct visit *v)
{
    struct task *e = task_of(v);
    struct hall *h = hall_of(w);

    pools_close_servers(&h->pools, task_database(e), false);
    stream_flush(&h->turn);
    for (struct pool *p = h->pools.first; p != NULL; p = p->next)
        if (is_meant(e, p))
            e->count += pool_count(p->shared);
}

/* Until then somebody listened for those whose transactions had to end. */
static void
close_listeners(struct worker *w, struct visit *v)
{
    struct hall *h = hall_of(w);

    hall_reconnect_listeners(h, task_database(task_of(v)));
    stream_flush(&h->turn);
}

static unsigned
count_old(const struct ring *servers, unsigned epoch)
{
    unsigned n = 0;

    ring_each (r, servers) {
        const struct server *s = container_of(r, struct server, in_pool);

        n += s->old || s->epoch != epoch;
    }
    return n;
}

static void
find_old(struct worker *w, struct visit *v)
{
    struct task *e = task_of(v);

    for (struct pool *p = hall_of(w)->pools.first; p != NULL; p = p->next) {
        unsigned epoch = registry_epoch(e->app->registry, slice_str(p->name));

        if (is_meant(e, p))
            e->count += count_old(&p->used, epoch) + count_old(&p->idle, epoch);
    }
}

/* PgBouncer's KILL of all pauses each database by its name, those that have a pool. */
static void
kill_all(struct worker *w, struct visit *v)
{
    struct task *e = task_of(v);

    for (const struct pool *p = hall_of(w)->pools.first; e->compat && p != NULL; p = p->next)
        if (is_meant(e, p))
            registry_set_flag(e->app->registry, slice_str(p->name), DATABASE_PAUSED, true);
    hall_kill(hall_of(w), task_database(e));
    stream_flush(&hall_of(w)->turn);
}

static void
quieten(struct worker *w, struct visit *v)
{
    struct task *e = task_of(v);
    int64_t limit = hall_of(w)->setup.conf->general.suspend_timeout;

    if (!atomic_load(&e->app->suspended)) /* RESUME may have been here already */
        return;
    e->count += suspend_hall(hall_of(w), limit > 0 && w->now_us - e->since_us >= limit);
}

static void
kill_client(struct worker *w, struct visit *v)
{
    struct task *e = task_of(v);

    if (e->count == 0 && hall_kill_client(hall_of(w), e->command.id))
        e->count++;
    stream_flush(&hall_of(w)->turn);
}

/* ---- at home ---- */

static void
done(struct worker *w, struct visit *v)
{
    (void)w;
    task_end(task_of(v), NULL);
}

static void
end_cancelled(struct worker *w, struct visit *v)
{
    struct fault why;

    (void)w;
    fault_set(&why, "57014", "canceling statement due to user request");
    task_end(task_of(v), &why);
}

static bool
names_console(const struct task *e)
{
    struct slice name = task_database(e);

    return slice_is(name, "pgbouncer") || slice_is(name, "pgweir");
}

/* False: E is over, with an error. */
static bool
names_database(struct task *e, const char *doing)
{
    if (names_console(e))
        task_refuse(e, "42501", "cannot %s admin db: %s", doing, e->command.name);
    else if (conf_find_database(e->hall->setup.conf, task_database(e)) == NULL)
        task_refuse(e, "3D000", "no such database: %s", e->command.name);
    else
        return true;
    return false;
}

static bool
names_database_or_none(struct task *e, const char *doing)
{
    return e->command.name[0] == '\0' || names_database(e, doing);
}

static unsigned
flags_of(const struct task *e)
{
    return registry_flags(e->app->registry, task_database(e));
}

static void
set_flag(struct task *e, enum database_flag flag, bool on)
{
    registry_set_flag(e->app->registry, task_database(e), flag, on);
}

/* ---- PAUSE, WAIT_CLOSE: wait until nothing is left ---- */

static void looked(struct worker *w, struct visit *v);

static void
look(struct task *e)
{
    e->count = 0;
    task_visit(e,
               e->command.verb == ADMIN_PAUSE     ? empty
               : e->command.verb == ADMIN_SUSPEND ? quieten
                                                  : find_old,
               looked);
}

static void
look_again(struct timer *t)
{
    look(container_of(t, struct task, again));
}

static bool
is_pause(const struct task *e)
{
    return e->command.verb == ADMIN_PAUSE || e->command.verb == ADMIN_SUSPEND;
}

/* Whoever has our descriptors has them for nothing. */
static void
unsuspend(struct app *a)
{
    atomic_store(&a->suspended, false);
    atomic_store(&a->receiver, 0);
}

static void
give_up(struct task *e)
{
    if (e->command.verb == ADMIN_SUSPEND)
        unsuspend(e->app);
    if (is_pause(e))
        set_flag(e, DATABASE_PAUSED, false);
    task_visit(e, wake, end_cancelled);
}

static void
looked(struct worker *w, struct visit *v)
{
    struct task *e = task_of(v);
    bool resumed = e->command.verb == ADMIN_SUSPEND ? !atomic_load(&e->app->suspended)
                                                    : is_pause(e) && (flags_of(e) & DATABASE_PAUSED) == 0;

    if (e->cancelled)
        give_up(e);
    else if (e->command.verb == ADMIN_PAUSE && !resumed && (e->count == 0 || e->console == NULL))
        task_visit(e, close_listeners, done);
    else if (e->count == 0 || resumed || e->console == NULL)
        task_end(e, NULL);
    else
        timer_start(w, &e->again, LOOK_AGAIN_US);
}

static void
start_looking(struct task *e)
{
    timer_init(&e->again, look_again);
    e->since_us = e->hall->worker.now_us;
    look(e);
}

void
action_cancelled(struct task *e)
{
    if (!is_pause(e) && e->command.verb != ADMIN_WAIT_CLOSE && e->command.verb != ADMIN_SWITCHOVER)
        return;
    e->cancelled = true;
    if (!timer_is_started(&e->again))
        return;
    timer_stop(&e->hall->worker, &e->again);
    give_up(e);
}

static bool
all_are_paused(const struct task *e)
{
    return (registry_flags(e->app->registry, all) & DATABASE_PAUSED) != 0;
}

/* Is some database paused by its own name? */
static bool
some_is_paused(const struct task *e)
{
    const struct conf *c = e->hall->setup.conf;

    for (size_t i = 0; i < c->n_databases; i++)
        if ((registry_own_flags(e->app->registry, slice_str(c->databases[i].name)) & DATABASE_PAUSED) != 0)
            return true;
    return false;
}

/* True: E is over. PgBouncer refuses more than it must. */
static bool
is_paused_already(struct task *e)
{
    if (!all_are_paused(e) || (!e->compat && e->command.name[0] != '\0'))
        return false;
    task_refuse(e, "55000", "already suspended/paused");
    return true;
}

/* True: E is over. What is held here could not be told to go on: RESUME is said to the new process. */
static bool
is_replaced(struct task *e)
{
    if (!e->hall->handing_over)
        return false;
    task_refuse(e, "55000", "another process has taken over from this one");
    return true;
}

void
action_pause(struct task *e)
{
    if (is_replaced(e) || is_paused_already(e) || !names_database_or_none(e, "pause"))
        return;
    set_flag(e, DATABASE_PAUSED, true);
    start_looking(e);
}

/* Nothing is read from clients and servers any more; it is done when what was read has been written. */
void
action_suspend(struct task *e)
{
    if (is_replaced(e) || is_paused_already(e))
        return;
    if (some_is_paused(e)) {
        task_refuse(e, "55000", "cannot suspend with paused databases");
        return;
    }
    atomic_store(&e->app->suspended, true);
    set_flag(e, DATABASE_PAUSED, true);
    start_looking(e);
}

void
action_wait_close(struct task *e)
{
    if (names_database_or_none(e, "wait in"))
        start_looking(e);
}

/* ---- the others ---- */

/* PgBouncer's RESUME without a name does not resume what was paused by name. */
static void
resume_all(struct task *e)
{
    if (!all_are_paused(e) && (e->compat || !some_is_paused(e))) {
        task_refuse(e, "55000",
                    e->hall->draining ? "pooler is shutting down" : "pooler is not paused/suspended");
        return;
    }
    unsuspend(e->app);
    if (e->compat)
        set_flag(e, DATABASE_PAUSED, false);
    else
        registry_clear_flag(e->app->registry, DATABASE_PAUSED);
    task_visit(e, wake, done);
}

void
action_resume(struct task *e)
{
    if (e->compat && names_console(e)) {
        task_refuse(e, "55000", "database %s is not paused", e->command.name);
        return;
    }
    if (!names_database_or_none(e, "resume"))
        return;
    if (e->command.name[0] == '\0') {
        resume_all(e);
        return;
    }
    if (!e->compat && all_are_paused(e)) {
        task_refuse(e, "55000", "all databases are paused, not only %s", e->command.name);
        return;
    }
    if ((registry_own_flags(e->app->registry, task_database(e)) & DATABASE_PAUSED) == 0) {
        task_refuse(e, "55000", "database %s is not paused", e->command.name);
        return;
    }
    set_flag(e, DATABASE_PAUSED, false);
    task_visit(e, wake, done);
}

void
action_disable(struct task *e)
{
    if (!names_database(e, "disable"))
        return;
    set_flag(e, DATABASE_DISABLED, true);
    task_end(e, NULL);
}

void
action_enable(struct task *e)
{
    if (!names_database(e, "enable"))
        return;
    set_flag(e, DATABASE_DISABLED, false);
    task_visit(e, wake, done);
}

void
action_reconnect(struct task *e)
{
    if (!names_database_or_none(e, "reconnect"))
        return;
    registry_next_epoch(e->app->registry, task_database(e));
    task_visit(e, close_idle, done);
}

/* As in PgBouncer, the database stays paused. */
void
action_kill(struct task *e)
{
    if ((e->compat && is_paused_already(e)) || !names_database_or_none(e, "kill"))
        return;
    if (!e->hall->handing_over && (!e->compat || e->command.name[0] != '\0'))
        set_flag(e, DATABASE_PAUSED, true);
    task_visit(e, kill_all, done);
}

static void
client_killed(struct worker *w, struct visit *v)
{
    struct task *e = task_of(v);

    (void)w;
    if (e->count > 0)
        task_end(e, NULL);
    else
        task_refuse(e, "42704", "client not found");
}

void
action_kill_client(struct task *e)
{
    task_visit(e, kill_client, client_killed);
}

/* ---- USR1 and USR2, on the control thread ---- */

static void
close_all_idle(struct worker *w, struct visit *v)
{
    (void)v;
    pools_close_servers(&hall_of(w)->pools, all, false);
    stream_flush(&hall_of(w)->turn);
}

static void
visit_freed(struct worker *w, struct visit *v)
{
    (void)w;
    mem_free(v);
}

static void
visit_halls(struct app *a, void (*at_each)(struct worker *w, struct visit *v))
{
    struct visit *v = mem_new(struct visit);

    *v = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = at_each, .home = visit_freed
    };
    visit_start(v);
}

void
actions_pause_all(struct app *a)
{
    registry_set_flag(a->registry, all, DATABASE_PAUSED, true);
    visit_halls(a, close_all_idle);
}

void
actions_resume_all(struct app *a)
{
    unsuspend(a);
    registry_clear_flag(a->registry, DATABASE_PAUSED);
    visit_halls(a, wake);
}
