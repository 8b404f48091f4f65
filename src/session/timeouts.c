/* SPDX-License-Identifier: ISC */
/* Limits on time. A session without a server has one timer, armed only when a
 * limit applies to its state and lazy about moving; those with servers, which are few, are looked at by
 * the hall's tick, so that a query arms nothing. */
#include "base/clock.h"
#include "choose_private.h"

#define TICK_US           (CLOCK_S / 10)
#define LOGIN_PATIENCE_US (2 * CLOCK_S) /* how long a login waits for a node */

static int64_t
pick(int64_t own, int64_t general)
{
    return own >= 0 ? own : general;
}

void
timeouts_resolve(struct session *s)
{
    static const struct conf_user none = { .client_idle_timeout = -1,
                                           .query_timeout = -1,
                                           .transaction_timeout = -1,
                                           .idle_transaction_timeout = -1 };
    const struct conf_general *g = &s->hall->setup.conf->general;
    const struct conf_user *u = conf_find_user(s->hall->setup.conf, slice_str(s->user));

    if (u == NULL)
        u = &none;
    s->limits = (struct session_limits){
        .idle_us = pick(u->client_idle_timeout, g->client_idle_timeout),
        .query_us = pick(u->query_timeout, g->query_timeout),
        .transaction_us = pick(u->transaction_timeout, g->transaction_timeout),
        .idle_transaction_us = pick(u->idle_transaction_timeout, g->idle_transaction_timeout),
    };
}

/* With compat = pgbouncer a query's time runs while it waits. */
static bool
is_query_timeout_first(const struct session *s)
{
    int64_t query = s->limits.query_us, wait = s->pool->conf.query_wait_us;

    return s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER && query > 0 &&
           (wait == 0 || query <= wait);
}

static int64_t
longest_wait(const struct session *s)
{
    return is_query_timeout_first(s) ? s->limits.query_us : s->pool->conf.query_wait_us;
}

/* S waits for a server. */
static bool
wants_notice(const struct session *s)
{
    int64_t notice = s->hall->setup.conf->general.query_wait_notify, most = longest_wait(s);

    return !s->wait_told && notice > 0 && (most == 0 || notice < most);
}

static int64_t
waiting_limit(const struct session *s)
{
    if ((s->pool->flags & DATABASE_PAUSED) != 0)
        return 0;
    return wants_notice(s) ? s->hall->setup.conf->general.query_wait_notify : longest_wait(s);
}

/* In a transaction that has no server: the limit that is reached first. */
static int64_t
block_limit(const struct session *s, int64_t *since)
{
    const struct session_limits *l = &s->limits;

    if (l->transaction_us == 0 ||
        (l->idle_transaction_us > 0 && s->since_us + l->idle_transaction_us < s->xact_us + l->transaction_us))
        return l->idle_transaction_us;
    *since = s->xact_us;
    return l->transaction_us;
}

/* The limit that applies to a session without a server, and since when; 0: none does. */
static int64_t
limit_of(const struct session *s, int64_t *since)
{
    const struct conf_general *g = &s->hall->setup.conf->general;

    *since = s->since_us;
    switch ((enum session_state)s->state) {
    case SESSION_HELLO:
    case SESSION_LOGIN:
    case SESSION_WELCOME:
        if (s->routing == NULL || s->routing->held_us == 0)
            return g->client_login_timeout;
        *since = s->routing->held_us;
        return LOGIN_PATIENCE_US;
    case SESSION_WAITING:
        if (s->routing != NULL && s->routing->held_us > 0) {
            *since = s->routing->held_us;
            return choose_is_paused(s) ? 0 : choose_patience(s); /* it is looked at again and again */
        }
        *since = s->waiter.since_us > s->pool->resumed_us ? s->waiter.since_us : s->pool->resumed_us;
        return waiting_limit(s);
    case SESSION_READY:
        return s->status == 'I' ? s->limits.idle_us : block_limit(s, since);
    default:
        return 0;
    }
}

void
timeouts_arm(struct session *s)
{
    int64_t since, limit = limit_of(s, &since), left;
    struct worker *w = &s->hall->worker;

    if (limit == 0)
        return;
    left = since + limit - w->now_us;
    if (timer_is_started(&s->timer) && s->due_us <= since + limit)
        return; /* it will look again when it is due */
    s->due_us = since + limit;
    timer_start(w, &s->timer, left);
}

static void
fault_no_server(struct session *s, struct fault *why)
{
    const struct pool *p = s->pool;
    int64_t longest = 0;
    unsigned pinned = 0;
    struct fault last;

    ring_each (r, &p->used) {
        const struct server *server = container_of(r, struct server, in_pool);
        const struct session *holder = server->session;

        if (session_now(s) - server->lent_us > longest)
            longest = session_now(s) - server->lent_us;
        pinned += holder != NULL && session_is_pinned(holder);
    }
    pool_fault(p->shared, &last);
    if (s->routing != NULL && s->routing->held_us > 0) {
        choose_no_node(s, why);
        return;
    }
    if (pool_is_down(p) && last.message[0] != '\0') {
        fault_set(why, "57P03", "no server is available for database \"%.63s\"", s->database);
        fault_detail(why, "%.63s:%u: %.200s", p->target.host, p->target.port, last.message);
        fault_hint(why, "Check that PostgreSQL runs and accepts connections from here.");
        return;
    }
    fault_set(why, "53300", "no server connection became free within %g s",
              (double)p->conf.query_wait_us / 1e6);
    fault_detail(why, "pool %.63s/%.63s: size=%lld busy=%u pinned=%u longest=%.1fs", p->name, p->user,
                 (long long)p->conf.limits.pool, pool_count(p->shared) - p->n_idle, pinned,
                 (double)longest / 1e6);
    fault_hint(why, "Raise the pool size, or look for long transactions in SHOW SERVERS.");
}

void
timeouts_query_fault(const struct session *s, struct fault *why)
{
    fault_set(why, "57014", "canceling statement due to query_timeout");
    fault_detail(why, "query_timeout is %g s.", (double)s->limits.query_us / 1e6);
    fault_hint(why, "Make the statement faster, or raise query_timeout for this user.");
}

static void
fault_waited(struct session *s, struct fault *why)
{
    fault_no_server(s, why);
    if (!is_query_timeout_first(s) || strcmp(why->sqlstate, "53300") != 0)
        return;
    timeouts_query_fault(s, why);
    fault_detail(why, "It waited for a server for %g s.", (double)s->limits.query_us / 1e6);
}

/* The client stays; the request it waited with is refused. */
static void
refuse_request(struct session *s)
{
    struct fault why;

    fault_no_server(s, &why);
    link_stop_waiting(s);
    s->refusal = &why;
    session_move_to(s, SESSION_READY);
    stream_again(&s->client);
    s->refusal = NULL;
    stream_flush(s->client.turn);
}

/* PostgreSQL's words for SQLSTATE; OPTION is ours. */
static void
fault_passed(struct fault *why, const char *sqlstate, const char *option, int64_t limit)
{
    const char *what = strcmp(sqlstate, "57P05") == 0   ? "idle-session"
                       : strcmp(sqlstate, "25P04") == 0 ? "transaction"
                                                        : "idle-in-transaction";

    fault_set(why, sqlstate, "terminating connection due to %s timeout", what);
    fault_detail(why, "%s is %g s.", option, (double)limit / 1e6);
    fault_hint(why, "Connect again; close what is not needed sooner, or raise that limit.");
}

static void
fault_idle(const struct session *s, struct fault *why)
{
    const struct session_limits *l = &s->limits;
    int64_t since = s->since_us;

    if (s->status == 'I')
        fault_passed(why, "57P05", "client_idle_timeout", l->idle_us);
    else if (block_limit(s, &since) == l->transaction_us && since == s->xact_us)
        fault_passed(why, "25P04", "transaction_timeout", l->transaction_us);
    else
        fault_passed(why, "25P03", "idle_transaction_timeout", l->idle_transaction_us);
}

static void
expire(struct session *s)
{
    struct fault why;

    switch ((enum session_state)s->state) {
    case SESSION_WAITING:
        if (s->hall->setup.conf->general.compat != CONF_COMPAT_PGBOUNCER) {
            refuse_request(s);
            return;
        }
        fault_waited(s, &why);
        break;
    case SESSION_READY:
        fault_idle(s, &why);
        break;
    case SESSION_WELCOME:
        fault_no_server(s, &why);
        break;
    default: /* as PostgreSQL: a client that never logged in is not spoken to */
        session_close(s, NULL);
        return;
    }
    session_close(s, &why);
}

static void
say_waiting(struct session *s)
{
    struct fault notice;

    fault_set(&notice, "00000", "No server connection available in postgres backend, client being queued");
    s->wait_told = true;
    session_say(s, WIRE_NOTICE, &notice);
    stream_flush(s->client.turn);
    timeouts_arm(s);
}

void
timeouts_on_timer(struct timer *t)
{
    struct session *s = container_of(t, struct session, timer);
    int64_t since, limit = limit_of(s, &since);

    s->due_us = 0;
    if (limit == 0)
        return;
    if (session_now(s) < since + limit)
        timeouts_arm(s);
    else if (s->state == SESSION_WAITING && (s->routing == NULL || s->routing->held_us == 0) && wants_notice(s))
        say_waiting(s);
    else
        expire(s);
}

/* ---- sessions with servers ---- */

static bool
passed(const struct session *s, int64_t since, int64_t limit)
{
    return limit > 0 && since > 0 && session_now(s) - since >= limit;
}

static bool
query_too_long(struct session *s)
{
    struct fault why;

    if (pending_is_empty(s) || !passed(s, s->request_us, s->limits.query_us))
        return false;
    if (!s->timed_out) { /* PostgreSQL answers 57014; failure.c puts our text into it */
        s->timed_out = true;
        s->timed_out_us = session_now(s);
        server_cancel(s->server, s->hall->setup.conf->general.cancel_wait_timeout, NULL, NULL);
        return false;
    }
    if (!passed(s, s->timed_out_us, s->hall->setup.conf->general.cancel_wait_timeout))
        return false;
    timeouts_query_fault(s, &why);
    lost_doubt(s, &why);
    session_close(s, &why);
    return true;
}

/* Outside a transaction, with a server that is not wanted any more; other modes have given it back by now. */
static bool
is_to_be_replaced(const struct session *s)
{
    return s->pool->conf.mode == CONF_POOL_SESSION && s->server->status == 'I' && pending_is_empty(s) &&
           (s->server->old || s->server->epoch != s->pool->epoch);
}

static void
check(struct session *s)
{
    const struct conf_general *g = &s->hall->setup.conf->general;
    bool open = s->server->status != 'I' || !pending_is_empty(s);
    struct fault why;

    if (s->state == SESSION_TUNNEL || query_too_long(s))
        return;
    if (stream_is_blocked(&s->client) && passed(s, s->client.blocked_us, g->client_write_timeout)) {
        s->cut = true;
        fault_set(&why, "57P05", "client does not read its results (client_write_timeout)");
    } else if (open && passed(s, s->xact_us, s->limits.transaction_us)) {
        fault_passed(&why, "25P04", "transaction_timeout", s->limits.transaction_us);
        lost_doubt(s, &why);
    } else if (s->server->status != 'I' && pending_is_empty(s) &&
               passed(s, s->since_us, s->limits.idle_transaction_us)) {
        fault_passed(&why, "25P03", "idle_transaction_timeout", s->limits.idle_transaction_us);
    } else if (s->server->status == 'I' && pending_is_empty(s) && passed(s, s->since_us, s->limits.idle_us)) {
        fault_passed(&why, "57P05", "client_idle_timeout", s->limits.idle_us);
    } else if (g->server_fast_close && is_to_be_replaced(s)) {
        fault_set(&why, "57P01", "database configuration changed");
    } else {
        return;
    }
    session_close(s, &why);
}

void
timeouts_linked(struct hall *h)
{
    const struct conf_general *g = &h->setup.conf->general;
    bool wanted = h->setup.conf->n_users > 0 || g->query_timeout > 0 || g->transaction_timeout > 0 ||
                  g->idle_transaction_timeout > 0 || g->client_idle_timeout > 0 ||
                  g->client_write_timeout > 0 || g->server_fast_close;

    if (wanted && h->n_linked > 0 && !timer_is_started(&h->tick))
        timer_start(&h->worker, &h->tick, TICK_US);
}

void
timeouts_on_tick(struct timer *t)
{
    struct hall *h = container_of(t, struct hall, tick);

    ring_each_safe (r, &h->linked) {
        struct session *s = container_of(r, struct session, in_linked);

        if (s->server != NULL && s->state == SESSION_LINKED)
            check(s);
    }
    stream_flush(&h->turn);
    timeouts_linked(h);
}
