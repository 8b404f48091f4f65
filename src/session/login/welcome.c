/* SPDX-License-Identifier: ISC */
/* From a proven identity to the first ReadyForQuery: limits, the pool, and what the
 * server reports for this client's start-up settings. The first client with such settings waits for
 * a server, which judges them; the answer is kept for the next ones. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "choose_private.h"
#include "login_private.h"

#define PATIENCE_US (2 * CLOCK_S) /* how long a login waits for a database that cannot be reached */

static void
no_database(struct session *s)
{
    struct fault why;

    fault_set(&why, "3D000", "database \"%.63s\" does not exist", s->database);
    fault_detail(&why, "It has no line in [databases], and there is none for *.");
    fault_hint(&why, "Name it there.");
    session_close(s, &why);
}

static bool
enter(struct session *s, const struct conf_database *d)
{
    const struct conf_general *g = &s->hall->setup.conf->general;
    const struct conf_user *u = conf_find_user(s->hall->setup.conf, slice_str(s->user));
    struct client_limits limits = {
        .all = g->max_client_conn,
        .database =
            d->max_db_client_connections >= 0 ? d->max_db_client_connections : g->max_db_client_connections,
        .user = u != NULL && u->max_user_client_connections >= 0 ? u->max_user_client_connections
                                                                 : g->max_user_client_connections,
    };
    struct fault why;

    if ((registry_flags(s->hall->registry, slice_str(s->database)) & DATABASE_DISABLED) != 0) {
        fault_set(&why, "57P03", "database \"%.63s\" is disabled", s->database);
        fault_detail(&why, "It was disabled on the console.");
        fault_hint(&why, "ENABLE it there.");
    } else if (registry_client_enter(s->hall->registry, slice_str(s->database), slice_str(s->user), &limits,
                                     &why)) {
        return s->entered = true;
    }
    session_close(s, &why);
    return false;
}

/* ---- what the client is told ---- */

static void
put_reports(struct text *t, const struct params *reports)
{
    for (unsigned i = 0; i < reports->n; i++)
        wire_put_parameter(t, reports->at[i].name, reports->at[i].value);
}

/* It gets its server at login, and keeps it: the process id it is told is that server's. Peers and PgBouncer
 * have other ideas of that number. */
static bool
has_own_server(const struct session *s)
{
    const struct conf_general *g = &s->hall->setup.conf->general;

    return (s->replication || s->pool->conf.mode == CONF_POOL_SESSION) && g->compat != CONF_COMPAT_PGBOUNCER &&
           g->peer_id == 0;
}

/* MESSAGES tell REPORTS, which is taken over. */
static void
finish(struct session *s, struct params *reports, struct slice messages, enum session_state next)
{
    const char *notice = s->hall->setup.conf->general.login_notify_message;
    struct text *t;

    params_drop(s->told);
    s->told = reports;
    cancel_register(s, s->login->minor, s->server != NULL && has_own_server(s) ? s->server->pid : 0);
    t = session_scratch(s);
    wire_put_auth(t, 0, SLICE(""));
    text_add(t, messages);
    cancel_put_key(s, t);
    if (notice[0] != '\0')
        wire_put_notice(t, notice);
    wire_put_ready(t, 'I');
    session_send(s, t);
    s->pool->database->stats.logins++;
    login_free(s);
    s->hall->n_logins--;
    session_move_to(s, next);
    timeouts_arm(s);
}

/* The settings that decide what a server reports, but for the name that each client has of its own. */
static struct params *
common_settings(const struct session *s)
{
    return params_without(params_hold(s->settings), SLICE("application_name"));
}

/* REPORTS is taken over. */
static void
finish_with(struct session *s, struct params *reports, enum session_state next)
{
    struct text messages = { 0 };

    put_reports(&messages, reports);
    finish(s, reports, text_slice(&messages), next);
    text_done(&messages);
}

/* What to tell this client, when a server has judged such settings before. */
static const struct pool_greeting *
find_greeting(struct session *s)
{
    const struct pool_greeting *g = pool_find_greeting(s->pool, s->settings);
    struct params *common, *reports;
    struct text messages = { 0 };

    if (g != NULL)
        return g;
    common = common_settings(s);
    reports = pool_find_welcome(s->pool, common);
    params_drop(common);
    if (reports == NULL)
        return NULL;
    reports = settings_own_reports(s, params_hold(reports));
    put_reports(&messages, reports);
    g = pool_add_greeting(s->pool, s->settings, reports, text_slice(&messages));
    params_drop(reports);
    text_done(&messages);
    return g;
}

/* ---- waiting for the first server ---- */

/* One is on its way to it. */
static bool
is_about_to_link(const struct session *s)
{
    const struct pool *p = s->pool;

    return s->waiter.since_us != 0 && p->n_connecting + p->n_asking >= p->n_waiters;
}

void
welcome_start(struct session *s)
{
    const struct conf_database *d;
    const struct pool_greeting *g;
    struct route_wishes wishes;
    struct fault why;
    bool is_known;

    log_debug("client=c%" PRIu64 " has proven who it is: database=%s user=%s", s->id, s->database, s->user);
    if (console_is_name(slice_str(s->database))) {
        console_start(s);
        return;
    }
    d = conf_find_database(s->hall->setup.conf, slice_str(s->database));
    if (d == NULL) {
        no_database(s);
        return;
    }
    if (!enter(s, d))
        return;
    if (!choose_own_wishes(s, &wishes, &why)) {
        session_close(s, &why);
        return;
    }
    choose_begin(s, d);
    timeouts_resolve(s);
    if (s->replication) {
        session_move_to(s, SESSION_WELCOME);
        link_open_replication(s, slice_str(s->login->replication));
        return;
    }
    g = find_greeting(s);
    is_known = g != NULL && !pool_is_down(s->pool);
    if (!is_known || has_own_server(s)) {
        session_move_to(s, SESSION_WELCOME);
        if (link_need(s))
            welcome_server(s);
        if (!is_known || s->state != SESSION_WELCOME || s->server != NULL || is_about_to_link(s))
            return;
        link_stop_waiting(s); /* all are taken: it will need one with its first request */
    }
    finish(s, params_hold(g->reports), g->messages, SESSION_READY);
}

static void
welcome_ready(struct session *s)
{
    struct params *common = common_settings(s);

    pool_add_welcome(s->pool, common, s->server->reports);
    params_drop(common);
    finish_with(s, settings_own_reports(s, params_hold(s->server->reports)), SESSION_LINKED);
}

static void
open_tunnel(struct session *s)
{
    finish_with(s, params_hold(s->server->reports), SESSION_TUNNEL);
}

void
welcome_server(struct session *s)
{
    struct text *t;

    if (s->replication) {
        open_tunnel(s);
        return;
    }
    if (front_settings(s)) {
        t = session_scratch(s);
        wire_put_simple(t, 'S');
        link_put(s, t);
        pending_push(s, PENDING_SYNC, PENDING_OURS);
        return;
    }
    welcome_ready(s);
    link_try_give_back(s);
    stream_again(&s->client); /* a request may have come with the password */
}

/* The server judged the settings: WHY is NULL, or what is wrong with them. Called inside the server's event:
 * giving back comes after it. */
void
welcome_replayed(struct session *s, const struct fault *why)
{
    struct server *server = s->server;
    struct fault cause;

    if (why == NULL) {
        if (s->state == SESSION_WELCOME)
            welcome_ready(s);
        return;
    }
    cause = *why;
    if (s->state != SESSION_WELCOME)
        fault_detail(&cause, "This came up while the session's settings were brought to another server.");
    link_lose(s);
    session_close(s, &cause);
    server_close(server, &cause);
}

bool
welcome_is_final(const struct fault *why)
{
    return strncmp(why->sqlstate, "28", 2) == 0 || strcmp(why->sqlstate, "3D000") == 0 ||
           strcmp(why->sqlstate, "42501") == 0 || strcmp(why->sqlstate, "22023") == 0 ||
           strcmp(why->sqlstate, "42704") == 0 || strcmp(why->sqlstate, "55000") == 0;
}

/* An attempt to reach PostgreSQL failed while this client waits for it. */
void
welcome_trouble(struct session *s, const struct fault *why)
{
    struct login *l = s->login;
    char cause[300];
    struct fault told;

    if (l->down_since_us == 0)
        l->down_since_us = session_now(s);
    if (welcome_is_final(why)) {
        told = *why;
        session_close(s, &told);
        return;
    }
    if (!s->replication && s->waiter.since_us != 0 && session_now(s) - l->down_since_us < PATIENCE_US)
        return;
    snprintf(cause, sizeof(cause), "%.63s:%u: %.200s", s->pool->target.host, s->pool->target.port,
             why->message);
    fault_set(&told, "57P03", "no server is available for database \"%.63s\"", s->database);
    fault_detail(&told, "%s", cause);
    fault_hint(&told, "Check that PostgreSQL runs and accepts connections from here.");
    session_close(s, &told);
}

void
welcome_lost(struct session *s, const struct fault *why)
{
    struct login *l = s->login;

    if (l->down_since_us == 0)
        l->down_since_us = session_now(s);
    if (s->replication || session_now(s) - l->down_since_us >= PATIENCE_US)
        welcome_trouble(s, why);
    else if (link_need(s))
        welcome_server(s);
}
