/* SPDX-License-Identifier: ISC */
/* The server died under a session (CONTRACT sections 3 and 4): what is sure is
 * said as sure, what cannot be known is said to be unknown, and a transaction that is surely
 * rolled back leaves the session alive, in a failed transaction that only ROLLBACK ends. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "choose_private.h"

static const char *
node_of(const struct session *s, char out[NET_ADDRESS_TEXT])
{
    if (s->pool->node != NULL)
        snprintf(out, NET_ADDRESS_TEXT, "%s", s->pool->node);
    else
        net_address_print(&s->server->address, out);
    return out;
}

static void
transaction_lost(const struct session *s, const struct fault *cause, struct fault *why)
{
    char node[NET_ADDRESS_TEXT];

    fault_set(why, "40001", "transaction lost: node %s went away", node_of(s, node));
    fault_detail(why, "%s", cause->message);
    fault_hint(why, "Retry the transaction.");
}

static void
flow_lost(const struct session *s, const struct fault *cause, struct fault *why)
{
    char node[NET_ADDRESS_TEXT];

    fault_set(why, "08006", "connection to node %s was lost during the query", node_of(s, node));
    fault_detail(why, "%s", cause->message);
    fault_hint(why, "Run the query again: it changed nothing.");
}

/* Answer every request that is outstanding with WHY (the first) and the status E; the rest of a batch is
 * skipped. */
static void
fail_requests(struct session *s, const struct fault *why, char status)
{
    bool said = false;

    pending_answer_local(s);
    for (unsigned i = 0, n = pending_count(s); i < n; i++) {
        const struct pending_entry *e = pending_at(s, i);
        struct text *t;

        if ((e->flags & PENDING_OURS) != 0 || e->kind == PENDING_COPY_END)
            continue;
        if (!said)
            session_say(s, WIRE_ERROR, why);
        said = true;
        if (e->kind != PENDING_QUERY && e->kind != PENDING_SYNC && e->kind != PENDING_CALL)
            continue;
        t = session_scratch(s);
        wire_put_ready(t, status);
        session_send(s, t);
        said = false; /* the next request of the pipeline gets an error of its own */
    }
    s->status = status;
}

/* What the client must be told, and whether it may stay. */
enum outcome { OUTCOME_NOTHING, OUTCOME_ROLLED_BACK, OUTCOME_FLOWING, OUTCOME_UNKNOWN };

static bool
in_flight(const struct session *s)
{
    for (unsigned i = 0; i < pending_count(s); i++)
        if ((pending_at(s, i)->flags & (PENDING_OURS | PENDING_LOCAL)) == 0)
            return true;
    return false;
}

/* A server that said FATAL has rolled back what it was at: it says so before it would commit. One that just
 * vanished may have committed. */
static bool
has_said(const struct fault *cause)
{
    return strcmp(cause->sqlstate, "08006") != 0 && strcmp(cause->sqlstate, "58030") != 0;
}

static enum outcome
outcome_of(const struct session *s, bool said)
{
    bool in_block = session_in_block(s), rolled_back;

    if (!in_flight(s) && !in_block) /* a Flush may have had answers to what its Sync was to commit */
        return s->extended == EXTENDED_BATCH && !s->only_reads ? OUTCOME_UNKNOWN : OUTCOME_NOTHING;
    if (!in_block && s->only_reads)
        return OUTCOME_FLOWING;
    rolled_back = !in_flight(s) || (in_block ? said || !s->ending : said && !s->in_steps);
    return rolled_back && !s->committed ? OUTCOME_ROLLED_BACK : OUTCOME_UNKNOWN;
}

void
lost_doubt(const struct session *s, struct fault *why)
{
    struct fault cause = *why;

    if (!in_flight(s) || outcome_of(s, false) != OUTCOME_UNKNOWN)
        return;
    fault_set(why, "08007", "the outcome of the last statement is unknown");
    fault_detail(why, "%s", cause.message);
    fault_hint(why, "Connect again and check whether the statement took effect.");
}

static void
state_lost(struct session *s, const struct fault *cause)
{
    struct fault why = *cause; /* the server's last words are the session's */

    if (!has_said(cause)) {
        fault_set(&why, "57P01", "the server connection that held this session's state (%s) was lost",
                  session_pin_name(s));
        fault_detail(&why, "%s", cause->message);
        fault_hint(&why, "Connect again and make it anew.");
        lost_doubt(s, &why);
    } else if (session_is_pinned(s) && why.detail[0] == '\0') {
        fault_detail(&why, "The server connection held this session's state (%s).", session_pin_name(s));
    }
    link_lose(s);
    session_close(s, &why);
}

/* The client stays, and is told WHY. */
static void
keep_client(struct session *s, const struct fault *why)
{
    bool in_transaction = session_in_block(s), busy = in_flight(s), was_batch = s->extended == EXTENDED_BATCH;
    bool has_sync = false;

    for (unsigned i = 0; i < pending_count(s); i++)
        has_sync = has_sync || pending_at(s, i)->kind == PENDING_SYNC;
    settings_rollback(s);
    pending_undo_names(s);
    prepared_names_doubt(s);
    if (busy)
        fail_requests(s, why, in_transaction ? 'E' : 'I');
    link_lose(s);
    if (s->routing != NULL)
        choose_ended(s);
    if (in_transaction)
        s->lost_why = mem_dup(why, sizeof(*why));
    s->lost = in_transaction;
    s->lost_told = busy;
    session_move_to(s, SESSION_READY);
    if (busy && was_batch && !has_sync)
        s->extended = EXTENDED_SKIP_TO_SYNC;
    if (in_transaction)
        s->status = 'E';
    else if (s->listening != NULL)
        listen_settle(s);
    timeouts_arm(s);
    if (s->client.in_len > 0) /* it may have waited for that server */
        stream_again(&s->client);
}

void
lost_opening(struct session *s, const struct fault *why)
{
    log_info("client=c%" PRIu64 " server=s%" PRIu64 " could not begin what it asked for: %s sqlstate=%s", s->id,
             s->server->id, why->message, why->sqlstate);
    keep_client(s, why);
}

/* What runs asked the server to end itself, and with it the session. */
static bool
is_wanted(const struct session *s, const struct fault *cause)
{
    const struct pending_entry *e = pending_head(s);
    const struct facts *f = e == NULL ? NULL : e->facts;

    if (strcmp(cause->sqlstate, "57P01") != 0)
        return false;
    for (unsigned i = 0; f != NULL && i < f->n_effects; i++)
        if (f->effects[i].kind == EFFECT_QUIT)
            return true;
    return false;
}

void
lost_server(struct session *s, const struct fault *cause)
{
    enum outcome what;
    struct fault why;

    log_warning("client=c%" PRIu64 " server=s%" PRIu64 " lost: %s sqlstate=%s", s->id, s->server->id,
                cause->message, cause->sqlstate);
    if (s->state == SESSION_WELCOME) {
        link_lose(s);
        welcome_lost(s, cause);
        return;
    }
    if (s->state == SESSION_TUNNEL || session_is_pinned(s) || s->pool->conf.mode == CONF_POOL_SESSION ||
        is_wanted(s, cause)) {
        state_lost(s, cause);
        return;
    }
    if (in_flight(s) && retry_start(s))
        return;
    what = s->server_left > 0 && !s->swallow_left ? OUTCOME_UNKNOWN : outcome_of(s, has_said(cause));
    if (what != OUTCOME_UNKNOWN) {
        transaction_lost(s, cause, &why);
        if (what == OUTCOME_FLOWING)
            flow_lost(s, cause, &why);
        keep_client(s, &why);
        return;
    }
    fault_set(&why, s->server_left > 0 ? "08006" : "08007",
              s->server_left > 0 ? "connection to the server was lost during the query"
                                 : "the outcome of the last statement is unknown");
    fault_detail(&why, "%s", cause->message);
    fault_hint(&why, "Connect again and check whether the statement took effect.");
    s->cut = s->server_left > 0; /* in the middle of a message: nothing more can be said */
    link_lose(s);
    session_close(s, &why);
}

/* ---- the client's messages while its transaction is lost ---- */

static void
say_failed(struct session *s)
{
    struct fault why;

    if (s->lost_told)
        fault_set(&why, "25P02",
                  "current transaction is aborted, commands ignored until end of transaction block");
    else
        why = *s->lost_why;
    s->lost_told = true;
    session_say(s, WIRE_ERROR, &why);
}

static void
send_simple(struct session *s, uint8_t type)
{
    struct text *t = session_scratch(s);

    wire_put_simple(t, type);
    session_send(s, t);
}

static void
send_ready(struct session *s)
{
    struct text *t;

    if (s->listening != NULL && s->status == 'I')
        listen_settle(s);
    t = session_scratch(s);
    wire_put_ready(t, s->status);
    session_send(s, t);
}

static void
lost_over(struct session *s)
{
    mem_free(s->lost_why);
    s->lost_why = NULL;
    s->lost = false;
    s->status = 'I';
}

static void
rolled_back(struct session *s)
{
    struct text *t = session_scratch(s);

    lost_over(s);
    wire_put_complete(t, "ROLLBACK");
    session_send(s, t);
}

/* How SQL would end the transaction: its command tag, or NULL. */
static const char *
end_of(struct session *s, struct slice sql)
{
    const struct facts *f = take_facts(s, sql);
    const char *tag = f->class == CLASS_END ? f->tag : NULL;

    facts_drop(f);
    return tag;
}

/* ROLLBACK always ends it. COMMIT does when the client knows already; otherwise it must not look like one that
 * worked. */
static bool
ends(struct session *s, struct slice sql)
{
    const char *tag = end_of(s, sql);

    return tag != NULL && (s->lost_told || strcmp(tag, "ROLLBACK") == 0);
}

static void
refuse_batch(struct session *s)
{
    say_failed(s);
    s->extended = EXTENDED_SKIP_TO_SYNC;
}

/* Parse or Bind of a statement that ends the transaction is fine; of another it fails. */
static void
lost_statement(struct session *s, bool may, uint8_t reply)
{
    if (may)
        send_simple(s, reply);
    else
        refuse_batch(s);
}

static void
lost_parse(struct session *s, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    struct slice name = wire_get_string(&c), sql = wire_get_string(&c), types = slice_of(c.at, wire_left(&c));
    struct statement *st;
    bool parsed;

    if (c.bad || types.len < 2 || !ends(s, sql)) {
        refuse_batch(s);
        return;
    }
    st = statement_intern(s, sql, types, true, &parsed);
    if (name.len == 0) {
        statement_drop(s->unnamed);
        s->unnamed = statement_hold(st);
    } else if (prepared_names_find(s, name) == NULL) {
        prepared_names_add(s, name, st);
    }
    statement_drop(st);
    send_simple(s, '1');
}

static void
lost_bind(struct session *s, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    struct slice name;
    const struct statement *st;

    wire_get_string(&c);
    name = wire_get_string(&c);
    st = name.len == 0 ? s->unnamed : prepared_names_find(s, name);
    s->lost_bound = !c.bad && st != NULL && ends(s, statement_sql(st));
    lost_statement(s, s->lost_bound, '2');
}

enum take
lost_take(struct session *s, const struct taken *m)
{
    struct wire_cursor c = wire_cursor(m->body);
    struct slice sql;

    switch (m->frame.type) {
    case 'Q':
        sql = wire_get_string(&c);
        if (!c.bad && m->whole && ends(s, sql)) {
            rolled_back(s);
        } else {
            say_failed(s);
            if (!c.bad && m->whole && end_of(s, sql) != NULL)
                lost_over(s); /* the COMMIT failed, and the transaction is over */
        }
        send_ready(s);
        if (!s->lost)
            link_part(s);
        break;
    case 'F':
        say_failed(s);
        send_ready(s);
        break;
    case 'P':
        lost_parse(s, m->body);
        break;
    case 'B':
        lost_bind(s, m->body);
        break;
    case 'D':
        if (wire_get_u8(&c) == 'P')
            send_simple(s, 'n');
        else
            refuse_batch(s);
        break;
    case 'E': /* a portal from before the loss is gone */
        if (s->lost_bound)
            rolled_back(s);
        else
            refuse_batch(s);
        s->lost_bound = false;
        break;
    case 'C':
        send_simple(s, '3');
        break;
    case 'S':
        s->extended = EXTENDED_CLEAN;
        send_ready(s);
        break;
    default:
        break;
    }
    return TAKE_DONE;
}
