/* SPDX-License-Identifier: ISC */
/* The extended protocol: what each message of it means for the session, and what goes out for it. How servers
 * get the statements that it names: supply.c. */
#include "base/mem.h"
#include "choose_private.h"
#include "supply_private.h"

#define NAMES_MAX 4096 /* bytes of portal and statement names at the start of a Bind */

static enum take
malformed(struct session *s)
{
    session_protocol_error(s, "invalid message format");
    return TAKE_CLOSED;
}

/* The first thing of it is about a statement with facts F; NULL: about none that is known. */
static void
start_batch(struct session *s, const struct facts *f)
{
    if (s->extended != EXTENDED_BATCH) {
        link_begin(s);
        s->extended = EXTENDED_BATCH;
        sequences_check(s, f);
    }
    if (s->copy == COPY_IN) /* instead of data: PostgreSQL makes it an error, and waits for Sync */
        s->copy = COPY_NONE;
    sql_prepared_check(s, f);
}

/* ---- Parse ---- */

static bool
may_parse(struct session *s, const struct facts *f, struct fault *why)
{
    return take_may_begin(s, f, why) && pin_may_run(s, f, why) && choose_may_set(f, why);
}

static void
parse_unnamed(struct session *s, const struct taken *m, struct statement *st)
{
    s->server->unnamed = st->id;
    pending_push_unnamed(s, PENDING_PARSE, 0, st);
    take_forward(s, m);
}

/* The name is in use: PostgreSQL is to refuse it, so that the rest of the batch goes as it would there. */
static void
parse_duplicate(struct session *s, const struct taken *m, struct slice name)
{
    struct statement *st = prepared_names_find(s, name);

    supply_named(s, st, 0);
    pending_push(s, PENDING_PARSE, PENDING_DUPLICATE)->name = slice_dup(name);
    supply_put_renamed(s, m, WIRE_HEADER, name.len, st);
}

static void
parse_named(struct session *s, const struct taken *m, struct slice name, struct statement *st)
{
    bool known = supply_has(s, st, changes_last(s));
    struct fault why;

    if (known && s->server->status == 'E' && st->facts->class != CLASS_END) { /* PostgreSQL is not asked */
        fault_set(&why, "25P02",
                  "current transaction is aborted, commands ignored until end of transaction block");
        take_refuse(s, &why, true);
        return;
    }
    prepared_names_add(s, name, st);
    pending_push(s, PENDING_PARSE, known ? PENDING_LOCAL : 0)->statement = statement_hold(st);
    if (known) {
        pending_answer_local(s);
        return;
    }
    supply_put_renamed(s, m, WIRE_HEADER, name.len, st);
    supply_note(s, st);
}

/* A Parse longer than max_statement_size streams through when it is unnamed; a named one could not be made
 * again. */
static enum take
parse_large(struct session *s, const struct taken *m)
{
    struct wire_cursor c = wire_cursor(m->body);
    struct slice name = wire_get_string(&c);
    struct fault why;

    if (c.bad)
        return malformed(s);
    if (name.len > 0 && supply_most(s) > 0) {
        fault_set(&why, "54000", "the text of a prepared statement is longer than max_statement_size");
        fault_detail(&why, "max_statement_size is %lld bytes.",
                     (long long)s->hall->setup.conf->general.max_statement_size);
        fault_hint(&why, "Raise max_statement_size, or prepare it without a name.");
        take_refuse(s, &why, true);
        return TAKE_DONE;
    }
    if (!link_need(s))
        return TAKE_WAIT;
    start_batch(s, NULL);
    s->retriable = false;
    s->server->unnamed = supply_large_id(s);
    pending_push_unnamed(s, PENDING_PARSE, 0, NULL);
    take_forward(s, m);
    return TAKE_DONE;
}

/* As take_special(), of a Parse. */
static enum take
parse_special(struct session *s, struct slice name, struct statement *st)
{
    struct fault why;

    if (!may_parse(s, st->facts, &why)) {
        take_refuse(s, &why, true);
        return TAKE_DONE;
    }
    if (opening_parse(s, name, st) || show_parse(s, name, st))
        return TAKE_DONE;
    sequences_prefer(s, st->facts);
    return TAKE_MORE;
}

static enum take
parse_whole(struct session *s, const struct taken *m, struct slice name, struct statement *st)
{
    enum take answer = st->facts->plain ? TAKE_MORE : parse_special(s, name, st);

    if (answer != TAKE_MORE)
        return answer;
    if (!link_need(s))
        return TAKE_WAIT;
    start_batch(s, st->facts); /* what a Parse names is not run by it: another server may well get it again */
    s->pool->database->stats.client_parses++;
    if (name.len == 0)
        parse_unnamed(s, m, st);
    else if (supply_most(s) == 0) {
        pending_push(s, PENDING_PARSE, 0);
        take_forward(s, m);
    } else if (sql_prepared_has(s, name)) { /* it is there: PostgreSQL says so */
        pending_push(s, PENDING_PARSE, 0);
        take_forward(s, m);
    } else if (!prepared_names_is_free(s, name))
        parse_duplicate(s, m, name);
    else
        parse_named(s, m, name, st);
    return TAKE_DONE;
}

enum take
take_parse(struct session *s, const struct taken *m)
{
    struct wire_cursor c = wire_cursor(m->body);
    struct slice name = wire_get_string(&c), sql = wire_get_string(&c), types = slice_of(c.at, wire_left(&c));
    struct statement *st;
    enum take answer;
    bool parsed;

    if (!m->whole)
        return parse_large(s, m);
    if (c.bad || types.len < 2 || types.len != 2 + 4 * (size_t)wire_get_u16(&c))
        return malformed(s);
    if (link_waits(s, sql))
        return TAKE_WAIT;
    st = statement_intern(s, sql, types, take_may_parse(s, sql), &parsed);
    s->n_new_shapes += parsed;
    answer = parse_whole(s, m, name, st);
    statement_drop(st);
    return answer;
}

/* ---- Bind, Describe, Execute, Close ---- */

/* The session's own statement NAME, or NULL; *SINCE, for a named one: a plan must be younger. */
static struct statement *
find_statement(struct session *s, struct slice name, int64_t *since)
{
    if (name.len == 0)
        return s->unnamed;
    return supply_most(s) == 0 ? NULL : prepared_names_look(s, name, since);
}

/* As take_special(), of a Bind of ST. */
static enum take
bind_special(struct session *s, const struct taken *m, struct slice portal, struct statement *st)
{
    struct fault why;

    if (opening_bind(s, m, portal, st) || show_bind(s, m, portal, st))
        return TAKE_DONE;
    sequences_prefer(s, st->facts);
    switch (listen_prepare(s, st->facts, &why)) {
    case LISTEN_WAITS:
        return TAKE_WAIT;
    case LISTEN_MAY_NOT:
        take_refuse(s, &why, true);
        return TAKE_DONE;
    case LISTEN_MAY:
        break;
    }
    return TAKE_MORE;
}

/* What does ST give? The client waits for the answer. */
static void
ask_shape(struct session *s, struct statement *st)
{
    struct text *t = session_scratch(s);
    size_t start;

    for (unsigned i = 0; i < pending_count(s); i++) {
        const struct pending_entry *e = pending_at(s, i);

        if (e->kind == PENDING_DESCRIBE && (e->flags & PENDING_OURS) != 0)
            return;
    }
    start = wire_begin(t, 'D');
    wire_put_u8(t, 'S');
    wire_put_string(t, slice_of(st->name, st->name_len));
    wire_end(t, start, 'D');
    wire_put_simple(t, 'H');
    link_put(s, t);
    pending_push(s, PENDING_DESCRIBE, PENDING_OURS)->statement = statement_hold(st);
    st->asked_us = session_now(s);
}

/* An error that fails the transaction, too: the server refuses a name in use, we say why. */
static void
say_stale(struct session *s, struct statement *st)
{
    struct text *t = session_scratch(s);

    statement_put_parse(t, st, true);
    link_put(s, t);
    pending_push(s, PENDING_PARSE, PENDING_DUPLICATE | PENDING_STALE)->statement = statement_hold(st);
    prepared_names_renew(s, st);
}

/* Is this Bind of ST settled? Its plan may give something else than the client was told. */
static bool
bind_is_settled(struct session *s, struct statement *st, int64_t since, enum take *answer)
{
    enum change_seen seen = changes_seen(s, st, since);

    *answer = seen == CHANGE_UNKNOWN ? TAKE_WAIT : TAKE_DONE;
    if (seen == CHANGE_UNKNOWN)
        ask_shape(s, st);
    else if (seen == CHANGE_SEEN)
        say_stale(s, st);
    return seen != CHANGE_NONE;
}

enum take
take_bind(struct session *s, const struct taken *m)
{
    struct wire_cursor c = wire_cursor(m->body);
    struct slice portal = wire_get_string(&c), name = wire_get_string(&c);
    enum take answer = TAKE_MORE;
    const struct facts *f;
    struct statement *st;
    int64_t since = 0;
    bool named;

    if (c.bad)
        return m->whole || m->bytes.len > NAMES_MAX ? malformed(s) : TAKE_MORE;
    st = find_statement(s, name, &since);
    f = st == NULL ? NULL : st->facts;
    named = name.len > 0 && st != NULL;
    if (f != NULL && (!f->plain || s->log != NULL))
        answer = bind_special(s, m, portal, st);
    if (answer != TAKE_MORE)
        return answer;
    if (!link_need(s))
        return TAKE_WAIT;
    start_batch(s, f);
    supply_statement(s, name, st, since);
    if (named && m->whole && bind_is_settled(s, st, since, &answer))
        return answer;
    s->pool->database->stats.binds++;
    sequences_note(s, f);
    if (name.len == 0 && st == NULL && statement_id_equal(s->server->unnamed, supply_large_id(s)))
        bound_set(s, portal, facts_unknown());
    else
        bound_set(s, portal, f);
    take_note_ending(s, f);
    pending_push(s, PENDING_BIND, 0)->statement = named ? statement_hold(st) : NULL;
    if (named)
        supply_put_renamed(s, m, WIRE_HEADER + portal.len + 1, name.len, st);
    else
        take_forward(s, m);
    return TAKE_DONE;
}

/* The named statement of a Bind that was the last message, or NULL. */
static struct statement *
just_bound(const struct session *s)
{
    const struct pending_entry *e = pending_is_empty(s) ? NULL : pending_at(s, pending_count(s) - 1);

    return e == NULL || e->kind != PENDING_BIND || e->statement == NULL ? NULL : statement_hold(e->statement);
}

enum take
take_describe(struct session *s, const struct taken *m)
{
    struct wire_cursor c = wire_cursor(m->body);
    uint8_t what = wire_get_u8(&c);
    struct slice name = wire_get_string(&c);
    int64_t since = 0;
    struct statement *st = what == 'S' && !c.bad ? find_statement(s, name, &since) : NULL, *told = NULL;

    if (c.bad)
        return malformed(s);
    if (opening_describe(s, what, st) || show_describe(s, what, st))
        return TAKE_DONE;
    if (!link_need(s))
        return TAKE_WAIT;
    start_batch(s, NULL);
    if (what == 'S')
        supply_statement(s, name, st, since);
    else
        told = just_bound(s);
    if (st != NULL && name.len > 0) {
        pending_push(s, PENDING_DESCRIBE, 0)->statement = statement_hold(st);
        supply_put_renamed(s, m, WIRE_HEADER + 1, name.len, st);
    } else {
        pending_push(s, PENDING_DESCRIBE, 0)->statement = told;
        take_forward(s, m);
    }
    return TAKE_DONE;
}

/* Behind the Execute of a reset: what it means for this session. */
static void
send_restored(struct session *s, const struct facts *f)
{
    struct text *t = session_scratch(s);
    unsigned n = settings_restore(s, f, front_put, t);

    front_send(s, text_slice(t), n, 0);
    text_clear(t);
}

enum take
take_execute(struct session *s, const struct taken *m)
{
    struct wire_cursor c = wire_cursor(m->body);
    struct slice portal = wire_get_string(&c);
    struct pending_entry *e;

    if (c.bad)
        return malformed(s);
    if (s->next_run != NULL && (opening_execute(s) || show_execute(s)))
        return TAKE_DONE;
    if (!link_need(s))
        return TAKE_WAIT;
    start_batch(s, NULL);
    e = pending_push(s, PENDING_EXECUTE, 0);
    e->facts = bound_facts(s, portal);
    take_forward(s, m);
    if (e->facts != NULL && settings_restores(s, e->facts)) {
        e->flags |= PENDING_RESTORES;
        send_restored(s, e->facts);
    }
    return TAKE_DONE;
}

/* A Close of what servers do not know by the client's name; or there is none. */
static bool
close_is_local(struct session *s, uint8_t what, struct slice name)
{
    if (what == 'S' && sql_prepared_has(s, name)) {
        sql_prepared_forget(s, name);
        return s->server == NULL;
    }
    return (what == 'S' && name.len > 0 && supply_most(s) > 0) || s->server == NULL;
}

static void
push_close(struct session *s, uint8_t what, struct slice name, unsigned flags)
{
    if (what == 'S' && name.len == 0)
        pending_push_unnamed(s, PENDING_CLOSE, flags, NULL);
    else if (what == 'S')
        pending_push(s, PENDING_CLOSE, flags | PENDING_NAMED)->removed = prepared_names_take(s, name);
    else
        pending_push(s, PENDING_CLOSE, flags);
}

enum take
take_close(struct session *s, const struct taken *m)
{
    struct wire_cursor c = wire_cursor(m->body);
    uint8_t what = wire_get_u8(&c);
    struct slice name = wire_get_string(&c);

    if (c.bad)
        return malformed(s);
    if (close_is_local(s, what, name)) {
        push_close(s, what, name, PENDING_LOCAL);
        pending_answer_local(s);
        return TAKE_DONE;
    }
    start_batch(s, NULL);
    if (what == 'S' && name.len == 0)
        s->server->unnamed = (struct statement_id){ 0 };
    push_close(s, what, name, 0);
    take_forward(s, m);
    return TAKE_DONE;
}

enum take
take_sync(struct session *s, const struct taken *m)
{
    s->extended = EXTENDED_CLEAN;
    if (s->server == NULL) {
        pending_push(s, PENDING_SYNC, PENDING_LOCAL);
        pending_answer_local(s);
        if (s->status == 'I')
            link_part(s);
        return TAKE_DONE;
    }
    if (s->copy != COPY_IN) /* PostgreSQL ignores a Sync inside COPY */
        pending_push(s, PENDING_SYNC, 0);
    take_forward(s, m);
    return TAKE_DONE;
}

enum take
take_flush(struct session *s, const struct taken *m)
{
    if (s->server != NULL)
        take_forward(s, m);
    return TAKE_DONE;
}
