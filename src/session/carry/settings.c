/* SPDX-License-Identifier: ISC */
/* Settings of a session, carried from server to server: what each statement set
 * is noted when it completes (set_log.c), and becomes lasting when its transaction commits. */
#include <ctype.h>

#include "settings_private.h"

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

/* ---- RESET of what has a start-up value ---- */

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

/* ---- a statement completed ---- */

static void
log_set(struct session *s, struct slice name, struct slice replay)
{
    struct text t = { 0 };

    set_log_add(s, OP_SET, name, settings_mark(settings_role(s), name, replay, &t));
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
        set_log_add(s, OP_LOCAL, e->name, e->replay);
        break;
    case EFFECT_RESET:
        set_log_add(s, OP_RESET, e->name, SLICE(""))->restored = s->restoring;
        break;
    case EFFECT_RESET_ALL:
        set_log_add(s, OP_RESET_ALL, SLICE(""), SLICE(""))->restored = s->restoring;
        break;
    case EFFECT_PIN:
        set_log_add(s, OP_PIN, e->name, SLICE(""))->pin = e->pin;
        return;
    case EFFECT_UNPIN:
        set_log_add(s, OP_UNPIN, SLICE(""), SLICE(""))->pin = e->pin;
        return;
    case EFFECT_LISTEN:
        set_log_add(s, OP_LISTEN, e->name, SLICE(""));
        return;
    case EFFECT_UNLISTEN:
        set_log_add(s, OP_UNLISTEN, e->name, SLICE(""));
        return;
    case EFFECT_SAVEPOINT:
        set_log_add(s, OP_SAVEPOINT, e->name, SLICE(""));
        return;
    case EFFECT_ROLLBACK_TO:
        set_log_roll_back_to(s, e->name);
        break;
    case EFFECT_RELEASE:
        set_log_release(s, e->name);
        return;
    default:
        return;
    }
    s->explained = true;
}

/* ---- its transaction committed ---- */

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

void
settings_set_one(struct session *s, struct slice name, struct slice replay)
{
    s->settings = params_with(s->settings, name, replay);
    if (s->server == NULL)
        return;
    if (s->server->settings != NULL)
        s->server->settings = params_with(s->server->settings, name, replay);
    under_note_role(s);
    s->unconfirmed = s->unconfirmed || params_find(s->server->reports, name) != NULL;
}

static void
apply(struct session *s, const struct set_op *op)
{
    struct slice name = slice_str(op->name), replay = slice_str(op->replay);

    switch (op->kind) {
    case OP_SET:
        settings_set_one(s, name, replay);
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
settings_discard(struct session *s)
{
    settings_rollback(s);
    reset_one(s, SLICE("role"), false);
    reset_all(s, false);
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
