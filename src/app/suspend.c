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

void
suspend_end(struct hall *h)
{
    hall_take_up(h);
    ring_each (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);

        stream_resume(&s->client, STREAM_PAUSE_ADMIN);
        if (s->server != NULL)
            stream_resume(&s->server->stream, STREAM_PAUSE_ADMIN);
    }
}
