/* SPDX-License-Identifier: ISC */
/* Messages from the server to the client: the bytes go through as they are; each
 * header is looked at, and only what moves the small machines is read. */
#include "base/mem.h"
#include <inttypes.h>

#include "base/log.h"
#include "choose_private.h"

#define READ_WHOLE (32 * 1024) /* longer control messages pass unread */
#define ROW_WHOLE  STREAM_JOIN /* rows up to this size pass whole, so that a lost server leaves no half row */

/* What a reply does to the FIFO. */
enum relayed { RELAY_PASS, RELAY_SWALLOW, RELAY_BROKEN, RELAY_ENDED };

struct reply {
    uint8_t type;
    struct slice bytes, body;
    bool whole;
    struct pending_entry *head;
};

static bool
is_ours(const struct reply *r)
{
    return r->head != NULL && (r->head->flags & PENDING_OURS) != 0;
}

/* The client is not to have what comes beside the reply; but BEGIN of its own is news to it. */
static bool
is_hidden(const struct reply *r)
{
    return is_ours(r) && (r->head->flags & PENDING_OPENING) == 0;
}

static enum relayed
pass(const struct reply *r)
{
    if (r->head == NULL)
        return RELAY_BROKEN;
    return is_ours(r) ? RELAY_SWALLOW : RELAY_PASS;
}

static enum relayed
pop_as(struct session *s, const struct reply *r, enum pending_kind kind)
{
    enum relayed answer = pass(r);

    if (r->head == NULL || r->head->kind != kind)
        return RELAY_BROKEN;
    pending_pop(s);
    return answer;
}

/* ---- a statement completed ---- */

static void
note(struct session *s, const struct effect *e)
{
    switch (e->kind) {
    case EFFECT_PIN:
        pin_note(s, e);
        break;
    case EFFECT_DISCARD_ALL:
        prepared_names_clear(s);
        sql_prepared_clear(s);
        s->pins = 0;
        server_forget(s->server);
        settings_discard(s);
        listen_remove(s, SLICE(""));
        s->explained = true;
        break;
    case EFFECT_DEALLOCATE_ALL:
        prepared_names_clear(s);
        sql_prepared_clear(s);
        prepared_clear(s->server->prepared);
        s->pins &= (uint16_t) ~(1u << PIN_PREPARE);
        break;
    case EFFECT_PREPARE:
    case EFFECT_DEALLOCATE:
        sql_prepared_note(s, e);
        break;
    case EFFECT_MAY_UNPIN:
        holds_may_have_ended(s, e->pin);
        break;
    case EFFECT_MAY_LEAVE:
        holds_may_have_begun(s);
        break;
    case EFFECT_UNLISTEN:
        if ((s->pins & 1u << PIN_LISTEN) != 0)
            holds_may_have_ended(s, PIN_LISTEN);
        settings_note(s, e);
        break;
    case EFFECT_UNPIN:
        pin_note_end(s, e);
        break;
    default:
        settings_note(s, e);
    }
}

/* Statement number N of F completed with TAG. */
static void
completed(struct session *s, const struct facts *f, unsigned n, struct slice tag)
{
    bool to_savepoint = false;

    for (unsigned i = 0; f != NULL && i < f->n_effects; i++) {
        if (f->effects[i].statement != n && f->analysed)
            continue;
        note(s, &f->effects[i]);
        to_savepoint = to_savepoint || f->effects[i].kind == EFFECT_ROLLBACK_TO;
    }
    if (slice_equal(tag, SLICE("COMMIT")))
        settings_commit(s);
    else if (slice_equal(tag, SLICE("ROLLBACK")) && !to_savepoint)
        settings_rollback(s);
}

/* The answers that come are for nobody: what is outstanding is sent once more. */
static bool
is_void(const struct session *s)
{
    return s->routing != NULL && s->routing->again;
}

static enum relayed
own_complete(struct session *s, const struct pending_entry *e)
{
    if (e->kind == PENDING_EXECUTE) {
        opening_confirm(s);
        pending_pop(s);
    }
    return RELAY_SWALLOW;
}

static enum relayed
on_complete(struct session *s, const struct reply *r)
{
    struct wire_cursor c = wire_cursor(r->body);
    struct slice tag = r->type == 'C' ? wire_get_string(&c) : SLICE("");
    struct pending_entry *e = r->head;

    s->copy = COPY_NONE;
    if (e == NULL || (e->kind != PENDING_QUERY && e->kind != PENDING_EXECUTE))
        return RELAY_BROKEN;
    if ((e->flags & PENDING_OURS) != 0)
        return own_complete(s, e);
    if (slice_is(tag, "LISTEN"))
        s->server->listens = true; /* also when no facts say so */
    if ((e->facts != NULL || s->log != NULL) && !is_void(s))
        completed(s, e->facts, e->n_done, tag);
    if (s->routing != NULL && s->routing->wrote)
        known_completed(s, tag);
    changes_completed(s, e->facts, e->n_done, tag);
    e->n_done++;
    if (e->kind == PENDING_EXECUTE) {
        pending_pop(s);
        pending_skip_copy(s, false);
    }
    return RELAY_PASS;
}

/* ---- errors ---- */

/* The statement's name was in use: say so with the name that the client knows. */
static void
say_duplicate(struct session *s, const struct wire_error *e, const char *name)
{
    struct fault why;

    wire_error_fault(e, &why);
    if (slice_is(e->sqlstate, "42P05"))
        fault_set(&why, "42P05", "prepared statement \"%.63s\" already exists", name == NULL ? "" : name);
    session_say(s, WIRE_ERROR, &why);
}

/* The server was cancelled because of query_timeout: say so in its place. */
static bool
say_timed_out(struct session *s, const struct wire_error *e)
{
    struct fault why;

    if (!s->timed_out || !slice_is(e->sqlstate, "57014"))
        return false;
    fault_set(&why, "57014", "canceling statement due to query_timeout");
    session_say(s, WIRE_ERROR, &why);
    return true;
}

static void
fail_batch(struct session *s)
{
    bool in_copy = s->copy == COPY_IN;

    s->copy = COPY_NONE;
    pending_skip_copy(s, in_copy);
    if (!pending_skip_to_sync(s) && s->extended == EXTENDED_BATCH)
        s->extended = EXTENDED_SKIP_TO_SYNC;
}

/* The server ends the connection, and says why. */
static enum relayed
on_fatal(struct session *s, const struct wire_error *e)
{
    struct server *server = s->server;
    struct fault why;

    wire_error_fault(e, &why);
    server->died = true;
    lost_server(s, &why);
    server_close(server, &why);
    return RELAY_ENDED;
}

/* What we asked or put in front of the client's request failed: the settings of its session; or its
 * transaction cannot begin, and the server skips what follows. */
static bool
is_own_request(const struct pending_entry *e)
{
    return (e->flags & PENDING_OPENING) != 0 || ((e->flags & PENDING_OURS) != 0 && e->kind == PENDING_QUERY);
}

static enum relayed
on_own_error(struct session *s, const struct wire_error *e, const struct pending_entry *head)
{
    struct server *server = s->server;
    struct fault why;

    if ((head->flags & PENDING_HOLDS) != 0)
        holds_failed(s);
    if ((head->flags & PENDING_BY_SQL) != 0)
        sql_prepared_failed(s, head->n_done);
    if ((head->flags & (PENDING_REPLAY | PENDING_OPENING)) == 0)
        return RELAY_SWALLOW;
    wire_error_fault(e, &why);
    if ((head->flags & PENDING_OPENING) == 0 && s->state == SESSION_LINKED && slice_is(e->sqlstate, "57014")) {
        lost_server(s, &why); /* a time limit of the session before ended what was to take it away */
        server_close(server, &why);
    } else if ((head->flags & PENDING_OPENING) != 0) {
        lost_opening(s, &why);
        server_close(server, &why);
    } else {
        welcome_replayed(s, &why);
    }
    return RELAY_ENDED;
}

static enum relayed
on_error(struct session *s, const struct reply *r)
{
    struct pending_entry *head = r->head;
    struct wire_error e;
    const char *name;
    bool duplicate = head != NULL && (head->flags & PENDING_DUPLICATE) != 0;
    bool stale = head != NULL && (head->flags & PENDING_STALE) != 0;

    wire_error_read(r->body, &e);
    if (r->whole && (slice_is(e.severity, "FATAL") || slice_is(e.severity, "PANIC")))
        return on_fatal(s, &e);
    if (head == NULL)
        return RELAY_BROKEN;
    if (is_own_request(head))
        return on_own_error(s, &e, head);
    if (s->routing != NULL && !is_ours(r) && choose_refused(s, &e))
        return RELAY_SWALLOW;
    if (!session_in_block(s))
        settings_rollback(s);
    changes_stale(s, head, &e);
    if (head->kind == PENDING_QUERY || head->kind == PENDING_CALL) {
        s->copy = COPY_NONE;
        return say_timed_out(s, &e) ? RELAY_SWALLOW : RELAY_PASS;
    }
    name = duplicate ? prepared_names_of(s, head->statement) : NULL;
    fail_batch(s);
    if (stale && slice_is(e.sqlstate, "42P05"))
        changes_say_stale(s);
    else if (duplicate)
        say_duplicate(s, &e, name);
    return duplicate || say_timed_out(s, &e) ? RELAY_SWALLOW : RELAY_PASS;
}

/* ---- the end of a request ---- */

static void
count_request(struct session *s, char status)
{
    struct pool_stats *st = &s->pool->database->stats;
    int64_t now = session_now(s);

    st->queries++;
    s->n_requests++;
    st->query_us += now - s->request_us;
    s->request_us = now;
    if (status != 'I')
        return;
    st->xacts++;
    st->xact_us += now - s->xact_us;
    s->xact_us = now;
}

static void
transaction_ended(struct session *s)
{
    settings_commit(s);
    settings_confirm(s);
    bound_clear(s);
    changes_ended(s);
    if (s->told_before != s->server->reports) {
        params_drop(s->told_before);
        s->told_before = params_hold(s->server->reports);
    }
}

static enum relayed
on_ready(struct session *s, const struct reply *r)
{
    struct pending_entry *e = r->head;
    bool ours, holds;

    if (r->body.len != 1 || memchr("ITE", r->body.data[0], 3) == NULL || e == NULL ||
        (e->kind != PENDING_QUERY && e->kind != PENDING_SYNC && e->kind != PENDING_CALL))
        return RELAY_BROKEN;
    ours = (e->flags & PENDING_OURS) != 0;
    holds = (e->flags & PENDING_HOLDS) != 0;
    s->server->status = (char)r->body.data[0];
    s->copy = COPY_NONE;
    pending_pop(s);
    if (s->state == SESSION_WELCOME) {
        welcome_replayed(s, NULL);
        return RELAY_SWALLOW;
    }
    if (s->server->status == 'I')
        transaction_ended(s);
    if (s->listening != NULL && s->server->status == 'I' && (!ours || pending_is_empty(s)))
        listen_settle(s);
    if (s->routing != NULL && s->server->status == 'I' && !ours && !s->routing->again)
        choose_ended(s);
    if (holds)
        holds_done(s);
    if (ours) {
        settings_tell(s);
        return RELAY_SWALLOW;
    }
    if (s->routing != NULL && s->routing->again)
        return RELAY_SWALLOW; /* on_quiet sends it once more */
    opening_end(s);
    s->explained = s->rows_flowed = s->timed_out = s->retried = false;
    s->status = s->server->status;
    count_request(s, s->status);
    return RELAY_PASS;
}

static bool
is_about_standby(struct slice body)
{
    struct wire_cursor c = wire_cursor(body);

    return slice_is(wire_get_string(&c), "in_hot_standby");
}

static enum relayed
on_report(struct session *s, const struct reply *r)
{
    bool ours = is_ours(r), known = s->told == s->server->reports;

    if (!r->whole)
        return RELAY_BROKEN;
    if (!ours && s->state == SESSION_LINKED)
        settings_adopt(s, r->body);
    if (!server_report(s->server, r->body))
        return RELAY_BROKEN;
    if (s->server->target->standby != NULL && is_about_standby(r->body))
        return RELAY_SWALLOW;
    if (is_hidden(r) || !known || is_void(s))
        return RELAY_SWALLOW; /* settings_tell() follows */
    params_drop(s->told);
    s->told = params_hold(s->server->reports);
    return RELAY_PASS;
}

static bool
keeps_server(const struct session *s)
{
    return session_is_pinned(s) || s->pool->conf.mode == CONF_POOL_SESSION;
}

/* Between requests a notice is the server's own affair, and may be its farewell. */
static enum relayed
on_notice(struct session *s, const struct reply *r)
{
    bool leaving = server_is_leaving(r->body);

    s->server->old = s->server->old || leaving;
    if (leaving && !keeps_server(s))
        return RELAY_SWALLOW; /* another session's crash is not this client's news */
    if (is_hidden(r) || (r->head == NULL && s->server->status == 'I' && !keeps_server(s)))
        return RELAY_SWALLOW;
    return RELAY_PASS;
}

static enum relayed
on_holds_row(struct session *s, const struct reply *r)
{
    if (r->whole)
        holds_row(s, r->body);
    else
        holds_failed(s);
    return RELAY_SWALLOW;
}

/* What the session is known to listen to comes by another way. */
static enum relayed
on_notification(const struct session *s, const struct reply *r)
{
    struct wire_cursor c = wire_cursor(r->body);

    if (s->pool->conf.mode == CONF_POOL_SESSION)
        return RELAY_PASS;
    wire_get_u32(&c);
    if ((s->pins & 1u << PIN_LISTEN) == 0 || listen_is_to(s, wire_get_string(&c)))
        return RELAY_SWALLOW;
    return RELAY_PASS;
}

static enum relayed
on_message(struct session *s, const struct reply *r)
{
    switch (r->type) {
    case 'D':
        if (r->head != NULL && (r->head->flags & PENDING_HOLDS) != 0)
            return on_holds_row(s, r);
        /* fall through */
    case 'd':
        s->rows_flowed = s->rows_flowed || !is_ours(r); /* a setting may come as SELECT set_config */
        return pass(r);
    case 'V':
        return pass(r);
    case 'N':
        return on_notice(s, r);
    case 'A':
        return on_notification(s, r);
    case 't':
    case 'c':
        return pass(r);
    case '1':
        return pop_as(s, r, PENDING_PARSE);
    case '2':
        return pop_as(s, r, PENDING_BIND);
    case '3':
        return pop_as(s, r, PENDING_CLOSE);
    case 's':
        return pop_as(s, r, PENDING_EXECUTE);
    case 'T':
    case 'n':
        if (r->head == NULL || r->head->kind != PENDING_DESCRIBE)
            return pass(r);
        changes_described(s, r->head, r->type, r->body);
        return pop_as(s, r, PENDING_DESCRIBE);
    case 'C':
    case 'I':
        return on_complete(s, r);
    case 'E':
        return on_error(s, r);
    case 'Z':
        return on_ready(s, r);
    case 'S':
        return on_report(s, r);
    case 'G':
        s->copy = COPY_IN;
        return pass(r);
    case 'H':
        s->copy = COPY_OUT;
        return pass(r);
    case 'W':
        s->copy = COPY_BOTH;
        return pass(r);
    default:
        return RELAY_BROKEN;
    }
}

static bool
streams(uint8_t type)
{
    return type == 'D' || type == 'd';
}

static void
broken(struct session *s, uint8_t type)
{
    struct server *server = s->server;
    struct fault why;

    log_warning("client=c%" PRIu64 " server=s%" PRIu64
                " server broke the protocol with a message of type 0x%02x",
                s->id, server->id, type);
    fault_set(&why, "08P01", "the server broke the protocol");
    lost_server(s, &why);
    server_close(server, &why);
}

/* The rest of a message whose header was seen before. */
static size_t
pass_rest(struct session *s, struct slice bytes)
{
    struct slice part = slice_head(bytes, s->server_left);

    if (!s->swallow_left)
        stream_put(&s->client, part);
    s->server_left -= (uint32_t)part.len;
    return part.len;
}

static bool
has_no_data(uint8_t type)
{
    return type == '1' || type == '2' || type == 'T' || type == 'n' || type == 't';
}

/* Replies without data do not stand in the way of another try: the client does not get them twice. */
static enum relayed
pass_once(struct session *s, const struct reply *r)
{
    struct routing *g = s->routing;

    if (!s->retriable && g->n_skip == 0)
        return RELAY_PASS;
    if (!has_no_data(r->type) || !r->whole) {
        s->retriable = false;
        return RELAY_PASS;
    }
    if (g->n_skip > 0) {
        g->n_skip--;
        return RELAY_SWALLOW;
    }
    g->n_told += s->retriable;
    return RELAY_PASS;
}

/* One message; how many bytes of it were used. 0: not enough is here, or the server is gone. */
static size_t
relay_one(struct session *s, struct slice bytes)
{
    struct wire_frame f;
    struct reply r;
    enum relayed what;

    switch (wire_frame_read(bytes.data, bytes.len, INT32_MAX, &f)) {
    case WIRE_MORE:
        return 0;
    case WIRE_BAD:
        broken(s, bytes.data[0]);
        return 0;
    case WIRE_MESSAGE:
        break;
    }
    r = (struct reply){ f.type, slice_head(bytes, f.len), { 0 }, bytes.len >= f.len, pending_head(s) };
    if (!r.whole && f.len <= (streams(f.type) ? ROW_WHOLE : READ_WHOLE))
        return 0;
    r.body = slice_tail(r.bytes, WIRE_HEADER);
    what = on_message(s, &r);
    if (what == RELAY_BROKEN)
        broken(s, f.type);
    if (what == RELAY_BROKEN || what == RELAY_ENDED)
        return 0;
    if (what == RELAY_PASS && is_void(s))
        what = RELAY_SWALLOW;
    else if (what == RELAY_PASS && s->routing != NULL)
        what = pass_once(s, &r);
    else if (what == RELAY_PASS)
        s->retriable = false;
    if (what == RELAY_PASS)
        stream_put(&s->client, r.bytes);
    s->server_left = f.len - (uint32_t)r.bytes.len;
    s->swallow_left = what == RELAY_SWALLOW;
    pending_answer_local(s);
    return r.bytes.len;
}

size_t
relay_bytes(struct session *s, struct slice bytes)
{
    struct server *server = s->server;
    size_t used = 0;

    while (used < bytes.len && s->server == server) {
        size_t n =
            s->server_left > 0 ? pass_rest(s, slice_tail(bytes, used)) : relay_one(s, slice_tail(bytes, used));

        if (n == 0)
            break;
        used += n;
    }
    if (s->pool != NULL)
        s->pool->database->stats.sent += (int64_t)used;
    return s->server == server ? used : bytes.len;
}
