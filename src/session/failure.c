/* SPDX-License-Identifier: ISC */
/* The server answers with an error: whose it is, and what the client is told instead. */
#include "relay_private.h"

/* The statement's name was in use: say so with the name that the client knows. */
static void
say_duplicate(struct session *s, const struct wire_error *e, const char *name)
{
    struct fault why;

    wire_error_fault(e, &why);
    if (slice_is(e->sqlstate, "42P05"))
        fault_set(&why, "42P05", "prepared statement \"%.63s\" already exists", name);
    session_say(s, WIRE_ERROR, &why);
}

/* The server was cancelled because of query_timeout: say so in its place. */
static bool
say_timed_out(struct session *s, const struct wire_error *e)
{
    struct fault why;

    if (!s->timed_out || !slice_is(e->sqlstate, "57014"))
        return false;
    fault_set(&why, "57014", "canceling statement due to query_timeout");
    session_say(s, WIRE_ERROR, &why);
    return true;
}

static void
fail_batch(struct session *s)
{
    bool in_copy = s->copy == COPY_IN;

    s->copy = COPY_NONE;
    pending_skip_copy(s, in_copy);
    if (!pending_skip_to_sync(s) && s->extended == EXTENDED_BATCH)
        s->extended = EXTENDED_SKIP_TO_SYNC;
}

/* The server ends the connection, and says why. */
static enum relayed
on_fatal(struct session *s, const struct wire_error *e)
{
    struct server *server = s->server;
    struct fault why;

    wire_error_fault(e, &why);
    server->died = true;
    lost_server(s, &why);
    server_close(server, &why);
    return RELAY_ENDED;
}

/* What we asked failed, or what we put in front of the client's request: then the server skips what follows. */
static bool
is_own_request(const struct pending_entry *e)
{
    return (e->flags & PENDING_FRONT) != 0 || ((e->flags & PENDING_OURS) != 0 && e->kind == PENDING_QUERY);
}

static enum relayed
on_own_error(struct session *s, const struct wire_error *e, const struct pending_entry *head)
{
    struct server *server = s->server;
    struct fault why;

    if ((head->flags & PENDING_HOLDS) != 0)
        holds_failed(s);
    if ((head->flags & PENDING_BY_SQL) != 0 && head->kind == PENDING_QUERY)
        sql_prepared_failed(s, head->n_done);
    if ((head->flags & PENDING_FRONT) == 0)
        return RELAY_SWALLOW;
    wire_error_fault(e, &why);
    if ((head->flags & PENDING_OPENING) != 0) {
        lost_opening(s, &why);
        server_close(server, &why);
    } else if (slice_is(e->sqlstate, "57014")) {
        lost_server(s, &why); /* a time limit of the session before ended what was to take it away */
        server_close(server, &why);
    } else {
        welcome_replayed(s, &why);
    }
    return RELAY_ENDED;
}

/* What a statement locked before it failed stays locked. */
static void
note_locks(struct session *s, const struct pending_entry *head)
{
    const struct facts *f = head->facts;

    for (unsigned i = 0; f != NULL && i < f->n_effects; i++) {
        const struct effect *e = &f->effects[i];

        if ((e->statement == head->n_done || !f->analysed) &&
            (e->kind == EFFECT_MAY_LEAVE || (e->kind == EFFECT_PIN && e->pin == PIN_ADVISORY_LOCK)))
            holds_may_have_locked(s);
    }
}

enum relayed
relay_error(struct session *s, const struct reply *r)
{
    struct pending_entry *head = r->head;
    struct wire_error e;
    bool duplicate = head != NULL && (head->flags & PENDING_DUPLICATE) != 0;
    bool stale = head != NULL && (head->flags & PENDING_STALE) != 0;

    wire_error_read(r->body, &e);
    if (r->whole && (slice_is(e.severity, "FATAL") || slice_is(e.severity, "PANIC")))
        return on_fatal(s, &e);
    if (head == NULL)
        return RELAY_BROKEN;
    if (is_own_request(head))
        return on_own_error(s, &e, head);
    if (s->routing != NULL && !relay_is_ours(r) && choose_refused(s, &e))
        return RELAY_SWALLOW;
    if (!session_in_block(s))
        settings_rollback(s);
    note_locks(s, head);
    changes_stale(s, head, &e);
    if (head->kind == PENDING_QUERY || head->kind == PENDING_CALL) {
        s->copy = COPY_NONE;
        return say_timed_out(s, &e) ? RELAY_SWALLOW : RELAY_PASS;
    }
    if (stale && slice_is(e.sqlstate, "42P05"))
        changes_say_stale(s);
    else if (duplicate)
        say_duplicate(s, &e, stale ? "" : head->name);
    fail_batch(s);
    return duplicate || say_timed_out(s, &e) ? RELAY_SWALLOW : RELAY_PASS;
}
