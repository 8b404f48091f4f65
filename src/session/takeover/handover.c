/* SPDX-License-Identifier: ISC */
/* The old process: sessions are frozen, sent, and let go or thawed. What is on its way is in none of the hall's
 * other lists, so that nobody else touches it. */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "crossing_private.h"
#include "handover_private.h"

_Static_assert(HANDOVER_FORMAT == IMAGE_VERSION, "one format");

/* What waits for the other process is bounded: so many of a hall at a time, and only the last of them heavy. */
#define MOST_FROZEN 64
#define HEAVY       (64 << 10)
#define PATIENCE_US (5 * CLOCK_S) /* past the end of drain_timeout, for idle ones that cannot go yet */

/* ---- of both processes ---- */

struct handover *
handover_of(struct hall *h)
{
    if (h->handover == NULL) {
        h->handover = mem_new(struct handover);
        ring_init(&h->handover->waiting);
        ring_init(&h->handover->frozen);
        ring_init(&h->handover->sleeping);
    }
    return h->handover;
}

struct session *
handover_find(struct ring *ring, uint64_t id)
{
    ring_each (r, ring) {
        struct session *s = container_of(r, struct session, in_hall);

        if (s->id == id)
            return s;
    }
    return NULL;
}

void
parcel_free(struct parcel *p)
{
    if (p == NULL)
        return;
    if (p->fd != -1)
        close(p->fd);
    if (p->image.len > 0)
        mem_wipe(p->image.data, p->image.len);
    text_done(&p->image);
    mem_free(p);
}

void
handover_leave(struct session *s)
{
    s->client.turn = &s->hall->turn;
    session_close(s, NULL);
}

void
handover_done(struct hall *h)
{
    mem_free(h->handover);
    h->handover = NULL;
}

/* ---- the old process ---- */

/* Will it ever be able to go? */
static bool
may_go(const struct session *s)
{
    return !s->tls && !s->replication && !s->stays && s->key != NULL && s->credential != NULL &&
           s->console == NULL && (!listen_is_used(s) || crossing_may(s));
}

bool
handover_is_idle(const struct session *s)
{
    const struct stream *c = &s->client;

    return c->stage == STREAM_OPEN && !c->ended && c->in_len == 0 && c->out_len == 0 && !c->in_callback &&
           s->status == 'I' && !s->lost && !s->cancelled && s->refusal == NULL && s->parting == NULL &&
           s->log == NULL && s->extended == EXTENDED_CLEAN && s->client_left == 0 && s->opening == NULL &&
           pending_is_empty(s);
}

static bool
can_go_now(const struct session *s)
{
    return handover_is_idle(s) && s->client.paused == 0 && s->pins == 0 && crossing_is_ready(s);
}

static void
thaw(struct session *s)
{
    struct hall *h = s->hall;

    h->handover->n_frozen--;
    ring_remove(&s->in_hall);
    ring_append(&h->sessions, &s->in_hall);
    s->moving = false;
    stream_join(&s->client, &h->turn);
    crossing_end(s);
    stream_flush(&h->turn);
    timeouts_arm(s);
}

static void
send_session(struct session *s)
{
    struct hall *h = s->hall;
    struct parcel *p = mem_new(struct parcel);

    ring_remove(&s->in_linked);
    p->id = s->id;
    p->hall = h->worker.index;
    crossing_begin(s);
    portrait_write(s, &p->image);
    p->fd = p->image.len > HANDOVER_IMAGE_MAX ? -1 : fcntl(s->client.fd, F_DUPFD_CLOEXEC, 0);
    if (p->fd == -1) {
        s->stays = true;
        crossing_end(s);
        parcel_free(p);
        return;
    }
    h->handover->heavy = p->image.len > HEAVY;
    timer_stop(&h->worker, &s->timer);
    stream_leave(&s->client);
    s->moving = true;
    ring_remove(&s->in_hall);
    ring_append(&h->handover->frozen, &s->in_hall);
    h->handover->n_frozen++;
    p->mail.deliver = h->handover->post.session;
    mail_post(h->handover->post.to, &p->mail);
}

static void
let_go(struct session *s, uint32_t new_hall)
{
    struct handover *o = s->hall->handover;
    struct text rest = { 0 };
    struct parcel *p;

    if (crossing_is_on(s) && !crossing_take_rest(s, &rest))
        return;
    p = mem_new(struct parcel);
    p->id = s->id;
    p->new_hall = new_hall;
    p->fd = -1;
    p->image = rest;
    p->mail.deliver = o->post.let_go;
    mail_post(o->post.to, &p->mail);
    o->n_frozen--;
    handover_leave(s);
}

static void
let_go_crossed(struct handover *o)
{
    ring_each_safe (r, &o->frozen) {
        struct session *s = container_of(r, struct session, in_hall);

        if (crossing_is_on(s) && s->listening->crossing->taken)
            let_go(s, s->listening->crossing->their_hall);
    }
}

/* Idle, but something of it is half done, and may be for ever. */
static bool
is_late(const struct handover *o, const struct session *s)
{
    int64_t since_us = s->since_us > o->closing_us ? s->since_us : o->closing_us;

    return o->closing_us != 0 && session_now(s) - since_us >= PATIENCE_US;
}

static void
give_up(struct session *s)
{
    s->stays = true;
    link_part(s);
}

/* At the end of a turn: nobody is inside an event of any session. */
static void
look(struct grave *g)
{
    struct handover *o = container_of(g, struct handover, turn_end);

    o->due = false;
    let_go_crossed(o);
    ring_each_safe (r, &o->waiting) {
        struct session *s = container_of(r, struct session, in_linked);

        if (o->n_frozen >= MOST_FROZEN || (o->heavy && o->n_frozen > 0))
            return;
        if (s->state != SESSION_READY)
            ring_remove(&s->in_linked); /* it will be noted again */
        else if (can_go_now(s))
            send_session(s);
        else if (is_late(o, s))
            give_up(s);
    }
}

void
handover_look_soon(struct hall *h)
{
    struct handover *o = h->handover;

    if (o->due || (ring_is_empty(&o->waiting) && ring_is_empty(&o->frozen)))
        return;
    o->due = true;
    worker_bury(&h->worker, &o->turn_end, look);
}

bool
handover_note(struct session *s)
{
    if (!may_go(s))
        return false;
    ring_remove(&s->in_linked);
    ring_append(&s->hall->handover->waiting, &s->in_linked);
    handover_look_soon(s->hall);
    return true;
}

void
hall_hand_over(struct hall *h, const struct handover_post *post)
{
    handover_of(h)->post = *post;
    h->handing_over = true;
    ring_each (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);

        if (s->state == SESSION_READY)
            handover_note(s);
    }
    hall_hand_over_more(h);
}

void
hall_hand_over_more(struct hall *h)
{
    if (!h->handing_over)
        return;
    for (struct pool *p = h->pools.first; p != NULL; p = p->next)
        p->conf.min_size = 0;
    pools_close_servers(&h->pools, slice_of(NULL, 0), false);
    if (h->closing && h->handover->closing_us == 0)
        h->handover->closing_us = h->worker.now_us;
    handover_look_soon(h);
}

void
hall_let_go(struct hall *h, uint64_t id, uint32_t new_hall)
{
    struct session *s = h->handover == NULL ? NULL : handover_find(&h->handover->frozen, id);

    if (s == NULL)
        return;
    if (crossing_is_on(s))
        crossing_taken(s, new_hall);
    let_go(s, new_hall);
    handover_look_soon(h);
}

void
hall_keep(struct hall *h, uint64_t id)
{
    struct session *s = h->handover == NULL ? NULL : handover_find(&h->handover->frozen, id);

    if (s == NULL)
        return;
    thaw(s);
    give_up(s);
    handover_look_soon(h);
}

void
hall_take_back(struct hall *h)
{
    if (h->handover == NULL)
        return;
    h->handing_over = false;
    while (!ring_is_empty(&h->handover->waiting))
        ring_remove(ring_first(&h->handover->waiting));
    while (!ring_is_empty(&h->handover->frozen))
        thaw(container_of(ring_first(&h->handover->frozen), struct session, in_hall));
    ring_each (r, &h->sessions)
        container_of(r, struct session, in_hall)->stays = false;
}

unsigned
hall_n_frozen(const struct hall *h)
{
    return h->handover == NULL ? 0 : h->handover->n_frozen;
}

void
hall_forget_moving(struct hall *h)
{
    if (h->handover == NULL)
        return;
    while (!ring_is_empty(&h->handover->frozen))
        handover_leave(container_of(ring_first(&h->handover->frozen), struct session, in_hall));
    h->handover->n_frozen = 0;
    hall_drop_sleeping(h);
}
