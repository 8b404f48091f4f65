/* SPDX-License-Identifier: ISC */
/* The opening of a transaction: BEGIN, and what SET TRANSACTION says right after it, is answered here and kept
 * until the first statement that needs a server. It goes out in front of that: should PostgreSQL refuse it,
 * nothing behind it runs outside of the transaction.
 */
#include "base/mem.h"
#include "choose_private.h"

#define MOST_TEXT 1024 /* bytes of a statement that is kept */
#define MOST_KEPT 8    /* statements */

enum stage { KEPT, SENT, DONE }; /* DONE: the server has begun it, but not answered the client's request yet */

struct opening {
    enum stage stage;
    unsigned n; /* statements */
    struct text messages;
    enum begin_mode mode;
    bool serializable;
    struct route_wishes hinted; /* of its statements, as in struct routing */
    unsigned said;
    int rule;
    bool has_hints;
};

bool
session_in_block(const struct session *s)
{
    return s->server->status != 'I' || s->opening != NULL;
}

/* F can be answered without a server. */
static bool
may_keep(const struct session *s, const struct facts *f, struct slice sql)
{
    const struct opening *o = s->opening;

    if (f->tag == NULL || s->server != NULL || sql.len > MOST_TEXT)
        return false;
    if (f->class != CLASS_BEGIN)
        return o != NULL && (f->class == CLASS_END || o->n < MOST_KEPT);
    return o == NULL && s->status == 'I' && s->pool->conf.mode == CONF_POOL_TRANSACTION &&
           s->hall->setup.conf->general.compat != CONF_COMPAT_PGBOUNCER;
}

bool
opening_may_be(const struct session *s, struct slice sql)
{
    uint8_t first = sql.len < 2 ? 0 : sql.data[0] | 0x20;

    return s->opening != NULL || first == 'b' || (first == 's' && (sql.data[1] | 0x20) == 't') || first < 'a';
}

/* ---- keeping ---- */

static void
keep_route(struct opening *o, const struct routing *r)
{
    o->hinted = r->hinted;
    o->said = r->said;
    o->rule = r->rule;
    o->has_hints = r->has_hints;
    o->mode = r->mode;
    o->serializable = r->serializable;
}

static void
keep(struct session *s, struct slice sql)
{
    struct opening *o = s->opening;

    if (o == NULL)
        o = s->opening = mem_new(struct opening);
    front_put(&o->messages, sql);
    o->n++;
    if (s->routing != NULL)
        keep_route(o, s->routing);
}

void
opening_end(struct session *s)
{
    struct opening *o = s->opening;

    if (o == NULL)
        return;
    text_done(&o->messages);
    mem_free(o);
    s->opening = NULL;
}

/* F runs, as far as the client can tell. */
static void
run(struct session *s, const struct facts *f, struct slice sql)
{
    struct text *t = session_scratch(s);

    wire_put_complete(t, f->tag);
    session_send(s, t);
    s->pool->database->stats.queries++;
    s->since_us = session_now(s);
    if (f->class == CLASS_BEGIN)
        s->xact_us = s->since_us;
    if (f->class == CLASS_END)
        opening_end(s);
    else
        keep(s, sql);
    s->status = f->class == CLASS_END ? 'I' : 'T';
    if (s->listening != NULL && s->status == 'I')
        listen_settle(s);
    timeouts_arm(s);
}

/* ---- the client's messages ---- */

bool
opening_query(struct session *s, const struct facts *f, struct slice sql)
{
    struct text *t;

    if (!may_keep(s, f, sql))
        return false;
    statement_drop(s->unnamed); /* as any simple query does */
    s->unnamed = NULL;
    run(s, f, sql);
    t = session_scratch(s);
    wire_put_ready(t, s->status);
    session_send(s, t);
    if (s->status == 'I')
        link_part(s);
    return true;
}

static bool
has_parameters(const struct statement *st)
{
    return st->len > st->sql_len + 3;
}

static bool
may_keep_statement(const struct session *s, const struct statement *st)
{
    return st != NULL && may_keep(s, st->facts, statement_sql(st)) && !has_parameters(st);
}

bool
opening_parse(struct session *s, struct slice name, struct statement *st)
{
    return may_keep_statement(s, st) && parse_here(s, name, st);
}

bool
opening_bind(struct session *s, const struct taken *m, struct slice portal, struct statement *st)
{
    return may_keep_statement(s, st) && ahead_runs(m->ahead, portal, false) && bind_here(s, st);
}

bool
opening_describe(struct session *s, uint8_t what, const struct statement *st)
{
    bool portal = what == 'P' && s->next_run != NULL && s->next_run->facts->tag != NULL;
    struct text *t;

    if (!portal && (what != 'S' || !may_keep_statement(s, st)))
        return false;
    t = session_scratch(s);
    if (!portal)
        wire_put_message(t, 't', SLICE("\0\0"));
    wire_put_simple(t, 'n');
    session_send(s, t);
    return true;
}

bool
opening_execute(struct session *s)
{
    struct statement *st = s->next_run;

    if (st == NULL || st->facts->tag == NULL)
        return false;
    s->next_run = NULL;
    if (s->routing != NULL)
        choose_request(s, st->facts, statement_sql(st));
    run(s, st->facts, statement_sql(st));
    statement_drop(st);
    return true;
}

/* ---- sending ---- */

void
opening_send(struct session *s)
{
    struct opening *o = s->opening;

    if (o->stage != KEPT)
        return;
    front_send(s, text_slice(&o->messages), o->n, PENDING_OPENING);
    o->stage = SENT;
}

void
opening_confirm(struct session *s)
{
    if (s->opening != NULL)
        s->opening->stage = DONE;
}

void
opening_again(struct session *s)
{
    if (s->opening != NULL)
        s->opening->stage = KEPT;
}

void
opening_unlink(struct session *s)
{
    if (s->opening != NULL && s->opening->stage != KEPT)
        opening_end(s);
}

void
opening_fail(struct session *s)
{
    if (s->opening == NULL || s->opening->stage != KEPT)
        return;
    opening_end(s);
    s->status = 'E';
    s->lost = s->lost_told = true;
    s->since_us = session_now(s);
    if (s->routing != NULL)
        s->routing->wrote = false;
    if (s->server != NULL)
        link_try_give_back(s);
    else
        timeouts_arm(s);
}

/* ---- for the route ---- */

void
opening_route(struct session *s)
{
    const struct opening *o = s->opening;
    struct routing *r = s->routing;

    if (o->stage != KEPT)
        return;
    r->begins = true;
    r->mode = o->mode;
    r->serializable = o->serializable;
    r->hinted = o->hinted;
    r->said = o->said;
    r->rule = o->rule;
    r->has_hints = o->has_hints;
}
