/* SPDX-License-Identifier: ISC */
/* The old process's side of a take-over: offer the listening sockets, stop accepting, send sessions, end.
 * Whatever the new process does, the worst for us is that we go on as before. On the control thread. */
#include "actions_private.h"
#include "app_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "session/handover.h"
#include "takeover_private.h"
#include "topo/watch.h"
#include "wire/writer.h"

#include <fcntl.h>
#include <stdlib.h>

#define POLL_US  (10 * CLOCK_MS)
#define MOST_FDS 8192

/* ---- what happens on each hall's thread ---- */

static void
collect(struct worker *w, struct visit *v)
{
    struct tour *t = container_of(v, struct tour, visit);

    if (t->fds == NULL)
        t->fds = mem_alloc(MOST_FDS * sizeof(int));
    t->n += hall_listener_fds(hall_of(w), t->fds + t->n, MOST_FDS - t->n);
    t->n = t->n < MOST_FDS ? t->n : MOST_FDS;
}

static void
hold(struct worker *w, struct visit *v)
{
    (void)v;
    hall_hold_listeners(hall_of(w), true);
}

static void on_parcel(struct worker *w, struct mail *m);
static void on_let_go(struct worker *w, struct mail *m);

static void
hand_over(struct worker *w, struct visit *v)
{
    const struct handover_post post = { &container_of(v, struct tour, visit)->app->control, on_parcel,
                                        on_let_go };

    hall_hand_over(hall_of(w), &post);
}

static void
more(struct worker *w, struct visit *v)
{
    struct tour *t = container_of(v, struct tour, visit);
    struct hall *h = hall_of(w);

    hall_hand_over_more(h);
    t->n += hall_n_frozen(h);
    ring_each (r, &h->sessions)
        t->n += container_of(r, struct session, in_hall)->state != SESSION_CONSOLE;
}

static void
take_back(struct worker *w, struct visit *v)
{
    struct hall *h = hall_of(w);

    (void)v;
    hall_take_back(h);
    if (h->closing)
        hall_drain(h);
    else
        hall_hold_listeners(h, false);
}

static void
let_go(struct worker *w, struct mail *m)
{
    struct message *e = container_of(m, struct message, mail);

    if (e->taken)
        hall_let_go(hall_of(w), e->id, e->new_hall);
    else
        hall_keep(hall_of(w), e->id);
    mem_free(e);
}

/* ---- sessions ---- */

static void
send_parcel(struct worker *w, struct parcel *p, enum link_word word, unsigned hall)
{
    struct app *a = app_of_control(w);
    struct text t = { 0 };

    if (a->takeover.younger != NULL) {
        takeover_put_id(&t, hall, p->id);
        text_add(&t, text_slice(&p->image));
        passage_put(a->takeover.younger, (uint8_t)word, text_slice(&t), p->fd);
        p->fd = -1;
        mem_wipe(t.data, t.len);
        text_done(&t);
    }
    parcel_free(p); /* nobody there: hall_take_back() is on its way */
}

static void
on_parcel(struct worker *w, struct mail *m)
{
    struct parcel *p = container_of(m, struct parcel, mail);

    send_parcel(w, p, LINK_SESSION, p->hall);
}

static void
on_let_go(struct worker *w, struct mail *m)
{
    struct parcel *p = container_of(m, struct parcel, mail);

    send_parcel(w, p, LINK_GO, p->new_hall);
}

static void
on_taken(struct app *a, const struct passage_frame *f)
{
    struct wire_cursor c = wire_cursor(f->body);
    struct message *e = mem_new(struct message);

    e->hall = wire_get_u32(&c);
    e->id = (uint64_t)wire_get_u32(&c) << 32;
    e->id |= wire_get_u32(&c);
    e->taken = f->type == LINK_TAKEN;
    if (e->taken)
        e->new_hall = wire_get_u32(&c);
    if (c.bad || e->hall >= a->n_halls) {
        mem_free(e);
        return;
    }
    e->mail.deliver = let_go;
    mail_post(a->workers[e->hall], &e->mail);
}

/* ---- the offer ---- */

static void
refuse(struct app *a, const char *why)
{
    log_warning("take-over refused: %s", why);
    passage_put(a->takeover.younger, LINK_NO, slice_str(why), -1);
}

static void
put_text(struct text *t, const char *s)
{
    wire_put_string(t, slice_str(s));
}

static void
offer(struct tour *tour)
{
    struct app *a = tour->app;
    struct passage *p = a->takeover.younger;
    uint64_t next_id = atomic_load(&a->next_id);
    const uint8_t flags = a->listening.activated ? LISTENER_ACTIVATED : 0;
    struct text t = { 0 };

    if (p == NULL)
        return;
    wire_put_u16(&t, HANDOVER_FORMAT);
    takeover_put_id(&t, 0, next_id);
    put_text(&t, getenv("NOTIFY_SOCKET"));
    put_text(&t, getenv("WATCHDOG_USEC"));
    passage_put(p, LINK_WELCOME, text_slice(&t), -1);
    text_done(&t);
    for (unsigned i = 0; i < tour->n; i++)
        passage_put(p, LINK_LISTENER, slice_of(&flags, 1), fcntl(tour->fds[i], F_DUPFD_CLOEXEC, 0));
    passage_put(p, LINK_DOOR, SLICE(""), fcntl(a->listening.door, F_DUPFD_CLOEXEC, 0));
    passage_put(p, LINK_OFFERED, SLICE(""), -1);
}

static void
on_hello(struct app *a, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);

    if (wire_get_u16(&c) != LINK_VERSION)
        refuse(a, "the new process is of another version, which cannot take over from this one");
    else if (a->drain.stage != DRAIN_NONE || a->takeover.giving || !a->takeover.begun)
        refuse(a, "the old process is ending, or is being replaced");
    else if (watch_is_switching(a->watch))
        refuse(a, "a switchover is under way"); /* the new process would not know that writes are held */
    else
        takeover_tour(a, collect, offer);
}

/* ---- giving ---- */

static void
polled(struct tour *tour)
{
    struct app *a = tour->app;
    struct takeover *t = &a->takeover;

    if (t->younger == NULL || a->drain.stage >= DRAIN_CLOSING)
        return;
    if (a->drain.stage == DRAIN_NONE && t->elder == NULL) {
        if (tour->n == 0) {
            log_info("all clients moved to the process that took over");
            drain_start(a, DRAIN_NOW);
            return;
        }
        if (!t->hurried && a->control.now_us >= t->deadline_us) {
            t->hurried = true;
            log_info("%u clients could not move and go at the end of their transactions", tour->n);
            drain_start(a, DRAIN_SERVERS);
        }
    }
    timer_start(&a->control, &t->poll, POLL_US);
}

static void
on_poll(struct timer *timer)
{
    takeover_tour(container_of(timer, struct app, takeover.poll), more, polled);
}

/* Who would say RESUME or UNDRAIN is heard by the new process. */
static void
handed_over(struct tour *tour)
{
    if (tour->app->drain.stage >= DRAIN_CLOSING)
        return;
    actions_resume_all(tour->app);
    watch_forget_orders(tour->app->watch);
}

static void
on_held(struct tour *tour)
{
    struct app *a = tour->app;
    struct takeover *t = &a->takeover;

    if (t->younger == NULL || !t->ready) {
        takeover_tour(a, take_back, NULL);
        return;
    }
    log_info("process %u takes over", t->younger_pid);
    t->giving = true;
    a->listening.ours = false;
    io_stop(&a->control, &t->door);
    watch_set_elects(a->watch, false);
    passage_put(t->younger, LINK_YOURS, SLICE(""), -1);
    if (t->elder != NULL)
        passage_put(t->elder, LINK_STAND_BACK, SLICE(""), -1);
    notify_new_main(t->younger_pid);
    t->deadline_us = a->control.now_us + a->loaded.setup.conf->general.drain_timeout;
    takeover_tour(a, t->formats ? hand_over : more, handed_over);
    timer_init(&t->poll, on_poll);
    timer_start(&a->control, &t->poll, POLL_US);
}

static void
on_ready(struct app *a, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);

    a->takeover.younger_pid = wire_get_u32(&c);
    a->takeover.formats = wire_get_u16(&c) == HANDOVER_FORMAT;
    if (c.bad || a->takeover.giving || a->drain.stage != DRAIN_NONE)
        return;
    a->takeover.ready = true;
    takeover_tour(a, hold, on_held);
}

static void
on_end_of_both(struct app *a)
{
    log_info("the process that took over was asked to end");
    if (a->drain.stage == DRAIN_NONE)
        drain_start(a, DRAIN_TIMED);
}

static void
on_frame(struct passage *p, const struct passage_frame *f)
{
    struct app *a = passage_owner(p);

    if (f->fd != -1)
        close(f->fd);
    switch (f->type) {
    case LINK_HELLO:
        on_hello(a, f->body);
        break;
    case LINK_READY:
        on_ready(a, f->body);
        break;
    case LINK_TAKEN:
    case LINK_REFUSED:
        on_taken(a, f);
        break;
    case LINK_CANCEL:
        takeover_cancel(a, f->body);
        break;
    case LINK_END:
        on_end_of_both(a);
        break;
    case LINK_STAND_BACK:
        a->takeover.stand_back = true;
        break;
    default:
        break;
    }
}

static void
go_on(struct tour *tour)
{
    struct app *a = tour->app;
    struct fault why;

    if (a->drain.stage != DRAIN_NONE)
        return;
    log_warning("the process that took over is gone: this one goes on");
    a->listening.ours = true;
    takeover_open_door(a);
    watch_set_elects(a->watch, true);
    if (!process_write_pidfile(a->loaded.setup.conf->general.pidfile, true, &why))
        log_error("%s", why.message);
    notify_ready();
}

static void
on_gone(struct passage *p)
{
    struct app *a = passage_owner(p);
    struct takeover *t = &a->takeover;
    bool was_giving = t->giving;

    passage_free(p);
    t->younger = NULL;
    t->giving = false;
    timer_stop(&a->control, &t->poll);
    if (!was_giving)
        return;
    if (t->stand_back && a->drain.stage == DRAIN_NONE)
        drain_start(a, DRAIN_TIMED);
    takeover_tour(a, take_back, go_on);
}

void
younger_start(struct app *a, struct passage *p)
{
    static const struct passage_events events = { on_frame, on_gone };

    if (a->takeover.younger != NULL || a->drain.stage != DRAIN_NONE) {
        passage_put(p, LINK_NO, SLICE("another process is taking over, or this one is ending"), -1);
        passage_free(p);
        return;
    }
    a->takeover.younger = p;
    a->takeover.stand_back = a->takeover.hurried = a->takeover.ready = false;
    passage_start(p, &a->control, &events);
}
