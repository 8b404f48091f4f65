/* SPDX-License-Identifier: ISC */
/* What goes out in front of a client's request, in the same write: the settings that its server lacks, the
 * BEGIN that was kept for it, a statement that it names. By extended protocol and without a Sync: when
 * PostgreSQL refuses any of it, it skips what follows, and nothing runs under settings of somebody else, or
 * outside of its transaction. */
#include "session_private.h"

void
front_put(struct text *t, struct slice sql)
{
    size_t start = wire_begin(t, 'P');

    wire_put_string(t, SLICE(""));
    wire_put_string(t, sql);
    wire_put_u16(t, 0);
    wire_end(t, start, 'P');
    wire_put_message(t, 'B', SLICE("\0\0\0\0\0\0\0\0"));
    wire_put_message(t, 'E', SLICE("\0\0\0\0\0"));
}

void
front_send(struct session *s, struct slice messages, unsigned n, unsigned flags)
{
    stream_put_copy(&s->server->stream, messages);
    pending_push(s, PENDING_EXECUTE, PENDING_OURS | flags)->n_done = (uint16_t)n;
    s->server->unnamed = STATEMENT_STRANGE;
}

/* After a Sync the server would go on, whatever became of it. */
bool
front_holds_back(const struct session *s)
{
    return s->n_front > 0 && pending_at(s, pending_count(s) - 1)->kind == PENDING_SYNC;
}

/* ---- settings ---- */

/* RESET a."b": each part of a dotted name quoted. */
static void
add_reset(struct text *t, struct slice name)
{
    struct slice rest = name;

    text_add_str(t, "RESET ");
    for (;;) {
        const uint8_t *dot = rest.len == 0 ? NULL : memchr(rest.data, '.', rest.len);

        if (dot == NULL) {
            text_add_quoted(t, rest, '"');
            return;
        }
        text_add_quoted(t, slice_head(rest, (size_t)(dot - rest.data)), '"');
        text_add_char(t, '.');
        rest = slice_tail(rest, (size_t)(dot - rest.data) + 1);
    }
}

static void
put_reset(struct text *t, struct slice name)
{
    struct text sql = { 0 };

    add_reset(&sql, name);
    front_put(t, text_slice(&sql));
    text_done(&sql);
}

/* It decides how the text of the others is read. */
static bool
is_about_text(struct slice name)
{
    return slice_is_nocase(name, "client_encoding") || slice_is_nocase(name, "standard_conforming_strings");
}

/* HAVE (NULL: nothing is known of it) has P of WANT, too, and has read it as WANT does. */
static bool
has(const struct params *have, const struct params *want, const struct param *p)
{
    const struct slice encoding = SLICE("client_encoding");
    const struct param *old = have == NULL ? NULL : params_find(have, p->name);

    return old != NULL && slice_equal(old->value, p->value) &&
           (slice_is_ascii(p->value) ||
            slice_equal(params_value(have, encoding), params_value(want, encoding)));
}

/* What WANT has and HAVE has not; how many. */
static unsigned
put_sets(struct text *t, const struct params *have, const struct params *want, bool about_text)
{
    struct slice role;
    unsigned n = 0;

    for (unsigned i = 0; i < want->n; i++) {
        const struct param *p = &want->at[i];

        if (is_about_text(p->name) != about_text || has(have, want, p) || settings_is_role(p->name))
            continue;
        settings_under(p->value, &role);
        if (role.len > 0)
            continue;
        if (slice_is_nocase(p->name, "DateStyle") && have != NULL && params_find(have, p->name) != NULL) {
            put_reset(t, p->name); /* SET leaves a part of it that is not named */
            n++;
        }
        front_put(t, p->value);
        n++;
    }
    return n;
}

/* *NOW is the role in force. */
static unsigned
put_role(struct text *t, struct slice *now, struct slice role)
{
    if (slice_equal(*now, role))
        return 0;
    front_put(t, role.len == 0 ? SLICE("RESET ROLE") : role);
    *now = role;
    return 1;
}

/* What was set under roles, and last the role itself; it is that of the login now. */
static unsigned
put_roles(struct text *t, const struct params *have, const struct params *want)
{
    struct slice role, sql, now = SLICE("");
    unsigned n = 0;

    for (unsigned i = 0; i < want->n; i++) {
        sql = settings_under(want->at[i].value, &role);
        if (role.len == 0 || has(have, want, &want->at[i]))
            continue;
        n += put_role(t, &now, role);
        front_put(t, sql);
        n++;
    }
    return n + put_role(t, &now, params_value(want, SLICE("role")));
}

/* Something that HAVE has, and WANT has not, was set under a role: others may not so much as reset it one by
 * one. */
static bool
is_out_of_reach(const struct params *have, const struct params *want)
{
    struct slice role;

    for (unsigned i = 0; i < have->n; i++) {
        settings_under(have->at[i].value, &role);
        if (role.len > 0 && !has(want, have, &have->at[i]))
            return true;
    }
    return false;
}

static unsigned
put_resets(struct text *t, const struct params *have, const struct params *want)
{
    unsigned n = 0;

    if (have == NULL) {
        front_put(t, SLICE("RESET ALL"));
        return 1;
    }
    for (unsigned i = 0; i < have->n; i++) {
        if (params_find(want, have->at[i].name) != NULL || settings_is_role(have->at[i].name))
            continue;
        put_reset(t, have->at[i].name);
        n++;
    }
    return n;
}

/* To who it was when it logged in. */
static unsigned
put_self(struct text *t, const struct params *have)
{
    if (have == NULL)
        front_put(t, SLICE("RESET SESSION AUTHORIZATION"));
    else if (params_find(have, SLICE("role")) == NULL)
        return 0;
    front_put(t, SLICE("RESET ROLE"));
    return have == NULL ? 2 : 1;
}

/* The one report that is certain before it comes: not news for the client then. */
static void
expect_reports(struct session *s)
{
    const struct param *want = params_find(s->settings, SLICE("application_name"));
    const struct param *own = params_find(s->startup, SLICE("application_name"));
    struct params *before = params_hold(s->server->reports);

    if (want != NULL && own != NULL && slice_equal(want->value, own->value))
        s->server->reports = settings_own_reports(s, s->server->reports);
    if (s->server->reported == NULL && s->server->reports != before)
        s->server->reported = before;
    else
        params_drop(before);
}

void
front_ended(struct session *s)
{
    const struct param *last = params_find(s->server->reported, SLICE("application_name"));

    if (last != NULL) {
        s->server->reports = params_with(s->server->reports, last->name, last->value);
        if (s->told_before != NULL)
            s->told_before = params_with(s->told_before, last->name, last->value);
    }
    front_reported(s);
}

void
front_reported(struct session *s)
{
    params_drop(s->server->reported);
    s->server->reported = NULL;
}

/* What the server will report is what the client was told, but for a RESET to another default than it knows. */
static void
note_expected(struct session *s, const struct params *have, const struct params *want)
{
    const struct params *defaults = s->server->defaults;
    struct params *expected = s->told == NULL ? NULL : params_hold(s->told);

    for (unsigned i = 0; expected != NULL && i < defaults->n; i++) {
        const struct param *p = &defaults->at[i];

        if (params_find(want, p->name) == NULL && (have == NULL || params_find(have, p->name) != NULL))
            expected = params_with(expected, p->name, p->value);
    }
    if (expected == NULL)
        return;
    params_drop(s->told_before);
    s->told_before = expected;
}

/* A transaction of its own, so that what becomes of the client's does nothing to them; of a kind that any
 * server can begin, whatever the session before set. */
unsigned
front_put_settings(struct session *s, struct text *t)
{
    struct params *have = s->server->settings, *want = s->settings;
    unsigned n = 2;

    if (have == want && !under_is_old(s))
        return 0;
    front_put(t, SLICE("START TRANSACTION ISOLATION LEVEL READ COMMITTED"));
    n += put_self(t, have);
    if (have != NULL && is_out_of_reach(have, want))
        have = NULL;
    n += put_resets(t, have, want);
    n += put_sets(t, have, want, true);
    n += put_sets(t, have, want, false);
    n += put_roles(t, have, want);
    front_put(t, SLICE("COMMIT"));
    note_expected(s, have, want);
    params_drop(s->server->settings);
    s->server->settings = params_hold(want);
    under_note_role(s);
    expect_reports(s);
    return n;
}

bool
front_settings(struct session *s)
{
    struct text *t = session_scratch(s);
    unsigned n = front_put_settings(s, t);

    if (n > 0)
        front_send(s, text_slice(t), n, PENDING_REPLAY);
    return n > 0;
}

/* The server has NAME otherwise than the session wants it, until its next statement. */
static bool
is_unsettled(const struct session *s, struct slice name)
{
    const struct param *mine = params_find(s->settings, name), *there = params_find(s->server->settings, name);

    if (mine == NULL || there == NULL)
        return mine != there;
    return !slice_equal(mine->value, there->value);
}

struct params *
front_without_unsettled(const struct session *s, struct params *now)
{
    for (unsigned i = 0; i < now->n; i++) {
        struct slice name = now->at[i].name;
        const struct param *old = is_unsettled(s, name) ? params_find(s->told, name) : NULL;

        if (old != NULL)
            now = params_with(now, name, old->value);
    }
    return now;
}
