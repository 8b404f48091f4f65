/* SPDX-License-Identifier: ISC */
/* Cancel requests on their way to the instance that made their key. Bytes 1 and 2 of a key are the peer_id,
 * lowest first, the last two bits of byte 7 say how often the request may still be passed on: as PgBouncer has
 * it. On the first hall's thread. */
#include "session/peers.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/names.h"
#include "session_private.h"
#include "wire/startup.h"

#define TTL_BITS 3u

enum stage { STAGE_WAITING, STAGE_RESOLVING, STAGE_CONNECTING, STAGE_SENT };

struct peer_request {
    struct mail mail; /* from the hall that got it */
    struct stream stream;
    struct grave grave;
    struct timer deadline;
    struct ring in_hall;
    struct hall *hall;
    struct look_up *look_up;
    enum stage stage;
    unsigned peer;
    struct cancel_ask ask;
    struct mail *done;
    struct worker *done_to;
};

/* Outlives the request that wants it when that ends first. */
struct look_up {
    struct resolve resolve;
    struct peer_request *request;
};

static void
dig(struct grave *g)
{
    mem_free(container_of(g, struct peer_request, grave));
}

static void next_of(struct hall *h, unsigned peer);

/* NULL: the other side has closed, so it has done what there was to do. */
static void
finish(struct peer_request *r, const char *trouble)
{
    if (trouble != NULL)
        log_warning("a cancel request did not reach peer %u: %s", r->peer, trouble);
    timer_stop(&r->hall->worker, &r->deadline);
    if (r->look_up != NULL)
        r->look_up->request = NULL;
    stream_close(&r->stream);
    ring_remove(&r->in_hall);
    r->hall->n_passed_on--;
    next_of(r->hall, r->peer);
    mail_post(r->done_to, r->done);
    worker_bury(&r->hall->worker, &r->grave, dig);
}

/* ---- the connection ---- */

static void
on_open(struct stream *stream)
{
    struct peer_request *r = container_of(stream, struct peer_request, stream);
    struct text t = { 0 };

    startup_put_cancel(&t, r->ask.pid, slice_of(r->ask.key, r->ask.len));
    stream_put_copy(stream, text_slice(&t));
    text_done(&t);
    r->stage = STAGE_SENT;
}

static size_t
on_bytes(struct stream *stream, struct slice bytes)
{
    (void)stream;
    return bytes.len;
}

static void
on_end(struct stream *stream, const struct fault *why)
{
    struct peer_request *r = container_of(stream, struct peer_request, stream);

    finish(r, r->stage == STAGE_SENT ? NULL : why == NULL ? "it closed the connection" : why->message);
}

static void
dial(struct peer_request *r, const struct net_address *a)
{
    static const struct stream_events events = { on_bytes, on_end, on_open, NULL, NULL };
    struct fault why;

    r->stage = STAGE_CONNECTING;
    if (!stream_dial(&r->stream, &r->hall->turn, a, &events, &why))
        finish(r, why.message);
}

static void
use_answer(struct peer_request *r, const struct resolve *answer)
{
    if (answer->n == 0)
        finish(r, answer->message);
    else
        dial(r, &answer->found[0]);
}

static void
on_resolved(struct worker *w, struct mail *m)
{
    struct look_up *l = container_of(m, struct look_up, resolve.job.done);
    struct peer_request *r = l->request;

    names_cache_take(registry_names(hall_of(w)->registry), &l->resolve, w->now_us);
    if (r != NULL) {
        r->look_up = NULL;
        use_answer(r, &l->resolve);
    }
    mem_free(l);
}

static void
look_up(struct peer_request *r, const struct conf_peer *p)
{
    struct look_up *l = mem_new(struct look_up);
    struct worker *w = &r->hall->worker;
    enum names_answer answer;

    l->request = r;
    l->resolve.port = (uint16_t)p->port;
    snprintf(l->resolve.host, sizeof(l->resolve.host), "%s", p->host);
    l->resolve.job.from = w;
    l->resolve.job.done.deliver = on_resolved;
    r->look_up = l;
    r->stage = STAGE_RESOLVING;
    answer = names_cache_ask(registry_names(r->hall->registry), &l->resolve, w->now_us);
    if (answer == NAMES_ASKED)
        return;
    r->look_up = NULL;
    if (answer == NAMES_KNOWN)
        use_answer(r, &l->resolve);
    else
        finish(r, "too many names are being looked up");
    mem_free(l);
}

static void
start(struct peer_request *r)
{
    const struct conf_peer *p = conf_find_peer(r->hall->setup.conf, r->peer);
    struct net_address a;

    if (p == NULL)
        finish(r, "it is not in [peers] any more");
    else if (p->host[0] == '/' || p->host[0] == '@')
        net_address_unix(&a, p->host, (uint16_t)p->port) ? dial(r, &a) : finish(r, "its path is too long");
    else if (net_address_numeric(&a, p->host, (uint16_t)p->port))
        dial(r, &a);
    else
        look_up(r, p);
}

/* ---- taking turns ---- */

void
peers_count(const struct hall *h, unsigned peer, struct peer_counts *out)
{
    *out = (struct peer_counts){ 0 };
    ring_each (e, &h->passed_on) {
        const struct peer_request *r = container_of(e, struct peer_request, in_hall);

        if (r->peer != peer)
            continue;
        out->waiting += r->stage == STAGE_WAITING;
        out->connecting += r->stage == STAGE_RESOLVING || r->stage == STAGE_CONNECTING;
        out->sent += r->stage == STAGE_SENT;
    }
}

static bool
has_room(const struct hall *h, unsigned peer)
{
    const struct conf_peer *p = conf_find_peer(h->setup.conf, peer);
    int64_t most = p == NULL ? 0 : p->pool_size >= 0 ? p->pool_size : h->setup.conf->general.default_pool_size;
    struct peer_counts now;

    peers_count(h, peer, &now);
    return most == 0 || now.connecting + now.sent < most;
}

static void
next_of(struct hall *h, unsigned peer)
{
    if (!has_room(h, peer))
        return;
    ring_each (e, &h->passed_on) {
        struct peer_request *r = container_of(e, struct peer_request, in_hall);

        if (r->peer == peer && r->stage == STAGE_WAITING) {
            start(r);
            return;
        }
    }
}

static void
on_deadline(struct timer *t)
{
    finish(container_of(t, struct peer_request, deadline), "no answer in time");
}

static void
on_request(struct worker *w, struct mail *m)
{
    struct peer_request *r = container_of(m, struct peer_request, mail);
    struct hall *h = hall_of(w);
    int64_t most = h->setup.conf->general.cancel_wait_timeout;

    if (!cancel_has_room(h, h->n_passed_on)) {
        mail_post(r->done_to, r->done);
        mem_free(r);
        return;
    }
    r->hall = h;
    ring_append(&h->passed_on, &r->in_hall);
    h->n_passed_on++;
    timer_init(&r->deadline, on_deadline);
    timer_start(w, &r->deadline, most > 0 ? most : 10 * CLOCK_S);
    if (has_room(h, r->peer))
        start(r);
}

bool
peers_pass_on(struct hall *h, const struct cancel_ask *a, struct mail *done)
{
    unsigned own = (unsigned)h->setup.conf->general.peer_id, peer = cancel_peer(a->pid);
    struct peer_request *r;

    if (own == 0 || peer == own || a->len < 4 || conf_find_peer(h->setup.conf, peer) == NULL)
        return false;
    if ((a->key[3] & TTL_BITS) == 0) {
        log_warning("a cancel request for peer %u was passed on too often", peer);
        return false;
    }
    r = mem_new(struct peer_request);
    r->peer = peer;
    r->ask = *a;
    r->ask.key[3]--;
    r->done = done;
    r->done_to = &h->worker;
    r->mail.deliver = on_request;
    mail_post(registry_worker(h->registry, 0), &r->mail);
    return true;
}

void
peers_done(struct hall *h)
{
    while (!ring_is_empty(&h->passed_on)) {
        struct peer_request *r = container_of(ring_first(&h->passed_on), struct peer_request, in_hall);

        r->peer = 0; /* nobody is next */
        finish(r, NULL);
    }
}
