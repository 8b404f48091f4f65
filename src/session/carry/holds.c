/* SPDX-License-Identifier: ISC */
/* Some statements may have ended what pins a session (DROP TABLE, CLOSE), or may have left anything behind
 * (what could not be analysed), or have set what only the server knows (set_config of a computed value). When
 * the transaction is over and nothing else is outstanding, the server itself is asked, ahead of whatever the
 * client sends next. */
#include "base/mem.h"
#include "session_private.h"

struct holds {
    uint16_t ended,
        any; /* sets of 1 << enum pin_reason: asked about if the session is pinned for it; in any case */
    uint16_t asked, held; /* what the question is about; what of it is still there */
    bool all_settings;    /* not only those of NAMES */
    bool failed;
    struct text names;    /* of settings, a NUL after each */
    struct text reported; /* the same, of those that may be the session's or the server's own */
    struct params *found; /* what the server said of settings */
};

/* What is true of the server while it holds such state. */
static const struct {
    enum pin_reason pin;
    const char *sql;
} questions[] = {
    { PIN_TEMP_TABLE,
      "EXISTS(SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) 2615::pg_catalog.oid"
      " AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())" },
    { PIN_HOLD_CURSOR, "EXISTS(SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)" },
    { PIN_ADVISORY_LOCK,
      "EXISTS(SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory'"
      " AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())" },
    { PIN_PREPARE, "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements WHERE from_sql)"
                   " OPERATOR(pg_catalog.>) " /* those that are known of */ },
    { PIN_LISTEN, "EXISTS(SELECT FROM pg_catalog.pg_listening_channels())" },
    { PIN_ROLE, "pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none' AND EXISTS(SELECT FROM"
                " pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'"
                " AND context OPERATOR(pg_catalog.<>) 'user')" },
    { PIN_AUTHORIZATION,
      "EXISTS(SELECT FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a JOIN "
      "pg_catalog.pg_roles r"
      " ON r.rolname OPERATOR(pg_catalog.=) session_user WHERE a.usesysid OPERATOR(pg_catalog.<>) r.oid)" },
};
#define N_QUESTIONS (sizeof(questions) / sizeof(questions[0]))

/* But for those that cannot be carried as others are. */
static const char settings_question[] =
    "SELECT name,setting FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'"
    " AND name OPERATOR(pg_catalog.<>) ALL('{role,session_authorization,seed,transaction_isolation,"
    "transaction_read_only,transaction_deferrable}'::pg_catalog.text[])"
    /* which does not show the role; none may still not be the one of the login */
    " UNION ALL SELECT 'role',pg_catalog.current_setting('role') WHERE"
    " pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none' OR EXISTS(SELECT FROM"
    " pg_catalog.pg_db_role_setting WHERE pg_catalog.array_to_string(setconfig,' ') OPERATOR(pg_catalog.~) "
    "'role=')";

static struct holds *
doubt(struct session *s)
{
    if (s->holds == NULL)
        s->holds = mem_new(struct holds);
    return s->holds;
}

void
holds_may_have_ended(struct session *s, enum pin_reason reason)
{
    doubt(s)->ended |= (uint16_t)(1u << reason);
    if (reason == PIN_AUTHORIZATION)
        holds_setting(s, SLICE("role"));
}

void
holds_may_have_begun(struct session *s)
{
    struct holds *h = doubt(s);

    for (size_t i = 0; i < N_QUESTIONS; i++)
        h->any |= (uint16_t)(1u << questions[i].pin);
    h->all_settings = true;
}

void
holds_may_have_locked(struct session *s)
{
    doubt(s)->any |= 1u << PIN_ADVISORY_LOCK;
}

void
holds_setting(struct session *s, struct slice name)
{
    text_add(&doubt(s)->names, name);
    text_add_char(&s->holds->names, '\0');
}

bool
holds_asks(const struct session *s)
{
    return s->pool->conf.mode != CONF_POOL_SESSION && s->pool->conf.on_session_state != CONF_STATE_WARN;
}

void
holds_reported(struct session *s, struct slice name)
{
    text_add(&doubt(s)->reported, name);
    text_add_char(&s->holds->reported, '\0');
}

bool
holds_doubts(const struct session *s, enum pin_reason reason)
{
    return s->holds != NULL && ((s->holds->ended | s->holds->any) & 1u << reason) != 0;
}

void
holds_forget(struct session *s)
{
    if (s->holds == NULL)
        return;
    text_done(&s->holds->names);
    text_done(&s->holds->reported);
    params_drop(s->holds->found);
    mem_free(s->holds);
    s->holds = NULL;
}

/* ---- the question: rows of one column about pins, rows of two about settings ---- */

static void
add_pins(struct text *sql, uint16_t asked, unsigned n_prepared)
{
    bool first = true;

    text_add_str(sql, "SELECT pg_catalog.concat(");
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        if ((asked & 1u << questions[i].pin) == 0)
            continue;
        text_add_str(sql, first ? "" : ",");
        text_add_str(sql, questions[i].sql);
        if (questions[i].pin == PIN_PREPARE)
            text_printf(sql, "%u", n_prepared);
        first = false;
    }
    text_add_str(sql, ");");
}

/* The first of NAMES, which loses it. */
static struct slice
next_name(struct slice *names)
{
    struct slice name = slice_str((const char *)names->data);

    *names = slice_tail(*names, name.len + 1);
    return name;
}

/* BEFORE and AFTER each of NAMES. */
static void
add_names(struct text *sql, const char *before, struct slice names, const char *after)
{
    while (names.len > 0) {
        text_add_str(sql, before);
        settings_add_literal(sql, next_name(&names));
        text_add_str(sql, after);
    }
}

void
holds_ask(struct session *s)
{
    struct holds *h = s->holds;
    struct text sql = { 0 };
    struct text *t;

    if (!holds_asks(s)) {
        holds_forget(s);
        return;
    }
    h->asked = (uint16_t)(h->any | (h->ended & s->pins));
    if (h->asked != 0)
        add_pins(&sql, h->asked, sql_prepared_there(s));
    add_names(&sql, "SELECT n,pg_catalog.current_setting(n,true)FROM(SELECT ", text_slice(&h->names),
              "::pg_catalog.text)x(n);");
    add_names(&sql,
              "SELECT name,setting FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'"
              " AND name OPERATOR(pg_catalog.=) ",
              text_slice(&h->reported), ";");
    if (h->all_settings)
        text_add_str(&sql, settings_question);
    if (sql.len == 0) {
        holds_forget(s);
        return;
    }
    h->held = h->asked; /* until the answer says otherwise */
    h->found = params_empty(s->hall->pools.sets);
    if (s->server->settings != s->settings) /* its answer is read in the client's encoding */
        front_settings(s);
    t = session_scratch(s);
    wire_put_query(t, text_slice(&sql));
    text_done(&sql);
    link_put_query(s, t, PENDING_HOLDS);
}

/* ---- the answer ---- */

/* One letter for each pin that was asked about. */
static void
take_pins(struct session *s, struct slice letters)
{
    size_t n = 0;

    for (size_t i = 0; i < N_QUESTIONS; i++) {
        unsigned bit = 1u << questions[i].pin;

        if ((s->holds->asked & bit) == 0)
            continue;
        if (n < letters.len && letters.data[n++] == 'f')
            s->holds->held &= (uint16_t)~bit;
    }
}

static struct slice
column(struct wire_cursor *c)
{
    uint32_t len = wire_get_u32(c);

    return len == UINT32_MAX ? slice_of(NULL, 0) : wire_get_bytes(c, len);
}

void
holds_row(struct session *s, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    unsigned n = wire_get_u16(&c);
    struct slice first = column(&c), second = n == 2 ? column(&c) : SLICE("");

    if (c.bad || n > 2)
        s->holds->failed = true;
    else if (n == 1)
        take_pins(s, first);
    else if (second.data != NULL)
        s->holds->found = params_with(s->holds->found, first, second);
}

void
holds_failed(struct session *s)
{
    s->holds->failed = true;
}

static bool
is_custom(struct slice name)
{
    return memchr(name.data, '.', name.len) != NULL;
}

static struct params *
without(struct params *set, struct slice names)
{
    while (names.len > 0)
        set = params_without(set, next_name(&names));
    return set;
}

/* SET becomes what the server said; custom settings of no library are not among all. */
static struct params *
adopt(const struct holds *h, struct params *set)
{
    struct params *before = params_hold(set);
    const struct param *role = params_find(h->found, SLICE("role"));

    for (unsigned i = 0; h->all_settings && i < before->n; i++)
        if (!is_custom(before->at[i].name))
            set = params_without(set, before->at[i].name);
    set = without(without(set, text_slice(&h->names)), text_slice(&h->reported));
    if (role != NULL)
        set = settings_with(set, role->name, role->value);
    for (unsigned i = 0; i < h->found->n; i++)
        set = settings_with_found(set, h->found->at[i].name, h->found->at[i].value);
    params_drop(before);
    return set;
}

static void
settle_pins(struct session *s, const struct holds *h)
{
    s->pins &= (uint16_t)~h->asked;
    for (unsigned i = 1; i < PIN_N; i++)
        if ((h->held & 1u << i) != 0)
            pin_set(s, (enum pin_reason)i);
}

/* What it reported and no session set is what it goes back to: its configuration was loaded again. */
static void
note_defaults(struct server *server, const struct holds *h)
{
    struct slice names = text_slice(&h->reported);

    while (names.len > 0) {
        struct slice name = next_name(&names);

        if (params_find(h->found, name) == NULL)
            server->defaults = params_with(server->defaults, name, params_value(server->reports, name));
    }
}

static void
settle_settings(struct session *s, const struct holds *h)
{
    if (!h->all_settings && h->names.len == 0 && h->reported.len == 0)
        return;
    if (h->failed) {
        pin_set(s, PIN_SET);
        return;
    }
    s->settings = adopt(h, s->settings);
    params_drop(s->server->settings);
    s->server->settings = params_hold(s->settings);
    under_note_role(s);
    note_defaults(s->server, h);
}

void
holds_done(struct session *s)
{
    struct holds *h = s->holds;

    s->holds = NULL; /* nothing is in doubt any more */
    settle_pins(s, h);
    settle_settings(s, h);
    s->holds = h;
    holds_forget(s);
}
