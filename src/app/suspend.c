/* SPDX-License-Identifier: ISC */
/* SUSPEND: nothing more is read from clients and servers, what was read is written. The console goes on, and
 * who logs in meanwhile waits for a server. On the hall's thread. */
#include "actions_private.h"
#include "session/passing.h"

static bool
takes_part(const struct session *s)
{
    return s->state >= SESSION_READY && s->state < SESSION_CONSOLE;
}

static bool
is_unsent(const struct session *s)
{
    return stream_is_blocked(&s->client) || (s->server != NULL && stream_is_blocked(&s->server->stream));
}

unsigned
suspend_hall(struct hall *h, bool force)
{
    unsigned n = 0;
    struct fault why;

    ring_each_safe (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);

        if (!takes_part(s))
            continue;
        stream_pause(&s->client, STREAM_PAUSE_ADMIN);
        if (s->server != NULL)
            stream_pause(&s->server->stream, STREAM_PAUSE_ADMIN);
        if (is_unsent(s) && force) {
            s->cut = true;
            fault_set(&why, "57P01", "suspend_timeout");
            session_close(s, &why);
        } else {
            n += is_unsent(s);
        }
    }
    stream_flush(&h->turn);
    return n;
}

static bool
is_held(const struct session *s)
{
    return (s->client.paused & STREAM_PAUSE_ADMIN) != 0;
}

/* What it waited for may have come meanwhile. */
static void
go_on(struct session *s)
{
    if (s->server != NULL)
        stream_resume(&s->server->stream, STREAM_PAUSE_ADMIN);
    stream_resume(&s->client, STREAM_PAUSE_ADMIN);
    if (s->client.paused == 0)
        stream_again(&s->client);
}

/* Whoever goes on may end others: they are taken one by one. */
void
suspend_end(struct hall *h)
{
    struct ring held;

    hall_take_up(h);
    ring_init(&held);
    ring_each_safe (r, &h->sessions) {
        if (!is_held(container_of(r, struct session, in_hall)))
            continue;
        ring_remove(r);
        ring_append(&held, r);
    }
    while (!ring_is_empty(&held)) {
        struct ring *r = ring_first(&held);

        ring_remove(r);
        ring_append(&h->sessions, r);
        go_on(container_of(r, struct session, in_hall));
    }
}
