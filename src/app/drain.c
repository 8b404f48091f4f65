/* SPDX-License-Identifier: ISC */
/* How the process ends (CONTRACT section 5): refuse logins, wait for clients, close the
 * rest, let cancels and mail arrive, stop the loops. One visit of all halls at a time; its home decides what
 * next. */
#include "drain_private.h"

#include "app_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "session/handover.h"
#include "session/peers.h"

#define POLL_US   (10 * CLOCK_MS)
#define CANCEL_US (CLOCK_S / 4) /* for cancel requests of clients that were cut off */
#define ROUNDS    3             /* visits until all mail that was under way has arrived */

static struct app *
app_of(struct visit *v)
{
    return container_of(container_of(v, struct drain, visit), struct app, drain);
}

/* ---- what happens on each hall's thread ---- */

static unsigned
clients(const struct hall *h)
{
    unsigned n = hall_n_frozen(h);

    ring_each (r, &h->sessions) {
        const struct session *s = container_of(r, struct session, in_hall);

        n += s->state >= SESSION_WELCOME && s->state != SESSION_CONSOLE && !s->passed;
    }
    return n;
}

static void
refuse(struct worker *w, struct visit *v)
{
    (void)v;
    hall_refuse_logins(hall_of(w));
}

static void
count(struct worker *w, struct visit *v)
{
    app_of(v)->drain.left += clients(hall_of(w));
}

static void
drain(struct worker *w, struct visit *v)
{
    hall_drain(hall_of(w));
    count(w, v);
}

static void
close_all(struct worker *w, struct visit *v)
{
    app_of(v)->drain.left += clients(hall_of(w));
    hall_stop_listening(hall_of(w));
    hall_close_sessions(hall_of(w));
}

static void
close_servers(struct worker *w, struct visit *v)
{
    (void)v;
    pools_close_servers(&hall_of(w)->pools, slice_of(NULL, 0), true);
    hall_end_errands(hall_of(w));
}

static void
nothing(struct worker *w, struct visit *v)
{
    (void)w;
    (void)v;
}

static void
stop(struct worker *w, struct visit *v)
{
    (void)v;
    worker_stop(w);
}

/* ---- the control thread's side ---- */

static void
visit_all(struct app *a, void (*at_each)(struct worker *, struct visit *),
          void (*home)(struct worker *, struct visit *))
{
    struct drain *d = &a->drain;

    d->left = 0;
    d->travelling = true;
    d->visit = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = at_each, .home = home
    };
    visit_start(&d->visit);
}

static void
stopped(struct worker *w, struct visit *v)
{
    (void)v;
    worker_stop(w);
}

static void
round_done(struct worker *w, struct visit *v)
{
    struct app *a = app_of_control(w);

    (void)v;
    if (++a->drain.rounds < ROUNDS)
        visit_all(a, nothing, round_done);
    else
        visit_all(a, stop, stopped);
}

static void
servers_closed(struct worker *w, struct visit *v)
{
    struct app *a = app_of_control(w);

    (void)v;
    naming_end(a);
    helper_free(a->helper);
    for (unsigned i = 0; i < HALL_N_OUTSIDE; i++)
        a->left_behind = helper_abandon(a->outside[i]) || a->left_behind;
    lookups_free(a->lookups);
    a->helper = NULL;
    a->lookups = NULL;
    visit_all(a, nothing, round_done);
}

static void
end(struct app *a)
{
    a->drain.stage = DRAIN_ENDING;
    timer_stop(&a->control, &a->stats_timer);
    timer_stop(&a->control, &a->watchdog_timer);
    registry_set_flag(a->registry, slice_of(NULL, 0), DATABASE_PAUSED, true); /* no new servers */
    visit_all(a, close_servers, servers_closed);
}

static void
closed(struct worker *w, struct visit *v)
{
    struct app *a = app_of_control(w);

    (void)v;
    a->drain.travelling = false;
    if (a->drain.left == 0) {
        end(a);
        return;
    }
    log_info("closed %u clients that were left", a->drain.left);
    timer_start(w, &a->drain.timer, CANCEL_US);
}

static void
close_now(struct app *a)
{
    a->drain.stage = DRAIN_CLOSING;
    takeover_stop(a);
    visit_all(a, close_all, closed);
}

/* A visit of DRAIN_WAITING came home. */
static void
counted(struct worker *w, struct visit *v)
{
    struct app *a = app_of_control(w);
    struct drain *d = &a->drain;
    bool late = d->deadline_us != 0 && w->now_us >= d->deadline_us;

    (void)v;
    d->travelling = false;
    if (d->left > 0 && late && !d->hurry) {
        log_warning("drain_timeout is over: %u clients are cut off", d->left);
        a->exit_code = EXIT_CLIENTS_LEFT;
    }
    if (d->left == 0 || late || d->hurry)
        close_now(a);
    else
        timer_start(w, &d->timer, POLL_US);
}

static bool
is_timed(const struct app *a)
{
    return a->drain.mode == DRAIN_TIMED || a->drain.mode == DRAIN_CLIENTS_TIMED;
}

static void
start_waiting(struct app *a)
{
    int64_t limit = a->loaded.setup.conf->general.drain_timeout;

    a->drain.stage = DRAIN_WAITING;
    a->drain.deadline_us = is_timed(a) ? a->control.now_us + limit : 0;
    visit_all(a, a->drain.mode >= DRAIN_CLIENTS ? count : drain, counted);
}

static void
refused(struct worker *w, struct visit *v)
{
    struct app *a = app_of_control(w);
    int64_t delay = is_timed(a) ? a->loaded.setup.conf->general.drain_delay : 0;

    (void)v;
    a->drain.travelling = false;
    if (a->drain.hurry)
        close_now(a);
    else if (delay > 0)
        timer_start(w, &a->drain.timer, delay);
    else
        start_waiting(a);
}

static void
on_timer(struct timer *t)
{
    struct app *a = container_of(t, struct app, drain.timer);

    if (a->drain.stage == DRAIN_REFUSING)
        start_waiting(a);
    else if (a->drain.stage == DRAIN_WAITING)
        visit_all(a, count, counted);
    else
        end(a);
}

void
drain_start(struct app *a, enum drain_mode mode)
{
    struct drain *d = &a->drain;

    if (d->stage >= DRAIN_CLOSING)
        return;
    if (a->takeover.hurried && d->mode == DRAIN_SERVERS &&
        (mode == DRAIN_TIMED || mode == DRAIN_CLIENTS_TIMED)) { /* the first time that we are asked */
        d->mode = DRAIN_TIMED;
        d->deadline_us = a->control.now_us + a->loaded.setup.conf->general.drain_timeout;
        return;
    }
    if (d->stage != DRAIN_NONE) { /* asked again: now */
        d->hurry = true;
        timer_stop(&a->control, &d->timer);
        if (!d->travelling)
            close_now(a);
        return;
    }
    if (!a->takeover.giving)
        notify_stopping();
    takeover_say_end(a);
    d->mode = mode;
    timer_init(&d->timer, on_timer);
    if (mode == DRAIN_NOW) {
        close_now(a);
        return;
    }
    d->stage = DRAIN_REFUSING;
    visit_all(a, refuse, refused);
}
