/* SPDX-License-Identifier: ISC */
/* What servers report of settings (ParameterStatus): what the client is told of that, and what the session
 * takes from it as its own because no SET explains it. */
#include "choose_private.h"
#include "settings_private.h"

struct params *
settings_own_reports(const struct session *s, struct params *reports)
{
    const struct param *p = params_find(reports, SLICE("application_name"));
    struct slice own = slice_str(s->application == NULL ? "" : s->application);

    if (p == NULL || slice_equal(p->value, own))
        return reports;
    return params_with(reports, SLICE("application_name"), own);
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

/* What the client was told of NAME, which stands at I in another set: mostly there, too. */
static const struct param *
told_at(const struct params *told, unsigned i, struct slice name)
{
    if (told == NULL)
        return NULL;
    return i < told->n && slice_equal(told->at[i].name, name) ? &told->at[i] : params_find(told, name);
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
        const struct param *old = told_at(s->told, i, now->at[i].name);

        if (old == NULL || !slice_equal(old->value, now->at[i].value))
            wire_put_parameter(t, now->at[i].name, now->at[i].value);
    }
    session_send(s, t);
    params_drop(s->told);
    s->told = now;
}

/* ---- what nobody SET ---- */

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
        set_log_forget(s, name);
        return;
    }
    if (holds_asks(s)) {
        holds_reported(s, name);
        return;
    }
    one = settings_with(params_empty(s->hall->pools.sets), name, value);
    set_log_add(s, OP_SET, name, one->at[0].value);
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

/* What was set by SQL comes in the server's own words; of anything else it is asked whose it is. */
static void
adopt_one(struct session *s, struct slice name, struct slice replay)
{
    if (params_find(s->server->settings, name) == NULL && holds_asks(s))
        holds_reported(s, name);
    else
        settings_set_one(s, name, replay);
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
            adopt_one(s, name, one->at[0].value);
        params_drop(one);
    }
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
