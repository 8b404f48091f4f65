/* SPDX-License-Identifier: ISC */
/* The server answers with an error: whose it is, and what the client is told instead. */
#include "relay_private.h"

/* Where in TEXT a statement is named as servers name it; NULL. */
static const uint8_t *
find_name(struct slice text)
{
    const size_t len = STATEMENT_NAME - 1;
    struct statement_id id;

    for (size_t i = 0; i + len <= text.len; i++)
        if (text.data[i] == 'p' && statement_id_of(slice_head(slice_tail(text, i), len), &id))
            return text.data + i;
    return NULL;
}

/* What the client calls the statement that E is about; NULL: it has no name. */
static const char *
own_name(const struct session *s, const struct pending_entry *e)
{
    if ((e->flags & (PENDING_DUPLICATE | PENDING_STALE)) == PENDING_DUPLICATE)
        return e->name;
    if ((e->kind != PENDING_PARSE && e->kind != PENDING_BIND && e->kind != PENDING_DESCRIBE) ||
        e->statement == NULL || (e->flags & PENDING_UNNAMED) != 0)
        return NULL;
    return prepared_names_of(s, e->statement);
}

/* The answer to E, with the client's name in the place of the server's. False: there is none in it. */
static bool
say_own_name(struct session *s, const struct reply *r, const struct pending_entry *e)
{
    const char *name = own_name(s, e);
    struct slice rest = r->body;
    const uint8_t *at = name == NULL || !r->whole ? NULL : find_name(rest);
    struct text *t;
    size_t start;

    if (at == NULL)
        return false;
    t = session_scratch(s);
    start = wire_begin(t, 'E');
    for (; at != NULL; at = find_name(rest)) {
        text_add(t, slice_of(rest.data, (size_t)(at - rest.data)));
        text_add_str(t, name);
        rest = slice_tail(rest, (size_t)(at - rest.data) + STATEMENT_NAME - 1);
    }
    text_add(t, rest);
    wire_end(t, start, 'E');
    session_send(s, t);
    return true;
}

/* What was prepared on the server is not there any more: the next use brings it. */
static void
forget_missing(struct session *s, const struct wire_error *e, const struct pending_entry *head)
{
    if ((head->kind == PENDING_BIND || head->kind == PENDING_DESCRIBE) && head->statement != NULL &&
        slice_is(e->sqlstate, "26000"))
        prepared_remove(s->server->prepared, head->statement->id);
}

/* The server was cancelled because of query_timeout: say so in its place. */
static bool
say_timed_out(struct session *s, const struct wire_error *e)
{
    struct fault why;

    if (!s->timed_out || !slice_is(e->sqlstate, "57014"))
        return false;
    timeouts_query_fault(s, &why);
    session_say(s, WIRE_ERROR, &why);
    return true;
}

static void
fail_batch(struct session *s)
{
    s->copy = COPY_NONE;
    if (pending_head(s)->n_copies > 0)
        pending_skip_copy(s);
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
on_own_error(struct session *s, const struct wire_error *e, const struct reply *r)
{
    const struct pending_entry *head = r->head;
    struct server *server = s->server;
    struct fault why;

    if ((head->flags & PENDING_HOLDS) != 0)
        holds_failed(s);
    if ((head->flags & PENDING_BY_SQL) != 0 && head->kind == PENDING_QUERY)
        sql_prepared_failed(s, head->n_done, r->whole ? r->body : SLICE(""));
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
    bool said;

    wire_error_read(r->body, &e);
    if (r->whole && (slice_is(e.severity, "FATAL") || slice_is(e.severity, "PANIC")))
        return on_fatal(s, &e);
    if (head == NULL)
        return RELAY_BROKEN;
    if (is_own_request(head))
        return on_own_error(s, &e, r);
    if (s->routing != NULL && !relay_is_ours(r) && choose_refused(s, &e))
        return RELAY_SWALLOW;
    if (!session_in_block(s))
        settings_rollback(s);
    note_locks(s, head);
    changes_stale(s, head, &e);
    said = sql_prepared_say_failed(s, head, &e);
    if (head->kind == PENDING_QUERY || head->kind == PENDING_CALL) {
        s->copy = COPY_NONE;
        return said || say_timed_out(s, &e) ? RELAY_SWALLOW : RELAY_PASS;
    }
    forget_missing(s, &e, head);
    if ((head->flags & PENDING_STALE) != 0 && slice_is(e.sqlstate, "42P05")) {
        changes_say_stale(s);
        said = true;
    }
    said = said || say_own_name(s, r, head);
    fail_batch(s);
    return said || say_timed_out(s, &e) ? RELAY_SWALLOW : RELAY_PASS;
}
