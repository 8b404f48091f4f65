/* SPDX-License-Identifier: ISC */
/* Servers are supplied with the statements of sessions. They know named ones by what they are ("pgweir_" and a
 * hash), clients by the names they chose. A missing Parse goes out in the same write as the message that needs
 * it. */
#include "supply_private.h"

unsigned
supply_most(const struct session *s)
{
    return (unsigned)s->hall->setup.conf->general.max_prepared_statements;
}

void
supply_put_renamed(struct session *s, const struct taken *m, size_t offset, size_t old,
                   const struct statement *st)
{
    struct text *t = session_scratch(s);

    wire_put_u8(t, m->frame.type);
    wire_put_u32(t, m->frame.len - 1 - (uint32_t)old + st->name_len);
    wire_put_bytes(t, slice_tail(slice_head(m->bytes, offset), WIRE_HEADER));
    wire_put_string(t, slice_of(st->name, st->name_len));
    link_put(s, t);
    s->passes = true;
    stream_put(&s->server->stream, slice_tail(m->bytes, offset + old + 1));
}

static void
close_statement(struct session *s, struct statement_id id)
{
    char name[STATEMENT_NAME];
    struct slice there = slice_of(name, statement_name(id, name));

    link_put_close(s, there, 0)->closed = mem_dup(&id, sizeof(id));
}

bool
supply_has(struct session *s, const struct statement *st, int64_t since)
{
    int64_t born = prepared_born(s->server->prepared, st->id);
    bool fits = born > since && !pending_may_lack(s, st);

    if (born != 0 && !fits)
        close_statement(s, st->id);
    return fits;
}

void
supply_note(struct session *s, const struct statement *st)
{
    struct statement_id id;

    prepared_add(s->server->prepared, st->id, session_now(s));
    s->pool->database->stats.server_parses++;
    while (prepared_evict(s->server->prepared, supply_most(s), &id))
        close_statement(s, id);
}

void
supply_named(struct session *s, struct statement *st, int64_t since)
{
    struct text *t;

    if (supply_has(s, st, since))
        return;
    t = session_scratch(s);
    statement_put_parse(t, st, true);
    link_put(s, t);
    pending_push(s, PENDING_PARSE, PENDING_OURS | pending_behind(s))->statement = statement_hold(st);
    supply_note(s, st);
}

struct statement_id
supply_large_id(const struct session *s)
{
    return (struct statement_id){ 0, s->id };
}

/* The unnamed statement of the server is that of the session. When the session has none, the server's, which is
 * somebody else's, is closed: Bind then fails as it should. */
static void
ensure_unnamed(struct session *s)
{
    struct statement_id want = s->unnamed == NULL ? (struct statement_id){ 0 } : s->unnamed->id;
    struct text *t;

    if (s->unnamed == NULL && statement_id_equal(s->server->unnamed, supply_large_id(s)))
        return;
    if (statement_id_equal(s->server->unnamed, want))
        return;
    t = session_scratch(s);
    if (s->unnamed != NULL) {
        statement_put_parse(t, s->unnamed, false);
        pending_push(s, PENDING_PARSE, PENDING_OURS);
    } else {
        wire_put_message(t, 'C', SLICE("S\0"));
        pending_push(s, PENDING_CLOSE, PENDING_OURS);
    }
    link_put(s, t);
    s->server->unnamed = want;
}

void
supply_statement(struct session *s, struct slice name, struct statement *st, int64_t since)
{
    if (name.len == 0)
        ensure_unnamed(s);
    else if (st != NULL)
        supply_named(s, st, since);
    else
        sql_prepared_hide(s);
}
