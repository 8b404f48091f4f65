/* SPDX-License-Identifier: ISC */
/* One client from its first byte to its end: who takes its bytes in which state. */
#include "session/session.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "choose_private.h"

static const char *const shown[] = {
#define STATE(name, bytes, shown) [SESSION_##name] = shown,
#include "session/session_states.def"
#undef STATE
};

const char *
session_state_shown(enum session_state s)
{
    return shown[s];
}

/* ---- events of the client ---- */

static size_t
tunnel_bytes(struct session *s, struct slice bytes)
{
    stream_put(&s->server->stream, bytes);
    return bytes.len;
}

static size_t
on_bytes(struct stream *stream, struct slice bytes)
{
    struct session *s = container_of(stream, struct session, client);

    switch ((enum session_state)s->state) {
    case SESSION_HELLO:
        return hello_bytes(s, bytes);
    case SESSION_LOGIN:
        return login_bytes(s, bytes);
    case SESSION_READY:
    case SESSION_LINKED:
        return take_bytes(s, bytes);
    case SESSION_TUNNEL:
        return tunnel_bytes(s, bytes);
    case SESSION_CONSOLE:
        return console_bytes(s, bytes);
    default: /* kept until it can be used, within a limit */
        if (bytes.len >= KEPT_MAX)
            stream_pause(stream, STREAM_PAUSE_FULL);
        return 0;
    }
}

static void
on_end(struct stream *stream, const struct fault *why)
{
    (void)why;
    session_close(container_of(stream, struct session, client), NULL);
}

static void
on_open(struct stream *stream)
{
    hello_secured(container_of(stream, struct session, client));
}

static void
on_tls_hello(struct stream *stream)
{
    hello_direct_tls(container_of(stream, struct session, client));
}

static const struct stream_events stream_events = { on_bytes, on_end, on_open, NULL, on_tls_hello };

/* ---- talking to the client ---- */

struct text *
session_scratch(struct session *s)
{
    text_clear(&s->hall->scratch);
    return &s->hall->scratch;
}

void
session_send(struct session *s, const struct text *t)
{
    stream_put_copy(&s->client, text_slice(t));
}

void
session_say(struct session *s, enum wire_severity severity, const struct fault *why)
{
    struct text *t = session_scratch(s);
    char who[COMPAT_WHO];
    struct fault theirs;

    why = compat_fault(s, why, &theirs);
    wire_put_fault(t, severity, why);
    session_send(s, t);
    if (severity > WIRE_FATAL || !s->hall->setup.conf->general.log_pooler_errors)
        return;
    log_line(s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
             "%s pooler error: %s sqlstate=%s", compat_who(s, who), why->message, why->sqlstate);
}

bool
session_protocol_error(struct session *s, const char *what)
{
    struct fault why;

    fault_set(&why, "08P01", "%s", what);
    session_close(s, &why);
    return false;
}

void
session_move_to(struct session *s, enum session_state next)
{
    s->state = (uint8_t)next;
    s->since_us = session_now(s);
    s->wait_told = false;
    stream_resume(&s->client, STREAM_PAUSE_FULL);
    if (next == SESSION_READY && s->hall->handing_over)
        handover_note(s);
}

/* ---- birth and death ---- */

void
session_set_names(struct session *s, struct slice user, struct slice database)
{
    s->user = mem_zalloc(user.len + database.len + 2);
    s->database = s->user + user.len + 1;
    memcpy(s->user, user.data, user.len);
    memcpy(s->database, database.data, database.len);
}

struct session *
session_new(struct hall *h, int fd, bool is_unix)
{
    struct session *s = mem_new(struct session);

    s->hall = h;
    s->id = atomic_fetch_add(h->next_id, 1);
    s->status = 'I';
    s->is_unix = is_unix;
    s->connected_us = clock_wall_us();
    s->since_us = h->worker.now_us;
    ring_init(&s->in_linked);
    ring_init(&s->waiter.in_queue);
    timer_init(&s->timer, timeouts_on_timer);
    ring_append(&h->sessions, &s->in_hall);
    h->n_sessions++;
    h->n_logins++;
    stream_open(&s->client, &h->turn, fd, &stream_events);
    s->client.peek = h->setup.client_tls != NULL && !is_unix;
    timeouts_arm(s);
    return s;
}

static void
dig(struct grave *g)
{
    struct session *s = container_of(g, struct session, grave);

    mem_free(s->parting);
    mem_free(s->lost_why);
    mem_free(s);
}

static void
log_end(const struct session *s, const struct fault *why, bool was_in)
{
    const struct conf_general *g = &s->hall->setup.conf->general;
    const char *left = s->client.ended ? "client unexpected eof" : "client close request";
    const char *reason = why == NULL ? left : why->message;
    int64_t age = (clock_wall_us() - s->connected_us) / CLOCK_S;
    char who[COMPAT_WHO];

    if (!g->log_disconnections || (!was_in && why == NULL))
        return;
    compat_who(s, who);
    if (g->compat == CONF_COMPAT_PGBOUNCER)
        log_info("%s closing because: %s (age=%" PRId64 "s)", who, reason, age);
    else
        log_info("%s closing because: %s (age=%" PRId64 "s) database=%s user=%s", who, reason, age,
                 s->database == NULL ? "" : s->database, s->user == NULL ? "" : s->user);
}

static void
leave_pool(struct session *s)
{
    if (s->pool != NULL)
        pool_leave(s->pool);
    if (s->entered)
        registry_client_leave(s->hall->registry, slice_str(s->database), slice_str(s->user));
    s->entered = false;
    s->pool = NULL;
}

static void
free_state(struct session *s)
{
    prepared_names_clear(s);
    statement_drop(s->unnamed);
    statement_drop(s->next_run);
    s->unnamed = s->next_run = NULL;
    settings_done(s);
    opening_end(s);
    listen_done(s);
    choose_done(s);
    login_free(s);
    credential_drop(s->credential);
    mem_free(s->application);
    mem_free(s->user); /* and its database */
    s->credential = NULL;
    s->application = s->database = s->user = NULL;
}

void
session_close(struct session *s, const struct fault *why)
{
    struct hall *h = s->hall;
    bool was_in = s->state >= SESSION_READY;
    struct fault theirs;

    if (s->state == SESSION_GONE)
        return;
    why = s->passed ? NULL : compat_fault(s, why, &theirs);
    if (why != NULL && !s->cut)
        session_say(s, WIRE_FATAL, why);
    s->client.last_words = why != NULL;
    log_end(s, why, was_in);
    stream_flush(s->client.turn);
    if (s->state < SESSION_READY)
        h->n_logins--;
    if (s->passed)
        passing_part(s);
    link_drop(s);
    s->state = SESSION_GONE;
    console_end(s);
    cancel_unregister(s);
    if ((s->hello_asked & 1u << STARTUP_CANCEL) != 0)
        cancel_forget_client(s);
    leave_pool(s);
    pending_done(s);
    timer_stop(&h->worker, &s->timer);
    ring_remove(&s->in_hall);
    ring_remove(&s->in_linked);
    h->n_sessions--;
    stream_close(&s->client);
    free_state(s);
    worker_bury(&h->worker, &s->grave, dig);
}

unsigned
session_n_prepared(const struct session *s)
{
    return prepared_names_count(s);
}
