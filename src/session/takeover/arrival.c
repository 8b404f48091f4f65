/* SPDX-License-Identifier: ISC */
/* The new process: sessions are taken in, asleep, and go on when the old one has let them go. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "crossing_private.h"
#include "handover_private.h"

/* Clients that are there already are over no limit. */
static void
enter(struct session *s, const struct conf_database *d, const struct image *im)
{
    const struct client_limits none = { 0 };
    struct fault why;

    s->entered =
        registry_client_enter(s->hall->registry, slice_str(s->database), slice_str(s->user), &none, &why);
    choose_begin(s, d);
    timeouts_resolve(s);
    if (s->routing == NULL)
        return;
    s->routing->token.lsn = im->lsn;
    s->routing->token.unresolved_us = clock_now_us(); /* what it last wrote is older than that */
}

static struct session *
take_in(struct hall *h, struct parcel *p, const struct conf_database *d, const struct image *im)
{
    struct net_address local;
    struct session *s;

    net_address_local(&local, p->fd);
    s = session_new(h, p->fd, local.any.sa_family == AF_UNIX);
    p->fd = -1;
    h->n_logins--;
    s->client.peek = false;
    s->moving = true;
    timer_stop(&h->worker, &s->timer);
    stream_leave(&s->client);
    ring_remove(&s->in_hall);
    ring_append(&handover_of(h)->sleeping, &s->in_hall);
    portrait_read(s, im);
    s->state = SESSION_READY;
    enter(s, d, im);
    s->since_us = session_now(s) - im->idle_us;
    return s;
}

static void
bring_back(struct hall *h, struct parcel *p, bool taken, const char *why)
{
    if (!taken)
        log_warning("client=c%" PRIu64 " cannot be taken over: %s", p->id, why);
    p->taken = taken;
    p->new_hall = h->worker.index;
    p->mail.deliver = p->bring;
    mail_post(h->control, &p->mail);
}

void
handover_arrived(struct session *s, struct parcel *p, bool fine)
{
    struct hall *h = s->hall;

    if (!fine)
        handover_leave(s);
    bring_back(h, p, fine, "nobody can listen for it");
}

void
hall_take_in(struct hall *h, struct parcel *p)
{
    const struct conf_database *d;
    struct session *s;
    struct image im;
    struct fault why;

    if (!image_read(text_slice(&p->image), &im, &why)) {
        bring_back(h, p, false, why.message);
        return;
    }
    d = conf_find_database(h->setup.conf, im.database);
    if (d == NULL) {
        bring_back(h, p, false, "its database does not exist any more");
        return;
    }
    s = take_in(h, p, d, &im);
    if (im.channels.present && s->pool->conf.mode != CONF_POOL_SESSION)
        crossing_arrive(s, &im, p);
    else
        handover_arrived(s, p, !im.channels.present);
}

void
hall_wake(struct hall *h, uint64_t id, struct slice rest)
{
    struct session *s = h->handover == NULL ? NULL : handover_find(&h->handover->sleeping, id);

    if (s == NULL)
        return;
    ring_remove(&s->in_hall);
    ring_append(&h->sessions, &s->in_hall);
    s->moving = false;
    stream_join(&s->client, &h->turn);
    stream_put_copy(&s->client, rest);
    crossing_end(s);
    stream_flush(&h->turn);
    timeouts_arm(s);
    if (h->handing_over)
        handover_note(s);
}

void
hall_drop_sleeping(struct hall *h)
{
    while (h->handover != NULL && !ring_is_empty(&h->handover->sleeping))
        handover_leave(container_of(ring_first(&h->handover->sleeping), struct session, in_hall));
}
