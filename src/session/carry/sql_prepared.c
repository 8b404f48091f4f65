/* SPDX-License-Identifier: ISC */
/* Statements that the session made by PREPARE, carried as settings are: a server gets those that it lacks
 * before the transaction begins, and loses those of other sessions. Text and name go out as they are, so
 * PostgreSQL judges them and tells of them. A server's set has statements of the protocol too, when SQL may
 * name them, and what it said of those that it could not prepare. */
#include "relay_private.h"

#define MOST_STATEMENTS 32
#define MOST_BYTES      (32 * 1024)
#define MARK            '\001' /* begins what stands for the text of a statement of the protocol */
#define FAILED          '\002' /* begins the body of the error that its PREPARE ended in */
#define MOST_SAID       2048   /* bytes of that */
#define CAPITAL         '\001' /* before a letter of a name that is an upper-case one, and before itself */

static unsigned
count(const struct params *set)
{
    return set == NULL ? 0 : set->n;
}

/* ---- names ---- */

static bool
is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((name.data[i] >= 'A' && name.data[i] <= 'Z') || name.data[i] == CAPITAL)
            return false;
    return true;
}

/* Members of a set are found without regard to case, as settings are; PostgreSQL's statements are not. */
static struct slice
key_of(struct slice name, struct text *t)
{
    if (is_plain(name))
        return name;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];

        if (is_plain(slice_of(&c, 1))) {
            text_add_char(t, (char)c);
            continue;
        }
        text_add_char(t, CAPITAL);
        text_add_char(t, (char)(c == CAPITAL ? c : c | 0x20));
    }
    return text_slice(t);
}

static struct slice
name_of(struct slice key, struct text *t)
{
    if (is_plain(key))
        return key;
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.data[i];

        if (c == CAPITAL && i + 1 < key.len)
            c = key.data[++i] == CAPITAL ? CAPITAL : key.data[i] & ~0x20;
        text_add_char(t, (char)c);
    }
    return text_slice(t);
}

/* ---- sets ---- */

static const struct param *
find_key(const struct params *set, struct slice key)
{
    return set == NULL ? NULL : params_find(set, key);
}

static const struct param *
find(const struct params *set, struct slice name)
{
    struct text t = { 0 };
    const struct param *p = set == NULL ? NULL : params_find(set, key_of(name, &t));

    text_done(&t);
    return p;
}

static void
put_key(struct session *s, struct params **set, struct slice key, struct slice text)
{
    *set = params_with(*set == NULL ? params_empty(s->hall->pools.sets) : *set, key, text);
}

static void
put(struct session *s, struct params **set, struct slice name, struct slice text)
{
    struct text t = { 0 };

    put_key(s, set, key_of(name, &t), text);
    text_done(&t);
}

static void
drop_key(struct params **set, struct slice key)
{
    if (find_key(*set, key) == NULL)
        return;
    *set = params_without(*set, key);
    if ((*set)->n > 0)
        return;
    params_drop(*set);
    *set = NULL;
}

static void
drop(struct params **set, struct slice name)
{
    struct text t = { 0 };

    drop_key(set, key_of(name, &t));
    text_done(&t);
}

static bool
has_failed(const struct param *p)
{
    return p->value.data[0] == FAILED;
}

/* ---- bringing ---- */

static void
close_one(struct session *s, struct slice key)
{
    struct text t = { 0 };

    link_put_close(s, name_of(key, &t), PENDING_BY_SQL);
    text_done(&t);
}

/* What the server has and the session has not, or has otherwise. What could not be prepared for it is only
 * forgotten when it is to be tried AGAIN. */
static void
close_others(struct session *s, bool again)
{
    struct params *have = s->server->by_sql == NULL ? NULL : params_hold(s->server->by_sql);

    for (unsigned i = 0; i < count(have); i++) {
        const struct param *p = &have->at[i], *mine = find_key(s->by_sql, p->name);

        if (mine != NULL && (has_failed(p) ? !again : slice_equal(mine->value, p->value)))
            continue;
        if (!has_failed(p))
            close_one(s, p->name);
        drop_key(&s->server->by_sql, p->name);
    }
    params_drop(have);
}

void
sql_prepared_bring(struct session *s)
{
    struct text *t;

    if (s->by_sql == s->server->by_sql)
        return;
    close_others(s, true);
    for (unsigned i = 0; i < s->by_sql->n; i++) {
        const struct param *p = &s->by_sql->at[i];

        if (find_key(s->server->by_sql, p->name) != NULL)
            continue;
        t = session_scratch(s);
        wire_put_query(t, p->value);
        link_put_query(s, t, PENDING_BY_SQL);
        pending_at(s, pending_count(s) - 1)->n_done = (uint16_t)i;
        put_key(s, &s->server->by_sql, p->name, p->value);
    }
}

void
sql_prepared_failed(struct session *s, unsigned i, struct slice error)
{
    struct text t = { 0 };

    if (i >= count(s->by_sql))
        return;
    drop_key(&s->server->by_sql, s->by_sql->at[i].name);
    if (error.len == 0 || error.len > MOST_SAID)
        return;
    text_add_char(&t, FAILED);
    text_add(&t, error);
    put_key(s, &s->server->by_sql, s->by_sql->at[i].name, text_slice(&t));
    text_done(&t);
}

/* In a session it would be there, and PostgreSQL find out when it is executed. */
bool
sql_prepared_say_failed(struct session *s, const struct pending_entry *e, const struct wire_error *said)
{
    const struct facts *f = e->facts;
    struct text *t;

    if (f == NULL || s->server->by_sql == NULL || !slice_is(said->sqlstate, "26000"))
        return false;
    for (unsigned i = 0; i < f->n_effects; i++) {
        const struct effect *effect = &f->effects[i];
        const struct param *p = effect->kind != EFFECT_EXECUTE || effect->statement != e->n_done
                                    ? NULL
                                    : find(s->server->by_sql, effect->name);

        if (p == NULL || !has_failed(p))
            continue;
        t = session_scratch(s);
        wire_put_message(t, 'E', slice_tail(p->value, 1));
        session_send(s, t);
        return true;
    }
    return false;
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
        close_others(s, false);
    for (unsigned i = 0; names && i < f->n_effects; i++)
        if (effect_names_statement(f->effects[i].kind))
            lend_name(s, f->effects[i].name);
}

void
sql_prepared_hide(struct session *s)
{
    if (s->server->by_sql != NULL && s->server->status != 'E')
        close_others(s, false);
}

static bool
may_carry(const struct session *s, const struct effect *e)
{
    return count(s->by_sql) < MOST_STATEMENTS && e->name.len + e->replay.len <= MOST_BYTES &&
           (s->by_sql == NULL || s->by_sql->len <= MOST_BYTES);
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
        n += s->server->by_sql->at[i].value.data[0] != MARK && !has_failed(&s->server->by_sql->at[i]);
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
