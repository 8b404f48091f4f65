/* SPDX-License-Identifier: ISC */
/* What both sides of a take-over share: the door, cancel requests that look for their session in the other
 * process, tours of all halls. */
#include "takeover_private.h"

#include <sys/socket.h>
#include <unistd.h>

#include "app_private.h"
#include "base/log.h"
#include "wire/writer.h"

#define LAST_WORDS_S 5

/* ---- tours ---- */

static void
tour_home(struct worker *w, struct visit *v)
{
    struct tour *t = container_of(v, struct tour, visit);

    (void)w;
    if (t->home != NULL)
        t->home(t);
    mem_free(t->fds);
    mem_free(t);
}

void
takeover_tour(struct app *a, void (*at_each)(struct worker *w, struct visit *v), void (*home)(struct tour *t))
{
    struct tour *t = mem_new(struct tour);

    t->app = a;
    t->home = home;
    t->visit = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = at_each, .home = tour_home
    };
    visit_start(&t->visit);
}

void
takeover_put_id(struct text *t, uint32_t hall, uint64_t id)
{
    wire_put_u32(t, hall);
    wire_put_u32(t, (uint32_t)(id >> 32));
    wire_put_u32(t, (uint32_t)id);
}

/* ---- cancel requests ---- */

static void
put_cancel(struct app *a, struct passage *p, const struct cancel_ask *ask)
{
    struct text t = { 0 };

    if (passage_count(p, LINK_CANCEL) >= CANCELS_MAX) {
        a->takeover.n_cancels_dropped++;
        log_warning("a cancel request was dropped: the other process does not read");
        return;
    }
    wire_put_u8(&t, (uint8_t)ask->hops);
    wire_put_u32(&t, ask->pid);
    wire_put_bytes(&t, slice_of(ask->key, ask->len));
    passage_put(p, LINK_CANCEL, text_slice(&t), -1);
    text_done(&t);
}

/* The session may be in either: the request costs little, and its hops are counted. */
static void
pass_on(struct worker *w, struct mail *m)
{
    struct message *e = container_of(m, struct message, mail);
    struct app *a = app_of_control(w);

    e->cancel.hops--;
    if (a->takeover.elder != NULL)
        put_cancel(a, a->takeover.elder, &e->cancel);
    if (a->takeover.younger != NULL && a->takeover.giving)
        put_cancel(a, a->takeover.younger, &e->cancel);
    mem_free(e);
}

void
takeover_elsewhere(struct hall *h, const struct cancel_ask *ask)
{
    struct message *e = mem_new(struct message);

    e->cancel = *ask;
    e->mail.deliver = pass_on;
    mail_post(h->control, &e->mail);
}

static void
look_here(struct worker *w, struct mail *m)
{
    struct message *e = container_of(m, struct message, mail);

    cancel_start(hall_of(w), &e->cancel, NULL);
    mem_free(e);
}

void
takeover_cancel(struct app *a, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    struct message *e = mem_new(struct message);
    struct slice key;

    e->cancel.hops = wire_get_u8(&c);
    e->cancel.pid = wire_get_u32(&c);
    key = wire_get_bytes(&c, wire_left(&c));
    if (c.bad || key.len > sizeof(e->cancel.key) || e->cancel.hops > CANCEL_HOPS) {
        mem_free(e);
        return;
    }
    e->cancel.len = (unsigned)key.len;
    memcpy(e->cancel.key, key.data, key.len);
    e->mail.deliver = look_here;
    mail_post(a->workers[0], &e->mail);
}

/* ---- the door ---- */

static bool
is_one_of_us(int fd)
{
    struct ucred c;
    socklen_t len = sizeof(c);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == 0 && (c.uid == 0 || c.uid == geteuid());
}

static void
on_knock(struct io *io)
{
    struct app *a = container_of(io, struct app, takeover.door);
    int fd = accept4(a->listening.door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd == -1)
        return;
    if (!is_one_of_us(fd)) {
        log_warning("somebody who is not us wanted to take over");
        close(fd);
    } else {
        younger_start(a, passage_new(fd, a));
    }
}

void
takeover_open_door(struct app *a)
{
    if (a->listening.door != -1 && a->drain.stage < DRAIN_CLOSING)
        io_start(&a->control, &a->takeover.door);
}

void
takeover_start(struct app *a)
{
    io_init(&a->takeover.door, a->listening.door, IO_READ, on_knock);
    a->takeover.begun = a->takeover.elder == NULL;
    if (a->takeover.begun)
        takeover_open_door(a);
    else
        elder_start(a);
}

void
takeover_say_end(struct app *a)
{
    if (a->takeover.elder != NULL)
        passage_put(a->takeover.elder, LINK_END, SLICE(""), -1);
}

void
takeover_stop(struct app *a)
{
    struct takeover *t = &a->takeover;

    io_stop(&a->control, &t->door);
    timer_stop(&a->control, &t->poll);
    passage_finish(t->younger, LAST_WORDS_S); /* it wakes sessions that were let go */
    passage_free(t->younger);
    passage_free(t->elder);
    t->younger = t->elder = NULL;
}
