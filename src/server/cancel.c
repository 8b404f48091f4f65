/* SPDX-License-Identifier: ISC */
/* Cancel requests: a connection of their own (manual, "Canceling Requests in
 * Progress"). PostgreSQL has sent its signal by the time it closes that connection, so a
 * server whose cancels counter is not zero must not be lent to anybody else. */
#include <arpa/inet.h>

#include "base/log.h"
#include "base/mem.h"
#include "server_private.h"
#include "wire/startup.h"

struct cancel {
    struct stream stream;
    struct grave grave;
    struct timer deadline;
    struct server *server; /* NULL once it is gone */
    struct ring in_server, in_worker;
    uint32_t pid, key;
    struct mail *done; /* or NULL */
    struct worker *done_to;
};

static void
dig(struct grave *g)
{
    mem_free(container_of(g, struct cancel, grave));
}

static void
finish(struct cancel *c)
{
    struct worker *w = c->stream.turn->worker;
    struct server *s = c->server;

    timer_stop(w, &c->deadline);
    stream_close(&c->stream);
    worker_bury(w, &c->grave, dig);
    ring_remove(&c->in_server);
    ring_remove(&c->in_worker);
    c->server = NULL;
    if (c->done != NULL)
        mail_post(c->done_to, c->done);
    if (s == NULL || --s->cancels > 0)
        return;
    if (s->state == SERVER_LENT)
        s->borrower->on_cancelled(s);
}

static void
on_open(struct stream *stream)
{
    struct cancel *c = container_of(stream, struct cancel, stream);
    struct text t = { 0 };
    uint32_t key = htonl(c->key);

    startup_put_cancel(&t, c->pid, slice_of(&key, sizeof(key)));
    stream_put_copy(stream, text_slice(&t));
    text_done(&t);
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
    (void)why;
    finish(container_of(stream, struct cancel, stream));
}

static void
on_deadline(struct timer *t)
{
    log_warning("cancel request closing because: cancel_wait_timeout");
    finish(container_of(t, struct cancel, deadline));
}

static const struct stream_events events = { on_bytes, on_end, on_open, NULL, NULL };

bool
server_cancel(struct server *s, int64_t timeout_us, struct mail *done, struct worker *done_to)
{
    struct cancel *c;
    struct fault why;

    if (s->pid == 0 || s->cancels > 0)
        return false;
    c = mem_new(struct cancel);
    c->pid = s->pid;
    c->key = s->key;
    timer_init(&c->deadline, on_deadline);
    if (!stream_dial(&c->stream, s->stream.turn, &s->address, &events, &why)) {
        log_warning("cannot pass on a cancel request: %s", why.message);
        mem_free(c);
        return false;
    }
    c->done = done;
    c->done_to = done_to;
    c->server = s;
    ring_init(&c->in_server);
    ring_append(&s->canceling, &c->in_server);
    ring_init(&c->in_worker);
    ring_append(s->target->cancels, &c->in_worker);
    s->cancels++;
    log_debug("server=s%llu is asked to cancel", (unsigned long long)s->id);
    timer_start(s->stream.turn->worker, &c->deadline, timeout_us);
    return true;
}

void
cancel_abandon(struct server *s)
{
    struct ring *r;

    while ((r = ring_first(&s->canceling)) != NULL) {
        container_of(r, struct cancel, in_server)->server = NULL;
        ring_remove(r);
    }
}

void
server_end_cancels(struct ring *cancels)
{
    struct ring *r;

    while ((r = ring_first(cancels)) != NULL)
        finish(container_of(r, struct cancel, in_worker));
}
