/* SPDX-License-Identifier: ISC */
/* The life of one connection to PostgreSQL: one table of states, one function
 * that moves it. Dialling is in dial.c, the login in login.c. */
#include "server/server.h"

#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "server_private.h"
#include "wire/error.h"
#include "wire/message.h"
#include "wire/writer.h"

#define OWN_MESSAGE_MAX (1 << 20) /* longest message taken outside of a loan */

typedef enum server_state server_handler(struct server *s, uint8_t type, struct slice body);
static server_handler on_nothing, on_login, on_idle, on_clean;

static const struct {
    server_handler *on_message;
    unsigned next; /* set of the states that may follow */
} states[] = {
#define TO(name)                   (1u << SERVER_##name)
#define STATE(name, handler, next) [SERVER_##name] = { handler, next },
#include "server/server_states.def"
#undef STATE
#undef TO
};

void
server_move_to(struct server *s, enum server_state next)
{
    assert(states[s->state].next & (1u << next));
    s->state = next;
}

/* ---- messages outside of a loan ---- */

static enum server_state
on_nothing(struct server *s, uint8_t type, struct slice body)
{
    (void)body;
    log_warning("server=s%" PRIu64 " sent an unexpected message of type %c", s->id, type);
    return SERVER_GONE;
}

static enum server_state
on_login(struct server *s, uint8_t type, struct slice body)
{
    return login_message(s, type, body);
}

bool
server_report(struct server *s, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    struct slice name = wire_get_string(&c), value = wire_get_string(&c);

    if (c.bad || wire_left(&c) != 0 || s->reports->n > 200)
        return false;
    if (s->target->standby != NULL && slice_is(name, "in_hot_standby"))
        value = slice_str(s->target->standby);
    s->reports = params_with(s->reports, name, value);
    return true;
}

bool
server_is_leaving(struct slice notice)
{
    struct wire_error e;

    wire_error_read(notice, &e);
    return slice_is(e.sqlstate, "57P01") || slice_is(e.sqlstate, "57P02") || slice_is(e.sqlstate, "57P03");
}

static enum server_state
on_idle(struct server *s, uint8_t type, struct slice body)
{
    if (type == 'S')
        return server_report(s, body) ? SERVER_IDLE : SERVER_GONE;
    if (type == 'N' && server_is_leaving(body))
        return SERVER_GONE;
    return type == 'N' || type == 'A' ? SERVER_IDLE : SERVER_GONE;
}

static enum server_state
on_clean(struct server *s, uint8_t type, struct slice body)
{
    switch (type) {
    case 'S':
        return server_report(s, body) ? SERVER_CLEAN : SERVER_GONE;
    case 'E':
    case 'G':
    case 'H':
    case 'W':
        return SERVER_GONE;
    case 'Z':
        if (body.len != 1)
            return SERVER_GONE;
        s->status = (char)body.data[0];
        if (--s->cleaning > 0)
            return SERVER_CLEAN;
        return s->status == 'I' ? SERVER_IDLE : SERVER_GONE;
    default:
        return SERVER_CLEAN;
    }
}

static void
became(struct server *s, enum server_state before, uint8_t type, struct slice body)
{
    struct wire_error e;
    struct fault why;

    if (s->state == SERVER_IDLE && before != SERVER_IDLE) {
        timer_stop(s->stream.turn->worker, &s->deadline);
        s->idle_us = s->stream.turn->worker->now_us;
        s->ready = true;
    }
    if (s->state != SERVER_GONE)
        return;
    s->died = true;
    s->state = before; /* server_close() moves it */
    fault_set(&why, "08P01", "the server sent an unexpected message of type %c", type);
    if (s->login != NULL && s->login->failed.sqlstate[0] != '\0')
        why = s->login->failed;
    else if (type == 'E' && wire_error_read(body, &e))
        wire_error_fault(&e, &why);
    server_end(s, &why);
}

static size_t
own_messages(struct server *s, struct slice bytes)
{
    size_t used = 0;

    while (s->state < SERVER_LEAVING && s->state != SERVER_LENT) {
        enum server_state before = s->state;
        struct wire_frame f;
        enum wire_answer a = wire_frame_read(bytes.data + used, bytes.len - used, OWN_MESSAGE_MAX, &f);
        struct slice body;
        struct fault why;

        if (a == WIRE_BAD) {
            fault_set(&why, "08P01", "the server sent a message with a bad length");
            server_end(s, &why);
            break;
        }
        if (a == WIRE_MORE || f.len > bytes.len - used)
            break;
        body = slice_of(bytes.data + used + WIRE_HEADER, f.len - WIRE_HEADER);
        used += f.len;
        server_move_to(s, states[s->state].on_message(s, f.type, body));
        became(s, before, f.type, body);
        if (before == SERVER_LOGIN && s->state == SERVER_DIAL)
            return bytes.len; /* another link takes its place */
    }
    return used;
}

/* ---- events of the stream ---- */

static size_t
on_bytes(struct stream *stream, struct slice bytes)
{
    struct server *s = container_of(stream, struct server, stream);
    size_t used;

    if (s->state == SERVER_TLS)
        return dial_tls_answer(s, bytes);
    if (s->state == SERVER_LEAVING)
        return bytes.len;
    if (s->state != SERVER_LENT)
        return own_messages(s, bytes);
    used = s->borrower->on_bytes(s, bytes);
    return s->state == SERVER_LENT ? used : used + own_messages(s, slice_tail(bytes, used));
}

static void
on_end(struct stream *stream, const struct fault *end)
{
    struct server *s = container_of(stream, struct server, stream);
    struct fault why;

    if (s->state == SERVER_LEAVING) {
        server_abandon(s);
        return;
    }
    s->died = true;
    if (end != NULL)
        why = *end;
    else
        fault_set(&why, "08006", "server closed the connection unexpectedly");
    if (s->login != NULL && dial_again(s, false))
        return;
    server_end(s, &why);
}

static void
on_open(struct stream *stream)
{
    dial_opened(container_of(stream, struct server, stream));
}

static void
on_quiet(struct stream *stream)
{
    struct server *s = container_of(stream, struct server, stream);

    if (s->state == SERVER_LENT) {
        s->borrower->on_quiet(s);
    } else if (s->ready) {
        s->ready = false;
        s->keeper->on_ready(s);
    }
}

const struct stream_events server_stream_events = { on_bytes, on_end, on_open, on_quiet, NULL };

static void
on_deadline(struct timer *t)
{
    struct server *s = container_of(t, struct server, deadline);
    struct fault why;

    if (s->state == SERVER_LEAVING) {
        server_abandon(s);
        return;
    }
    if (s->login != NULL && s->login->failed.sqlstate[0] != '\0')
        why = s->login->failed;
    else
        fault_set(&why, "08001",
                  s->state == SERVER_CLEAN ? "server did not answer its check or reset in time"
                                           : "connect timeout");
    server_end(s, &why);
}

/* ---- what the others call ---- */

struct server *
server_new(struct net_turn *t, const struct server_target *target, const struct server_keeper *keeper,
           void *pool, struct slice replication)
{
    struct server *s = mem_new(struct server);

    ring_init(&s->in_pool);
    ring_init(&s->canceling);
    s->target = target;
    s->keeper = keeper;
    s->pool = pool;
    s->replication = replication.len > 0;
    s->status = 'I';
    s->connected_us = t->worker->now_us;
    s->reports = params_empty(target->sets);
    s->settings = params_empty(target->sets);
    s->prepared = prepared_new();
    s->login = mem_new(struct server_login);
    s->login->replication = slice_dup(replication);
    s->stream.turn = t;
    timer_init(&s->deadline, on_deadline);
    timer_start(t->worker, &s->deadline,
                target->connect_timeout_us > 0 ? target->connect_timeout_us : INT64_C(3600000000));
    dial_start(s);
    return s;
}

static void
dig(struct grave *g)
{
    struct server *s = container_of(g, struct server, grave);

    prepared_free(s->prepared);
    text_done(&s->request);
    params_drop(s->reports);
    params_drop(s->reported);
    params_drop(s->defaults);
    params_drop(s->settings);
    params_drop(s->by_sql);
    params_drop(s->startup);
    mem_free(s);
}

void
server_abandon(struct server *s)
{
    struct worker *w = s->stream.turn->worker;

    s->state = SERVER_GONE;
    timer_stop(w, &s->deadline);
    stream_close(&s->stream);
    s->keeper->on_left(s);
    worker_bury(w, &s->grave, dig);
}

/* Nobody reads what is still to come. */
static void
say_farewell(struct server *s)
{
    stream_unlink(&s->stream);
    stream_resume(&s->stream, STREAM_PAUSE_OWNER | STREAM_PAUSE_FULL);
    stream_put_copy(&s->stream, SLICE("X\0\0\0\4"));
    stream_flush(s->stream.turn);
    timer_start(s->stream.turn->worker, &s->deadline, SERVER_FAREWELL_US);
}

static void
go(struct server *s, const struct fault *why, bool polite)
{
    if (s->state >= SERVER_LEAVING)
        return;
    dial_done(s);
    cancel_abandon(s);
    timer_stop(s->stream.turn->worker, &s->deadline);
    s->state = polite ? SERVER_LEAVING : SERVER_GONE;
    if (polite)
        say_farewell(s);
    s->keeper->on_gone(s, why);
    if (!polite)
        server_abandon(s);
}

void
server_close(struct server *s, const struct fault *why)
{
    const struct stream *t = &s->stream;

    go(s, why, s->login == NULL && t->stage == STREAM_OPEN && !t->ended && !s->died && !stream_is_blocked(t));
}

void
server_part(struct server *s, const struct fault *why)
{
    go(s, why, false);
}

void
server_end(struct server *s, const struct fault *why)
{
    const struct server_borrower *b = s->state == SERVER_LENT ? s->borrower : NULL;

    if (b != NULL)
        b->on_gone(s, why);
    server_close(s, why);
}

void
server_lend(struct server *s, const struct server_borrower *b, void *session)
{
    server_move_to(s, SERVER_LENT);
    s->borrower = b;
    s->session = session;
    if (s->defaults == NULL)
        s->defaults = params_hold(s->reports);
    s->lent_us = s->stream.turn->worker->now_us;
}

void
server_take_back(struct server *s)
{
    assert(s->status == 'I' && s->cancels == 0);
    s->borrower = NULL;
    s->session = NULL;
    s->idle_us = s->stream.turn->worker->now_us;
    server_move_to(s, SERVER_IDLE);
}

void
server_clean(struct server *s, const struct slice *sql, unsigned n, int64_t timeout_us)
{
    struct text t = { 0 };

    server_move_to(s, SERVER_CLEAN);
    s->borrower = NULL;
    s->session = NULL;
    s->cleaning = (uint8_t)n;
    s->unnamed = (struct statement_id){ 0 }; /* as any simple query does */
    if (s->status != 'I') {
        wire_put_query(&t, SLICE("ROLLBACK"));
        s->cleaning++;
    }
    for (unsigned i = 0; i < n; i++)
        wire_put_query(&t, sql[i]);
    assert(s->cleaning > 0);
    timer_start(s->stream.turn->worker, &s->deadline, timeout_us);
    stream_put_copy(&s->stream, text_slice(&t));
    stream_flush(s->stream.turn);
    text_done(&t);
}

void
server_forget(struct server *s)
{
    params_drop(s->settings);
    s->settings = params_empty(s->target->sets);
    prepared_clear(s->prepared);
    params_drop(s->by_sql);
    s->by_sql = NULL;
    s->sequences_of = 0;
}

bool
server_is_stale(struct server *s)
{
    if (!stream_has_input(&s->stream))
        return false;
    s->ready = true; /* the event that is on its way announces it again, if it survives it */
    return true;
}

bool
server_may_move(const struct server *s)
{
    const struct stream *t = &s->stream;

    return s->state == SERVER_IDLE && !s->ready && s->cancels == 0 && t->stage == STREAM_OPEN && !t->ended &&
           !t->in_callback && (t->tls == NULL || !tls_has_pending(t->tls)) && t->in_len == 0 && t->out_len == 0;
}

/* Sets live in the worker's table: they travel as plain copies of their own. */
void
server_leave(struct server *s)
{
    assert(server_may_move(s));
    params_detach(&s->reports);
    params_detach(&s->defaults);
    params_detach(&s->settings);
    params_detach(&s->by_sql);
    timer_stop(s->stream.turn->worker, &s->deadline);
    stream_leave(&s->stream);
}

void
server_join(struct server *s, struct net_turn *t, const struct server_target *target, void *pool)
{
    s->target = target;
    s->pool = pool;
    params_attach(&s->reports, target->sets);
    params_attach(&s->defaults, target->sets);
    params_attach(&s->settings, target->sets);
    params_attach(&s->by_sql, target->sets);
    stream_join(&s->stream, t);
}
