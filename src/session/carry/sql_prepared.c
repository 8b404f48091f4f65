/* SPDX-License-Identifier: ISC */
/* Statements that the session made by PREPARE, carried as settings are: a server gets those that it lacks
 * before the transaction begins, and loses those of other sessions. Text and name go out as they are, so
 * PostgreSQL judges them and tells of them. A server's set has statements of the protocol too, when SQL may
 * name them. */
#include "session_private.h"

#define MOST_STATEMENTS 32
#define MOST_BYTES      (32 * 1024)
#define MARK            '\001' /* begins what stands for the text of a statement of the protocol */

static unsigned
count(const struct params *set)
{
    return set == NULL ? 0 : set->n;
}

static const struct param *
find(const struct params *set, struct slice name)
{
    return set == NULL ? NULL : params_find(set, name);
}

static void
put(struct session *s, struct params **set, struct slice name, struct slice text)
{
    *set = params_with(*set == NULL ? params_empty(s->hall->pools.sets) : *set, name, text);
}

static void
drop(struct params **set, struct slice name)
{
    if (find(*set, name) == NULL)
        return;
    *set = params_without(*set, name);
    if ((*set)->n > 0)
        return;
    params_drop(*set);
    *set = NULL;
}

/* What the server has and the session has not, or has otherwise. */
static void
close_others(struct session *s)
{
    struct params *have = s->server->by_sql == NULL ? NULL : params_hold(s->server->by_sql);

    for (unsigned i = 0; i < count(have); i++) {
        const struct param *mine = find(s->by_sql, have->at[i].name);

        if (mine != NULL && slice_equal(mine->value, have->at[i].value))
            continue;
        link_put_close(s, have->at[i].name, PENDING_BY_SQL);
        drop(&s->server->by_sql, have->at[i].name);
    }
    params_drop(have);
}

void
sql_prepared_bring(struct session *s)
{
    struct text *t;

    if (s->by_sql == s->server->by_sql)
        return;
    close_others(s);
    for (unsigned i = 0; i < s->by_sql->n; i++) {
        const struct param *p = &s->by_sql->at[i];

        if (find(s->server->by_sql, p->name) != NULL)
            continue;
        t = session_scratch(s);
        wire_put_query(t, p->value);
        link_put_query(s, t, PENDING_BY_SQL);
        pending_at(s, pending_count(s) - 1)->n_done = (uint16_t)i;
        put(s, &s->server->by_sql, p->name, p->value);
    }
}

void
sql_prepared_failed(struct session *s, unsigned i)
{
    if (i < count(s->by_sql))
        drop(&s->server->by_sql, s->by_sql->at[i].name);
}

/* NAME is a statement of the protocol: the server gets it under that name. */
static void
lend_name(struct session *s, struct slice name)
{
    struct statement *st = prepared_names_find(s, name);
    struct text mark = { 0 };
    struct text *t;
    bool in_front;

    if (st == NULL || find(s->server->by_sql, name) != NULL)
        return;
    t = session_scratch(s);
    statement_put_parse_as(t, st, name);
    in_front = s->extended != EXTENDED_BATCH && s->server->status == 'I'; /* a Sync would let the request run */
    pending_push(s, PENDING_PARSE, PENDING_OURS | PENDING_BY_SQL | (in_front ? PENDING_OPENING : 0));
    if (s->extended != EXTENDED_BATCH && !in_front) { /* if it fails, what follows must not be skipped */
        wire_put_simple(t, 'S');
        pending_push(s, PENDING_SYNC, PENDING_OURS);
    }
    link_put(s, t);
    text_add_char(&mark, MARK);
    text_add_str(&mark, st->name);
    put(s, &s->server->by_sql, name, text_slice(&mark));
    text_done(&mark);
}

void
sql_prepared_named(struct session *s, const struct facts *f)
{
    bool names = f != NULL && f->names_statements;

    if (s->server->status == 'E')
        return;
    if (names || s->hall->setup.conf->general.max_prepared_statements == 0) /* names of the protocol, too */
        close_others(s);
    for (unsigned i = 0; names && i < f->n_effects; i++)
        if (effect_names_statement(f->effects[i].kind))
            lend_name(s, f->effects[i].name);
}

void
sql_prepared_hide(struct session *s)
{
    if (s->server->by_sql != NULL && s->server->status != 'E')
        close_others(s);
}

/* Names are compared without regard to case, as settings' are; PostgreSQL's statements are not. */
static bool
may_carry(const struct session *s, const struct effect *e)
{
    if (count(s->by_sql) >= MOST_STATEMENTS || e->name.len + e->replay.len > MOST_BYTES ||
        (s->by_sql != NULL && s->by_sql->len > MOST_BYTES))
        return false;
    for (size_t i = 0; i < e->name.len; i++)
        if (e->name.data[i] >= 'A' && e->name.data[i] <= 'Z')
            return false;
    return true;
}

void
sql_prepared_note(struct session *s, const struct effect *e)
{
    struct statement_id id;

    if (e->kind == EFFECT_DEALLOCATE) {
        if (statement_id_of(e->name, &id))
            prepared_remove(s->server->prepared, id);
        prepared_names_remove(s, e->name);
        sql_prepared_forget(s, e->name);
        holds_may_have_ended(s, PIN_PREPARE);
    } else if (!may_carry(s, e)) {
        pin_set(s, PIN_PREPARE);
    } else if (s->pool->conf.mode != CONF_POOL_SESSION) {
        put(s, &s->by_sql, e->name, e->replay);
        put(s, &s->server->by_sql, e->name, e->replay);
    }
}

unsigned
sql_prepared_there(const struct session *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count(s->server->by_sql); i++)
        n += s->server->by_sql->at[i].value.data[0] != MARK;
    return n;
}

bool
sql_prepared_has(const struct session *s, struct slice name)
{
    return find(s->by_sql, name) != NULL;
}

void
sql_prepared_forget(struct session *s, struct slice name)
{
    drop(&s->by_sql, name);
    if (s->server != NULL)
        drop(&s->server->by_sql, name);
}

void
sql_prepared_clear(struct session *s)
{
    params_drop(s->by_sql);
    s->by_sql = NULL;
    if (s->server == NULL)
        return;
    params_drop(s->server->by_sql);
    s->server->by_sql = NULL;
}
