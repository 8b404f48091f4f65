/* SPDX-License-Identifier: ISC */
/* Simple queries, function calls and COPY data from the client. */
#include "choose_private.h"

/* The text of a Query; false: it has no NUL at its end, or one before. */
static bool
query_text(struct slice body, struct slice *sql)
{
    *sql = slice_head(body, body.len - 1);
    return body.len > 0 && memchr(body.data, '\0', body.len) == body.data + sql->len;
}

bool
take_may_begin(const struct session *s, const struct facts *f, struct fault *why)
{
    if (s->pool->conf.mode != CONF_POOL_STATEMENT || !f->transaction_block)
        return true;
    fault_set(why, "0A000", "transaction blocks not allowed in statement pooling mode");
    fault_detail(why, "pool_mode is statement for database \"%.63s\" and user \"%.63s\".", s->database,
                 s->user);
    return fault_hint(why, "Use pool_mode = transaction for this database or user.");
}

/* DEALLOCATE of a statement that was prepared by protocol: servers know it by another name. */
static bool
deallocate_locally(struct session *s, const struct facts *f)
{
    if (f->n_statements != 1 || f->n_effects != 1 || f->effects[0].kind != EFFECT_DEALLOCATE ||
        s->status == 'E' || prepared_names_find(s, f->effects[0].name) == NULL)
        return false;
    prepared_names_remove(s, f->effects[0].name);
    statement_drop(s->unnamed);
    s->unnamed = NULL;
    pending_push(s, PENDING_QUERY, PENDING_LOCAL);
    pending_answer_local(s);
    return true;
}

/* A simple query ends the unnamed statement (manual, "Extended Query"). */
static void
forget_unnamed(struct session *s)
{
    statement_drop(s->unnamed);
    s->unnamed = NULL;
    s->server->unnamed = (struct statement_id){ 0 };
}

static void
add_statement(struct text *t, struct slice sql)
{
    text_add_str(t, "\n;"); /* a comment may be the last thing before it */
    text_add(t, sql);
}

/* SQL is a reset: the server goes on to what it means for this session. */
static void
send_reset(struct session *s, const struct facts *f, struct slice sql)
{
    struct text *t = session_scratch(s);
    size_t start = wire_begin(t, 'Q');

    text_add(t, sql);
    settings_restore(s, f, add_statement, t);
    wire_put_u8(t, 0);
    wire_end(t, start, 'Q');
    link_put(s, t);
}

static void
send_query(struct session *s, const struct taken *m, const struct facts *f)
{
    struct pending_entry *e;

    link_begin(s);
    sequences_check(s, f);
    sql_prepared_check(s, f);
    sequences_note(s, f);
    e = pending_push(s, PENDING_QUERY, 0);
    take_note_ending(s, f);
    if (f == NULL)
        e->facts = facts_unknown();
    else if (f->n_effects > 0 || s->routing != NULL)
        e->facts = facts_hold(f);
    forget_unnamed(s);
    if (f == NULL || f->n_effects != 1 || !settings_restores(s, f)) {
        take_forward(s, m);
        return;
    }
    e->flags |= PENDING_RESTORES;
    send_reset(s, f, slice_head(m->body, m->body.len - 1));
}

/* What a statement that is not plain, or comes while something is to be committed, may be besides one for the
 * server: refused, answered here, kept for later. MORE: none of it. */
static enum take
take_special(struct session *s, const struct facts *f, struct slice sql)
{
    enum listen listen = LISTEN_MAY;
    struct fault why;

    if (!take_may_begin(s, f, &why) || !pin_may_run(s, f, &why) || !choose_may_set(f, &why) ||
        (listen = listen_prepare(s, f, &why)) == LISTEN_MAY_NOT) {
        take_refuse(s, &why, false);
        return TAKE_DONE;
    }
    if (listen == LISTEN_WAITS)
        return TAKE_WAIT;
    if (show_query(s, f, sql) || deallocate_locally(s, f) || opening_query(s, f, sql))
        return TAKE_DONE;
    sequences_prefer(s, f);
    return TAKE_MORE;
}

static enum take
take_known(struct session *s, const struct taken *m, const struct facts *f, struct slice sql)
{
    enum take answer = f->plain && s->log == NULL ? TAKE_MORE : take_special(s, f, sql);

    if (answer != TAKE_MORE)
        return answer;
    if (!link_need(s))
        return TAKE_WAIT;
    send_query(s, m, f);
    return TAKE_DONE;
}

enum take
take_query(struct session *s, const struct taken *m)
{
    const struct facts *f;
    enum take answer;
    struct slice sql;

    if (!m->whole) { /* longer than max_statement_size: nothing is known about it */
        if (s->routing != NULL)
            choose_request(s, NULL, SLICE(""));
        if (!link_need(s))
            return TAKE_WAIT;
        send_query(s, m, NULL);
        return TAKE_DONE;
    }
    if (!query_text(m->body, &sql)) {
        session_protocol_error(s, "invalid message format");
        return TAKE_CLOSED;
    }
    if (link_waits(s, sql))
        return TAKE_WAIT;
    f = take_facts(s, sql);
    if (s->routing != NULL)
        choose_request(s, f, sql);
    answer = take_known(s, m, f, sql);
    facts_drop(f);
    return answer;
}

/* set_config() and the advisory locks, by the numbers that PostgreSQL has for them. */
static bool
call_leaves_state(const struct taken *m)
{
    struct wire_cursor c = wire_cursor(m->body);
    uint32_t function = wire_get_u32(&c);

    return !c.bad && (function == 2078 || (function >= 2880 && function <= 2892));
}

enum take
take_call(struct session *s, const struct taken *m)
{
    if (s->routing != NULL)
        choose_request(s, NULL, SLICE(""));
    if (!link_need(s))
        return TAKE_WAIT;
    link_begin(s);
    take_note_ending(s, NULL);
    pending_push(s, PENDING_CALL, 0);
    if (call_leaves_state(m))
        holds_may_have_begun(s);
    take_forward(s, m);
    return TAKE_DONE;
}

/* CopyData, CopyDone, CopyFail; PostgreSQL ignores them outside of a COPY, and so do we. */
enum take
take_copy(struct session *s, const struct taken *m)
{
    if (s->server == NULL)
        return TAKE_DONE;
    s->retriable = false;
    if (m->frame.type != 'd') {
        if (s->copy == COPY_IN)
            s->copy = COPY_NONE;
        if (!pending_is_empty(s))
            pending_push(s, PENDING_COPY_END, PENDING_LOCAL);
    }
    take_forward(s, m);
    return TAKE_DONE;
}
