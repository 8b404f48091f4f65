/* SPDX-License-Identifier: ISC */
/* Who may set something depends on the role: what was set under one is brought back under the same one,
 * whatever the role is by then. So its SQL is kept behind that of its role. */
#include "session_private.h"

#define UNDER '\001' /* before and behind the SQL of the role */

bool
settings_is_role(struct slice name)
{
    return slice_is(name, "role");
}

/* Settings that anybody may set, whatever the role: the common ones. */
static bool
is_for_anybody(struct slice name)
{
    static const char *const names[] = { "role",
                                         "application_name",
                                         "bytea_output",
                                         "client_encoding",
                                         "client_min_messages",
                                         "datestyle",
                                         "default_transaction_isolation",
                                         "default_transaction_read_only",
                                         "extra_float_digits",
                                         "idle_in_transaction_session_timeout",
                                         "intervalstyle",
                                         "jit",
                                         "lock_timeout",
                                         "plan_cache_mode",
                                         "row_security",
                                         "search_path",
                                         "standard_conforming_strings",
                                         "statement_timeout",
                                         "synchronous_commit",
                                         "timezone",
                                         "work_mem" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return slice_is_nocase(slice_head(name, 7), "pgweir.");
}

struct slice
settings_mark(struct slice role, struct slice name, struct slice replay, struct text *t)
{
    if (role.len == 0 || is_for_anybody(name))
        return replay;
    text_add_char(t, UNDER);
    text_add(t, role);
    text_add_char(t, UNDER);
    text_add(t, replay);
    return text_slice(t);
}

struct params *
settings_with_found(struct params *set, struct slice name, struct slice value)
{
    struct params *before = params_hold(set); /* ROLE lies in it */
    struct slice role = params_value(before, SLICE("role"));
    struct text t = { 0 };

    set = settings_with(set, name, value);
    set = params_with(set, name, settings_mark(role, name, params_value(set, name), &t));
    params_drop(before);
    text_done(&t);
    return set;
}

struct slice
settings_under(struct slice replay, struct slice *role)
{
    const uint8_t *end;

    *role = SLICE("");
    if (replay.len == 0 || replay.data[0] != UNDER)
        return replay;
    replay = slice_tail(replay, 1);
    end = memchr(replay.data, UNDER, replay.len);
    if (end == NULL)
        return replay;
    *role = slice_head(replay, (size_t)(end - replay.data));
    return slice_tail(replay, role->len + 1);
}

void
under_note_role(struct session *s)
{
    bool has = s->server->settings != NULL && params_find(s->server->settings, SLICE("role")) != NULL;

    s->server->role_us = has ? session_now(s) : 0;
}

bool
under_is_old(const struct session *s)
{
    return s->server->role_us != 0 && s->server->role_us <= changes_last(s);
}
