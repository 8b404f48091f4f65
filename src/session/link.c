/* SPDX-License-Identifier: ISC */
/* Having a server: getting one, bringing it to the session's state, giving it back
 * when nothing keeps it. */
#include <assert.h>

#include "base/mem.h"
#include "choose_private.h"

static void
linked(struct session *s, struct server *server)
{
    s->server = server;
    if (s->routing != NULL)
        s->routing->failed_us = 0;
    server_lend(server, &link_borrower, s);
    stream_link(&s->client, &server->stream);
    ring_remove(&s->in_linked); /* it may have been about to move */
    ring_append(&s->hall->linked, &s->in_linked);
    s->hall->n_linked++;
    timeouts_linked(s->hall);
    params_drop(s->told_before);
    s->told_before = params_hold(server->reports);
    s->rows_flowed = false;
}

static void
unlink_server(struct session *s)
{
    listen_unlink(s);
    stream_unlink(&s->client);
    ring_remove(&s->in_linked);
    s->hall->n_linked--;
    s->server = NULL;
    pending_done(s);
    bound_clear(s);
    holds_forget(s);
    opening_unlink(s);
    s->copy = COPY_NONE;
    s->server_left = 0;
    s->extended = EXTENDED_CLEAN;
    take_resume(s);
}

static void
on_server(struct pool_waiter *w, struct server *server)
{
    struct session *s = container_of(w, struct session, waiter);
    struct net_turn *t = s->client.turn;

    linked(s, server);
    if (s->routing != NULL)
        s->routing->lent = s->state == SESSION_WAITING;
    if (s->state == SESSION_WELCOME) {
        welcome_server(s);
    } else {
        session_move_to(s, SESSION_LINKED);
        stream_again(&s->client);
    }
    stream_flush(t);
}

static void
on_trouble(struct pool_waiter *w, const struct fault *why)
{
    struct session *s = container_of(w, struct session, waiter);
    bool final = s->state == SESSION_WELCOME && welcome_is_final(why);

    if (s->routing != NULL && !final && choose_another(s)) {
        pool_stop_waiting(s->pool, &s->waiter);
        choose_hold(s);
    } else if (s->state == SESSION_WELCOME) {
        welcome_trouble(s, why);
    }
}

void
link_open_replication(struct session *s, struct slice mode)
{
    s->waiter.on_server = on_server;
    s->waiter.on_trouble = on_trouble;
    pool_open_replication(s->pool, &s->waiter, mode, s->startup);
}

bool
link_find(struct session *s)
{
    struct server *server;

    if (s->server != NULL)
        return choose_stays(s);
    if (s->routing != NULL && !choose_pool(s))
        return false;
    s->waiter.on_server = on_server;
    s->waiter.on_trouble = on_trouble;
    server = pool_borrow(s->pool, &s->waiter);
    if (server == NULL) {
        if (s->routing != NULL && (s->pool->flags & DATABASE_PAUSED) != 0)
            s->routing->failed_us = 0; /* nobody tries now */
        if (s->state == SESSION_READY)
            session_move_to(s, SESSION_WAITING);
        timeouts_arm(s);
        return false;
    }
    linked(s, server);
    if (s->state == SESSION_READY)
        session_move_to(s, SESSION_LINKED);
    return true;
}

bool
link_waits(struct session *s, struct slice sql)
{
    return s->server == NULL && s->routing == NULL && pool_would_wait(s->pool) && !opening_may_be(s, sql) &&
           !link_find(s);
}

void
link_put(struct session *s, struct text *t)
{
    stream_put_copy(&s->server->stream, text_slice(t));
    text_clear(t);
}

struct pending_entry *
link_put_close(struct session *s, struct slice name, unsigned flags)
{
    struct text *t = session_scratch(s);
    size_t start = wire_begin(t, 'C');

    wire_put_u8(t, 'S');
    wire_put_string(t, name);
    wire_end(t, start, 'C');
    link_put(s, t);
    return pending_push(s, PENDING_CLOSE, PENDING_OURS | flags);
}

void
link_put_query(struct session *s, struct text *t, unsigned flags)
{
    link_put(s, t);
    s->server->unnamed = (struct statement_id){ 0 };
    pending_push(s, PENDING_QUERY, PENDING_OURS | flags);
}

/* The server is between transactions. */
static void
prepare_server(struct session *s)
{
    if (s->server->settings != s->settings || under_is_old(s))
        front_settings(s);
    else if (s->told != s->server->reports)
        settings_tell(s);
}

/* Nothing is outstanding but what the server is asked about what it holds. */
static bool
is_asked(struct session *s)
{
    return pending_count(s) == 1 && (pending_head(s)->flags & PENDING_HOLDS) != 0;
}

void
link_begin(struct session *s)
{
    bool asked = !pending_is_empty(s);

    if ((asked && !is_asked(s)) || s->extended == EXTENDED_BATCH)
        return; /* in a batch a Flush may have had all answers so far */
    s->request_us = session_now(s);
    s->ending = s->in_steps = s->committed = false;
    retry_begin(s);
    if (s->server->status != 'I' || asked)
        return;
    if (s->opening == NULL)
        s->xact_us = s->request_us;
    prepare_server(s);
    if (s->by_sql != NULL)
        sql_prepared_bring(s);
    if (s->opening != NULL)
        opening_send(s);
}

bool
link_is_quiet(const struct session *s)
{
    return pending_is_empty(s) && s->client_left == 0 && s->server_left == 0 && s->server->cancels == 0 &&
           s->copy == COPY_NONE && s->extended == EXTENDED_CLEAN && s->server->stream.in_len == 0;
}

void
link_part(struct session *s)
{
    struct fault why;

    if (s->parting != NULL) {
        session_close(s, s->parting);
        return;
    }
    if (!s->hall->closing || (s->state == SESSION_READY && s->hall->handing_over && handover_note(s)))
        return;
    fault_set(&why, "57P01", "terminating connection due to administrator command");
    session_close(s, &why);
}

void
link_try_give_back(struct session *s)
{
    struct server *server = s->server;

    if (server == NULL || s->state != SESSION_LINKED || !link_is_quiet(s))
        return;
    s->since_us = session_now(s);
    if (server->status != 'I')
        return;
    if (s->holds != NULL)
        holds_ask(s);
    if (!pending_is_empty(s))
        return;
    if (session_is_pinned(s) || s->pool->conf.mode == CONF_POOL_SESSION) {
        link_part(s);
        return;
    }
    if (listen_keeps_server(s))
        return;
    unlink_server(s);
    session_move_to(s, SESSION_READY);
    pool_give_back(server, s->hall->setup.conf->general.server_reset_query_always);
    if (s->state == SESSION_READY) {
        timeouts_arm(s);
        link_part(s);
    }
}

void
link_stop_waiting(struct session *s)
{
    if (s->pool != NULL)
        pool_stop_waiting(s->pool, &s->waiter);
    choose_unhold(s);
}

void
link_drop(struct session *s)
{
    struct server *server = s->server;
    bool quiet, reset;
    struct fault why;

    link_stop_waiting(s);
    if (s->pool != NULL && s->replication)
        pool_forget_replication(s->pool, &s->waiter);
    if (server == NULL)
        return;
    quiet = s->state != SESSION_TUNNEL && s->state != SESSION_WELCOME && link_is_quiet(s);
    reset = session_is_pinned(s) || s->holds != NULL || s->pool->conf.mode == CONF_POOL_SESSION ||
            s->hall->setup.conf->general.server_reset_query_always;
    if (!pending_is_empty(s))
        server_cancel(server, s->hall->setup.conf->general.cancel_wait_timeout, NULL, NULL);
    unlink_server(s);
    if (quiet && server->stream.stage == STREAM_OPEN && !server->stream.in_callback) {
        pool_give_back(server, reset);
        return;
    }
    fault_set(&why, "57P01", "client disconnect while its server was busy");
    server_close(server, &why);
}

/* ---- events of the server ---- */

static size_t
on_bytes(struct server *server, struct slice bytes)
{
    struct session *s = server->session;

    if (s->state != SESSION_TUNNEL)
        return relay_bytes(s, bytes);
    stream_put(&s->client, bytes);
    return bytes.len;
}

static void
on_gone(struct server *server, const struct fault *why)
{
    lost_server(server->session, why);
}

/* The server's event is over: the moment to give it back, and to take what the client sent meanwhile. */
static void
on_quiet(struct server *server)
{
    struct session *s = server->session;
    bool same;

    if (s->routing != NULL && s->routing->again) {
        if (link_is_quiet(s))
            retry_elsewhere(s);
        return;
    }
    take_resume(s);
    link_try_give_back(s);
    same = s->server == server && s->state == SESSION_LINKED;
    if (same)
        stream_resume(&s->client, STREAM_PAUSE_FULL);
    if ((same || s->state == SESSION_READY) && s->client.in_len > 0 && s->client.paused == 0)
        stream_again(&s->client);
}

/* A request may have waited for the server to go: it is looked at now. */
static void
on_cancelled(struct server *server)
{
    struct session *s = server->session;

    on_quiet(server);
    stream_flush(&s->hall->turn);
}

const struct server_borrower link_borrower = { on_bytes, on_gone, on_cancelled, on_quiet };

/* Take the server away without giving it back: it died. */
void
link_lose(struct session *s)
{
    if (s->server != NULL)
        unlink_server(s);
}
