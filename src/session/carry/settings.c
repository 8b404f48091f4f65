/* SPDX-License-Identifier: ISC */
/* Settings of a session, carried from server to server: what each statement set
 * is noted when it completes, and becomes lasting when its transaction commits. */
#include <ctype.h>

#include "base/mem.h"
#include "base/ring.h"
#include "choose_private.h"

enum op_kind {
    OP_SET,
    OP_RESET,
    OP_RESET_ALL,
    OP_PIN,
    OP_UNPIN,
    OP_LISTEN,
    OP_UNLISTEN,
    OP_SAVEPOINT,
    OP_LOCAL
};

struct set_op {
    enum op_kind kind;
    enum pin_reason pin;
    bool restored;       /* RESET: the server has the start-up value */
    char *name, *replay; /* replay lies in the same block */
    struct ring in_log;
};

struct set_log {
    struct ring ops; /* in the order in which they happened */
};

/* ---- SQL ---- */

void
settings_add_literal(struct text *t, struct slice s)
{
    bool backslash = s.len > 0 && memchr(s.data, '\\', s.len) != NULL;

    if (backslash)
        text_add_char(t, 'E');
    text_add_char(t, '\'');
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '\'' || s.data[i] == '\\')
            text_add_char(t, (char)s.data[i]);
        text_add_char(t, (char)s.data[i]);
    }
    text_add_char(t, '\'');
}

/* SET and set_config() mean the same by NAME: it is no list of names, which SET quotes. */
static bool
has_plain_set(struct slice name)
{
    static const char *const lists[] = { "search_path", "temp_tablespaces", "local_preload_libraries",
                                         "session_preload_libraries" };

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (slice_is_nocase(name, lists[i]))
            return false;
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum(name.data[i]) && name.data[i] != '_')
            return false;
    return name.len > 0;
}

struct params *
settings_with(struct params *set, struct slice name, struct slice value)
{
    struct text sql = { 0 };

    if (has_plain_set(name)) { /* which costs PostgreSQL a third of a SELECT */
        text_add_str(&sql, "SET ");
        text_add_quoted(&sql, name, '"');
        text_add_str(&sql, " TO ");
        settings_add_literal(&sql, value);
    } else {
        text_add_str(&sql, "SELECT pg_catalog.set_config(");
        settings_add_literal(&sql, name);
        text_add_char(&sql, ',');
        settings_add_literal(&sql, value);
        text_add_str(&sql, ",false)");
    }
    set = params_with(set, name, text_slice(&sql));
    text_done(&sql);
    return set;
}

struct params *
settings_own_reports(const struct session *s, struct params *reports)
{
    const struct param *p = params_find(reports, SLICE("application_name"));
    struct slice own = slice_str(s->application == NULL ? "" : s->application);

    if (p == NULL || slice_equal(p->value, own))
        return reports;
    return params_with(reports, SLICE("application_name"), own);
}

/* ---- roles ---- */

struct slice
settings_role(const struct session *s)
{
    if (s->log != NULL)
        for (struct ring *r = ring_last(&s->log->ops); r != NULL && r != &s->log->ops; r = r->prev) {
            const struct set_op *op = container_of(r, struct set_op, in_log);

            if ((op->kind == OP_SET || op->kind == OP_LOCAL) && settings_is_role(slice_str(op->name)))
                return slice_str(op->replay);
            if (op->kind == OP_RESET && settings_is_role(slice_str(op->name)))
                return params_value(s->startup, SLICE("role"));
        }
    return params_value(s->settings, SLICE("role"));
}

/* ---- the log of a transaction ---- */

static struct set_op *
log_op(struct session *s, enum op_kind kind, struct slice name, struct slice replay)
{
    struct set_op *op = mem_new(struct set_op);

    op->kind = kind;
    op->name = mem_alloc(name.len + replay.len + 2);
    op->replay = op->name + name.len + 1;
    if (name.len > 0)
        memcpy(op->name, name.data, name.len);
    op->name[name.len] = '\0';
    if (replay.len > 0)
        memcpy(op->replay, replay.data, replay.len);
    op->replay[replay.len] = '\0';
    if (s->log == NULL) {
        s->log = mem_new(struct set_log);
        ring_init(&s->log->ops);
    }
    ring_append(&s->log->ops, &op->in_log);
    return op;
}

static void
op_free(struct set_op *op)
{
    ring_remove(&op->in_log);
    mem_free(op->name);
    mem_free(op);
}

static struct set_op *
find_savepoint(const struct session *s, struct slice name)
{
    if (s->log == NULL)
        return NULL;
    for (struct ring *r = ring_last(&s->log->ops); r != NULL && r != &s->log->ops; r = r->prev) {
        struct set_op *op = container_of(r, struct set_op, in_log);

        if (op->kind == OP_SAVEPOINT && slice_is(name, op->name))
            return op;
    }
    return NULL;
}

/* ROLLBACK TO: what came after the savepoint is gone; the savepoint stays. */
static void
roll_back_to(struct session *s, struct slice name)
{
    struct set_op *mark = find_savepoint(s, name);

    if (mark == NULL)
        return;
    while (mark->in_log.next != &s->log->ops)
        op_free(container_of(mark->in_log.next, struct set_op, in_log));
}

/* RELEASE: the savepoint and those made after it are gone; what was set stays. */
static void
release(struct session *s, struct slice name)
{
    struct set_op *mark = find_savepoint(s, name);
    struct ring *next;

    if (mark == NULL)
        return;
    for (struct ring *r = &mark->in_log; r != &s->log->ops; r = next) {
        struct set_op *op = container_of(r, struct set_op, in_log);

        next = r->next;
        if (op->kind == OP_SAVEPOINT)
            op_free(op);
    }
}

/* The effect of F that resets; NULL. */
static const struct effect *
reset_of(const struct facts *f)
{
    const struct effect *e = f->n_effects == 1 && f->n_statements == 1 ? &f->effects[0] : NULL;

    return e != NULL && (e->kind == EFFECT_RESET || e->kind == EFFECT_RESET_ALL) ? e : NULL;
}

bool
settings_restores(const struct session *s, const struct facts *f)
{
    const struct effect *e = reset_of(f);

    if (e == NULL)
        return false;
    if (e->kind == EFFECT_RESET)
        return params_find(s->startup, e->name) != NULL;
    return s->startup->n > (params_find(s->startup, SLICE("role")) != NULL);
}

unsigned
settings_restore(const struct session *s, const struct facts *f, settings_put *put, struct text *t)
{
    const struct effect *e = reset_of(f);
    unsigned n = 0;

    for (unsigned i = 0; i < s->startup->n; i++) {
        const struct param *p = &s->startup->at[i];

        if (e->kind == EFFECT_RESET ? !slice_equal(p->name, e->name) : settings_is_role(p->name))
            continue;
        put(t, p->value);
        n++;
    }
    return n;
}

static void
log_set(struct session *s, struct slice name, struct slice replay)
{
    struct text t = { 0 };

    log_op(s, OP_SET, name, settings_mark(settings_role(s), name, replay, &t));
    text_done(&t);
}

void
settings_note(struct session *s, const struct effect *e)
{
    switch (e->kind) {
    case EFFECT_SET:
    case EFFECT_SET_CONFIG:
        log_set(s, e->name, e->replay);
        break;
    case EFFECT_SET_LOCAL:
        log_op(s, OP_LOCAL, e->name, e->replay);
        break;
    case EFFECT_RESET:
        log_op(s, OP_RESET, e->name, SLICE(""))->restored = s->restoring;
        break;
    case EFFECT_RESET_ALL:
        log_op(s, OP_RESET_ALL, SLICE(""), SLICE(""))->restored = s->restoring;
        break;
    case EFFECT_PIN:
        log_op(s, OP_PIN, e->name, SLICE(""))->pin = e->pin;
        return;
    case EFFECT_UNPIN:
        log_op(s, OP_UNPIN, SLICE(""), SLICE(""))->pin = e->pin;
        return;
    case EFFECT_LISTEN:
        log_op(s, OP_LISTEN, e->name, SLICE(""));
        return;
    case EFFECT_UNLISTEN:
        log_op(s, OP_UNLISTEN, e->name, SLICE(""));
        return;
    case EFFECT_SAVEPOINT:
        log_op(s, OP_SAVEPOINT, e->name, SLICE(""));
        return;
    case EFFECT_ROLLBACK_TO:
        roll_back_to(s, e->name);
        break;
    case EFFECT_RELEASE:
        release(s, e->name);
        return;
    default:
        return;
    }
    s->explained = true;
}

/* What RESET means: for the session its own start-up value, for the server its default. */
static void
reset_one(struct session *s, struct slice name, bool restored)
{
    const struct param *first = params_find(s->startup, name);

    if (first != NULL)
        s->settings = params_with(s->settings, name, first->value);
    else
        s->settings = params_without(s->settings, name);
    if (s->server == NULL || s->server->settings == NULL)
        return;
    if (restored)
        s->server->settings = params_with(s->server->settings, name, first->value);
    else
        s->server->settings = params_without(s->server->settings, name);
}

/* *SET becomes NEXT, which is taken over, but for the role. */
static void
reset_to(struct params **set, struct params *next)
{
    struct slice role = *set == NULL ? SLICE("") : params_value(*set, SLICE("role"));

    next = role.len == 0 ? params_without(next, SLICE("role")) : params_with(next, SLICE("role"), role);
    params_drop(*set);
    *set = next;
}

/* RESET ALL; the role stays. */
static void
reset_all(struct session *s, bool restored)
{
    reset_to(&s->settings, params_hold(s->startup));
    if (s->server != NULL)
        reset_to(&s->server->settings, restored ? params_hold(s->startup) : params_empty(s->hall->pools.sets));
}

/* NAME was set by REPLAY. */
static void
set_one(struct session *s, struct slice name, struct slice replay)
{
    s->settings = params_with(s->settings, name, replay);
    if (s->server == NULL)
        return;
    if (s->server->settings != NULL)
        s->server->settings = params_with(s->server->settings, name, replay);
    s->unconfirmed = s->unconfirmed || params_find(s->server->reports, name) != NULL;
}

static void
apply(struct session *s, const struct set_op *op)
{
    struct slice name = slice_str(op->name), replay = slice_str(op->replay);

    switch (op->kind) {
    case OP_SET:
        set_one(s, name, replay);
        break;
    case OP_RESET:
        reset_one(s, name, op->restored);
        break;
    case OP_RESET_ALL:
        reset_all(s, op->restored);
        s->pins &= (uint16_t) ~(1u << PIN_SET);
        break;
    case OP_PIN:
        if (op->pin == PIN_SET && name.len > 0)
            holds_setting(s, name);
        else
            pin_set(s, op->pin);
        break;
    case OP_UNPIN:
        s->pins &= (uint16_t) ~(1u << op->pin);
        break;
    case OP_LISTEN:
        listen_add(s, name);
        break;
    case OP_UNLISTEN:
        listen_remove(s, name);
        break;
    case OP_SAVEPOINT:
    case OP_LOCAL:
        break;
    }
}

static bool
changes_encoding(const struct set_op *op)
{
    return (op->kind == OP_SET || op->kind == OP_RESET) && slice_is(slice_str(op->name), "client_encoding");
}

/* What was written in the client's encoding before is asked for in the new one. */
static void
translate(struct session *s)
{
    for (unsigned i = 0; i < s->settings->n; i++)
        if (!slice_is_ascii(s->settings->at[i].value))
            holds_setting(s, s->settings->at[i].name);
    for (unsigned i = 0; s->by_sql != NULL && i < s->by_sql->n; i++)
        if (!slice_is_ascii(s->by_sql->at[i].value) || !slice_is_ascii(s->by_sql->at[i].name))
            pin_set(s, PIN_PREPARE);
}

void
settings_commit(struct session *s)
{
    bool translates = false;

    if (s->log == NULL)
        return;
    ring_each (r, &s->log->ops) {
        apply(s, container_of(r, struct set_op, in_log));
        translates = translates || changes_encoding(container_of(r, struct set_op, in_log));
    }
    settings_rollback(s);
    if (translates)
        translate(s);
}

void
settings_rollback(struct session *s)
{
    if (s->log == NULL)
        return;
    while (!ring_is_empty(&s->log->ops))
        op_free(container_of(ring_first(&s->log->ops), struct set_op, in_log));
    mem_free(s->log);
    s->log = NULL;
}

/* A setting that the server has by other SQL was reset: its report is the server's default. */
void
settings_confirm(struct session *s)
{
    const struct params *reports;

    if (!s->unconfirmed || s->server->settings == NULL)
        return;
    s->unconfirmed = false;
    reports = s->server->reports;
    for (unsigned i = 0; i < reports->n; i++) {
        const struct param *mine = params_find(s->settings, reports->at[i].name);
        const struct param *there = params_find(s->server->settings, reports->at[i].name);

        if (mine == NULL || there == NULL || !slice_equal(mine->value, there->value))
            continue;
        s->settings = settings_with(s->settings, mine->name, reports->at[i].value);
        s->server->settings = settings_with(s->server->settings, there->name, reports->at[i].value);
    }
}

struct slice
settings_listens_to(const struct session *s)
{
    if (s->log == NULL)
        return SLICE("");
    ring_each (r, &s->log->ops) {
        const struct set_op *op = container_of(r, struct set_op, in_log);

        if (op->kind == OP_LISTEN)
            return slice_str(op->name);
    }
    return SLICE("");
}

void
settings_discard(struct session *s)
{
    settings_rollback(s);
    reset_one(s, SLICE("role"), false);
    reset_all(s, false);
}

/* ---- ParameterStatus ---- */

/* What the client is told of the server's reports. A replica's own default_transaction_read_only says nothing
 * about the entry, through which the session writes. Held for the caller. */
static struct params *
to_tell(const struct session *s)
{
    const struct slice name = SLICE("default_transaction_read_only");
    struct params *now = params_hold(s->server->reports);
    const struct param *old = s->told == NULL ? NULL : params_find(s->told, name),
                       *new = params_find(now, name);

    const char *standby = s->routing == NULL ? NULL : s->server->target->standby;

    if (s->told != NULL && s->server->settings != s->settings)
        now = front_without_unsettled(s, now);
    if (standby == NULL || strcmp(standby, "on") == 0 || old == NULL || new == NULL ||
        slice_equal(old->value, new->value) || params_find(s->settings, name) != NULL ||
        choose_is_primary(s, choose_cluster(s)))
        return now;
    return params_with(now, name, old->value);
}

void
settings_tell(struct session *s)
{
    struct params *now;
    struct text *t;

    if (s->told == s->server->reports)
        return;
    now = to_tell(s);
    t = session_scratch(s);
    for (unsigned i = 0; i < now->n; i++) {
        const struct param *old = s->told == NULL ? NULL : params_find(s->told, now->at[i].name);

        if (old == NULL || !slice_equal(old->value, now->at[i].value))
            wire_put_parameter(t, now->at[i].name, now->at[i].value);
    }
    session_send(s, t);
    params_drop(s->told);
    s->told = now;
}

/* Values that follow from who and what the server is, and cannot be set by a session. */
static bool
is_fact(struct slice name)
{
    static const char *const facts[] = { "is_superuser",   "session_authorization", "in_hot_standby",
                                         "server_version", "server_encoding",       "integer_datetimes" };

    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
        if (slice_is_nocase(name, facts[i]))
            return true;
    return false;
}

static void
forget_sets(struct session *s, struct slice name)
{
    if (s->log == NULL)
        return;
    ring_each_safe (r, &s->log->ops) {
        struct set_op *op = container_of(r, struct set_op, in_log);

        if (op->kind == OP_SET && slice_is_nocase(name, op->name))
            op_free(op);
    }
}

void
settings_adopt(struct session *s, struct slice report)
{
    struct wire_cursor c = wire_cursor(report);
    struct slice name = wire_get_string(&c), value = wire_get_string(&c);
    const struct param *before = s->told_before == NULL ? NULL : params_find(s->told_before, name);
    struct params *one;

    if (c.bad || s->explained)
        return;
    if (slice_is(name, "is_superuser") && settings_role(s).len == 0 && before != NULL &&
        !slice_equal(before->value, value))
        holds_setting(s, SLICE("role")); /* a function changed it */
    if (is_fact(name))
        return;
    if (before != NULL && slice_equal(before->value, value)) {
        forget_sets(s, name);
        return;
    }
    one = settings_with(params_empty(s->hall->pools.sets), name, value);
    log_op(s, OP_SET, name, one->at[0].value);
    params_drop(one);
}

/* Is what the server has reported as NAME what is known to be set there? */
static bool
is_known(const struct session *s, struct slice name, struct slice replay, struct slice value)
{
    const struct param *there = params_find(s->server->settings, name),
                       *own = params_find(s->server->defaults, name);

    if (there != NULL)
        return s->told_before == NULL || slice_equal(there->value, replay);
    return own == NULL || slice_equal(own->value, value);
}

void
settings_catch_up(struct session *s)
{
    const struct params *now = s->server->reports;

    for (unsigned i = 0; s->server->settings != NULL && i < now->n; i++) {
        struct slice name = now->at[i].name, value = now->at[i].value;
        const struct param *before = s->told_before == NULL ? NULL : params_find(s->told_before, name);
        struct params *one;

        if (is_fact(name) || (before != NULL && slice_equal(before->value, value)))
            continue;
        one = settings_with(params_empty(s->hall->pools.sets), name, value);
        if (!is_known(s, name, one->at[0].value, value))
            set_one(s, name, one->at[0].value);
        params_drop(one);
    }
}

void
settings_done(struct session *s)
{
    settings_rollback(s);
    params_drop(s->settings);
    params_drop(s->by_sql);
    params_drop(s->startup);
    params_drop(s->told);
    params_drop(s->told_before);
    s->settings = s->by_sql = s->startup = s->told = s->told_before = NULL;
}
