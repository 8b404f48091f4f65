/* SPDX-License-Identifier: ISC */
#include "session/half_session.h"

static void
set(struct session *s, const char *name, const char *replay)
{
    struct effect e = { .kind = EFFECT_SET, .name = slice_str(name), .replay = slice_str(replay) };

    settings_note(s, &e);
}

static void
mark(struct session *s, enum effect_kind kind, const char *name)
{
    struct effect e = { .kind = kind, .name = slice_str(name) };

    settings_note(s, &e);
}

/* The SQL of a setting of the session; "" when it has none. */
static struct slice
setting(const struct session *s, const char *name)
{
    const struct param *p = params_find(s->settings, slice_str(name));

    return p == NULL ? SLICE("") : p->value;
}

static void
what_was_set_is_lasting_only_after_the_commit(void **state)
{
    struct session *s = &((struct half *)*state)->session;

    set(s, "a", "SET a = 1");
    assert_slice(setting(s, "a"), "");
    settings_commit(s);
    assert_slice(setting(s, "a"), "SET a = 1");
    assert_ptr_equal(s->server->settings, s->settings);
    set(s, "a", "SET a = 2");
    settings_rollback(s);
    settings_commit(s);
    assert_slice(setting(s, "a"), "SET a = 1");
}

static void
savepoints_take_back_what_came_after_them(void **state)
{
    struct session *s = &((struct half *)*state)->session;

    set(s, "a", "1");
    mark(s, EFFECT_SAVEPOINT, "p");
    set(s, "b", "1");
    mark(s, EFFECT_SAVEPOINT, "p");
    set(s, "c", "1");
    mark(s, EFFECT_ROLLBACK_TO, "p"); /* the newer one */
    set(s, "d", "1");
    mark(s, EFFECT_RELEASE, "p");
    set(s, "e", "1");
    mark(s, EFFECT_ROLLBACK_TO, "p"); /* the older one again */
    mark(s, EFFECT_ROLLBACK_TO, "no such");
    set(s, "f", "1");
    settings_commit(s);
    assert_int_equal(s->settings->n, 2);
    assert_slice(setting(s, "a"), "1");
    assert_slice(setting(s, "f"), "1");
}

static void
reset_goes_back_to_the_start_up_value(void **state)
{
    struct session *s = &((struct half *)*state)->session;

    s->startup = params_with(s->startup, SLICE("a"), SLICE("start"));
    set(s, "a", "now");
    set(s, "b", "now");
    mark(s, EFFECT_RESET, "a");
    mark(s, EFFECT_RESET, "b");
    settings_commit(s);
    assert_ptr_equal(s->settings, s->startup);
    assert_int_equal(s->server->settings->n, 0);
    set(s, "a", "now");
    set(s, "c", "now");
    mark(s, EFFECT_RESET_ALL, "");
    settings_commit(s);
    assert_ptr_equal(s->settings, s->startup);
    set(s, "a", "now");
    settings_commit(s);
    set(s, "role", "SET role=r");
    settings_commit(s);
    settings_discard(s);
    assert_ptr_equal(s->settings, s->startup);
    assert_int_equal(s->server->settings->n, 0);
}

/* What is replayed makes the server what the session wants: only the difference, in a transaction of its own.
 */
static void
assert_replayed(struct session *s, const char *const *sql, unsigned n)
{
    struct text want = { 0 }, got = { 0 };

    for (unsigned i = 0; i < n; i++)
        front_put(&want, slice_str(sql[i]));
    assert_int_equal(front_put_settings(s, &got), n);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    assert_ptr_equal(s->server->settings, s->settings);
    text_clear(&got);
    assert_int_equal(front_put_settings(s, &got), 0);
    assert_int_equal(got.len, 0);
    text_done(&got);
    text_done(&want);
}

#define START "START TRANSACTION ISOLATION LEVEL READ COMMITTED"

static void
a_replay_is_the_difference_and_nothing_else(void **state)
{
    struct half *h = *state;
    struct session *s = &h->session;
    struct text t = { 0 };
    static const char *const difference[] = { START, "RESET \"x\".\"y\"\"z\"", "SET a=1", "COMMIT" };
    static const char *const all[] = { START,
                                       "RESET SESSION AUTHORIZATION",
                                       "RESET ROLE",
                                       "RESET ALL",
                                       "SET client_encoding=c",
                                       "SET a=1",
                                       "SET b=1",
                                       "COMMIT" };

    assert_int_equal(front_put_settings(s, &t), 0);
    s->settings =
        params_with(params_with(s->settings, SLICE("a"), SLICE("SET a=1")), SLICE("b"), SLICE("SET b=1"));
    h->server.settings = params_with(params_with(params_with(h->server.settings, SLICE("b"), SLICE("SET b=1")),
                                                 SLICE("a"), SLICE("SET a=2")),
                                     SLICE("x.y\"z"), SLICE("SET x"));
    assert_replayed(s, difference, 4);
    params_drop(h->server.settings);
    h->server.settings = NULL; /* not known */
    s->settings = params_with(s->settings, SLICE("client_encoding"), SLICE("SET client_encoding=c"));
    assert_replayed(s, all, 8);
}

static void
set_and_commit(struct session *s, const char *name, const char *replay)
{
    set(s, name, replay);
    settings_commit(s);
}

#define STATEMENTS(name) static const char *const name[]

/* The role goes last, and what was set under it right after it: only who may set it has done so. */
static void
what_was_set_under_a_role_is_brought_back_under_it(void **state)
{
    struct session *s = &((struct half *)*state)->session;
    struct server *server = s->server;
    struct params *plain;
    STATEMENTS(there) = { START, "SET a=1", "SET search_path=x", "SET role=r", "SET log=on", "COMMIT" };
    STATEMENTS(back) = { START, "RESET ROLE", "RESET ALL", "COMMIT" };
    STATEMENTS(other) = { START,        "SET a=1",    "SET search_path=x", "SET role=r",
                          "SET log=on", "SET role=q", "SET m=2",           "COMMIT" };
    STATEMENTS(none) = { START, "RESET ROLE", "SET role=r", "SET log=off", "RESET ROLE", "COMMIT" };

    set_and_commit(s, "a", "SET a=1");
    set_and_commit(s, "role", "SET role=r");
    set_and_commit(s, "log", "SET log=on");
    set_and_commit(s, "search_path", "SET search_path=x");
    plain = s->settings;
    params_drop(server->settings);
    server->settings = params_empty(s->hall->pools.sets);
    assert_replayed(s, there, 6);
    s->settings = params_empty(s->hall->pools.sets);
    assert_replayed(s, back, 4);
    params_drop(s->settings);
    s->settings = plain;
    set(s, "role", "SET role=q");
    set(s, "m", "SET m=2");
    settings_commit(s);
    params_drop(server->settings);
    server->settings = params_empty(s->hall->pools.sets);
    assert_replayed(s, other, 8);
    mark(s, EFFECT_RESET_ALL, "");
    settings_commit(s);
    assert_slice(setting(s, "role"), "SET role=q");
    assert_int_equal(s->settings->n, 1);
    set(s, "role", "SET role=r");
    set(s, "log", "SET log=off");
    mark(s, EFFECT_RESET, "role");
    settings_commit(s);
    assert_slice(settings_role(s), "");
    params_drop(server->settings);
    server->settings = params_with(params_empty(s->hall->pools.sets), SLICE("role"), SLICE("SET role=p"));
    assert_replayed(s, none, 6);
}

static void
the_role_in_force_is_that_of_the_transaction(void **state)
{
    struct session *s = &((struct half *)*state)->session;
    struct effect local = { .kind = EFFECT_SET_LOCAL, .name = SLICE("role"), .replay = SLICE("SET role=l") };

    set_and_commit(s, "role", "SET role=r");
    mark(s, EFFECT_SAVEPOINT, "role");
    settings_note(s, &local);
    assert_slice(settings_role(s), "SET role=l");
    set(s, "log", "SET log=on");
    mark(s, EFFECT_RESET, "role");
    assert_slice(settings_role(s), "");
    mark(s, EFFECT_ROLLBACK_TO, "role");
    assert_slice(settings_role(s), "SET role=r");
    settings_note(s, &local);
    set(s, "log", "SET log=on");
    settings_commit(s);
    assert_slice(settings_role(s), "SET role=r");
    assert_slice(setting(s, "log"), "\001SET role=l\001SET log=on");
}

/* A value can never leave its literal. */
static void
values_of_clients_are_quoted(void **state)
{
    struct half *h = *state;
    struct params *p = settings_with(params_empty(h->hall.pools.sets), SLICE("a'b"), SLICE("x'; DROP --\\"));

    assert_slice(p->at[0].value, "SELECT pg_catalog.set_config('a''b',E'x''; DROP --\\\\',false)");
    params_drop(p);
    p = settings_with(params_empty(h->hall.pools.sets), SLICE("work_mem"), SLICE("x'; DROP --\\"));
    assert_slice(p->at[0].value, "SET \"work_mem\" TO E'x''; DROP --\\\\'");
    params_drop(p);
    p = settings_with(params_empty(h->hall.pools.sets), SLICE("Search_Path"), SLICE("a, b"));
    assert_slice(p->at[0].value, "SELECT pg_catalog.set_config('Search_Path','a, b',false)");
    params_drop(p);
}

static void
the_client_is_told_what_it_does_not_know(void **state)
{
    struct half *h = *state;
    char buf[200];

    h->server.reports =
        params_with(params_with(h->server.reports, SLICE("a"), SLICE("1")), SLICE("b"), SLICE("2"));
    settings_tell(&h->session);
    assert_slice(half_said(h, buf, sizeof(buf)), "S\0\0\0\10a\0001\0S\0\0\0\10b\0002\0");
    settings_tell(&h->session);
    assert_int_equal(half_said(h, buf, sizeof(buf)).len, 0);
    h->server.reports = params_with(h->server.reports, SLICE("b"), SLICE("3"));
    settings_tell(&h->session);
    assert_slice(half_said(h, buf, sizeof(buf)), "S\0\0\0\10b\0003\0");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        HALF(what_was_set_is_lasting_only_after_the_commit),
        HALF(savepoints_take_back_what_came_after_them),
        HALF(reset_goes_back_to_the_start_up_value),
        HALF(a_replay_is_the_difference_and_nothing_else),
        HALF(what_was_set_under_a_role_is_brought_back_under_it),
        HALF(the_role_in_force_is_that_of_the_transaction),
        HALF(values_of_clients_are_quoted),
        HALF(the_client_is_told_what_it_does_not_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
