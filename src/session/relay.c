/* SPDX-License-Identifier: ISC */
/* Messages from the server to the client: the bytes go through as they are; each
 * header is looked at, and only what moves the small machines is read. */
#include <inttypes.h>

#include "base/log.h"
#include "relay_private.h"

#define READ_WHOLE (32 * 1024) /* longer control messages pass unread */
#define ROW_WHOLE  STREAM_JOIN /* rows up to this size pass whole, so that a lost server leaves no half row */

/* The client is not to have what comes beside the reply; but BEGIN of its own is news to it. */
static bool
is_hidden(const struct reply *r)
{
    return relay_is_ours(r) && (r->head->flags & PENDING_OPENING) == 0;
}

static enum relayed
pass(const struct reply *r)
{
    if (r->head == NULL)
        return RELAY_BROKEN;
    return relay_is_ours(r) ? RELAY_SWALLOW : RELAY_PASS;
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

/* To a Parse or Bind; those of our own statements count with their Execute. */
static enum relayed
pop_early(struct session *s, const struct reply *r, enum pending_kind kind)
{
    if (r->head != NULL && r->head->kind == PENDING_EXECUTE && (r->head->flags & PENDING_OURS) != 0)
        return RELAY_SWALLOW;
    return pop_as(s, r, kind);
}

/* ---- what comes beside the reply ---- */

static bool
is_about(struct slice body, const char *name)
{
    struct wire_cursor c = wire_cursor(body);

    return slice_is(wire_get_string(&c), name);
}

static enum relayed __attribute__((noinline)) on_report(struct session *s, const struct reply *r)
{
    bool ours = relay_is_ours(r), known = s->told == s->server->reports;

    if (!r->whole)
        return RELAY_BROKEN;
    if (!ours && s->state == SESSION_LINKED)
        settings_adopt(s, r->body);
    if (!server_report(s->server, r->body))
        return RELAY_BROKEN;
    if (s->server->reported != NULL && is_about(r->body, "application_name"))
        front_reported(s);
    if (s->server->target->standby != NULL && is_about(r->body, "in_hot_standby"))
        return RELAY_SWALLOW;
    if (is_hidden(r) || !known || relay_is_void(s) || s->server->settings != s->settings)
        return RELAY_SWALLOW; /* settings_tell() follows, or settings do */
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
static enum relayed __attribute__((noinline)) on_notice(struct session *s, const struct reply *r)
{
    bool leaving = server_is_leaving(r->body);

    s->server->old = s->server->old || leaving;
    if (leaving && !keeps_server(s))
        return RELAY_SWALLOW; /* another session's crash is not this client's news */
    if (is_hidden(r) || (r->head == NULL && s->server->status == 'I' && !keeps_server(s)))
        return RELAY_SWALLOW;
    return RELAY_PASS;
}

static enum relayed __attribute__((noinline)) on_holds_row(struct session *s, const struct reply *r)
{
    if (r->whole)
        holds_row(s, r->body);
    else
        holds_failed(s);
    return RELAY_SWALLOW;
}

/* What the session is known to listen to comes by another way. */
static enum relayed __attribute__((noinline)) on_notification(const struct session *s, const struct reply *r)
{
    struct wire_cursor c = wire_cursor(r->body);

    if (s->pool->conf.mode == CONF_POOL_SESSION)
        return RELAY_PASS;
    wire_get_u32(&c);
    if ((s->pins & 1u << PIN_LISTEN) == 0 || listen_is_to(s, wire_get_string(&c)))
        return RELAY_SWALLOW;
    return RELAY_PASS;
}

static enum relayed __attribute__((noinline)) on_copy_in(struct session *s, const struct reply *r)
{
    if (r->head != NULL && pending_begin_copy(s))
        s->copy = COPY_IN;
    return pass(r);
}

/* ---- every message ---- */

static enum relayed
on_message(struct session *s, const struct reply *r)
{
    switch (r->type) {
    case 'D':
        if (r->head != NULL && (r->head->flags & PENDING_HOLDS) != 0)
            return on_holds_row(s, r);
        /* fall through */
    case 'd':
        s->rows_flowed = s->rows_flowed || !relay_is_ours(r); /* a setting may come as SELECT set_config */
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
        return pop_early(s, r, PENDING_PARSE);
    case '2':
        return pop_early(s, r, PENDING_BIND);
    case '3':
        return pop_as(s, r, PENDING_CLOSE);
    case 's':
        relay_suspended(s, r);
        return pop_as(s, r, PENDING_EXECUTE);
    case 'T':
    case 'n':
        if (r->head == NULL || r->head->kind != PENDING_DESCRIBE)
            return pass(r);
        changes_described(s, r->head, r->type, r->body);
        return pop_as(s, r, PENDING_DESCRIBE);
    case 'C':
    case 'I':
        return relay_complete(s, r);
    case 'E':
        return relay_error(s, r);
    case 'Z':
        return relay_ready(s, r);
    case 'S':
        return on_report(s, r);
    case 'G':
        return on_copy_in(s, r);
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

/* ---- bytes ---- */

static bool
streams(uint8_t type)
{
    return type == 'D' || type == 'd';
}

static void __attribute__((noinline)) broken(struct session *s, uint8_t type)
{
    struct server *server = s->server;
    struct fault why;

    log_warning("client=c%" PRIu64 " server=s%" PRIu64
                " server broke the protocol with a message of type 0x%02x",
                s->id, server->id, type);
    fault_set(&why, "08006", "the server broke the protocol"); /* what it did before is not known */
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

/* Replies to what will be sent once more are for nobody. Those without data do not stand in the way of another
 * try: the client does not get them twice. */
static enum relayed
pass_once(struct session *s, const struct reply *r)
{
    struct routing *g = s->routing;

    if (g->again)
        return RELAY_SWALLOW;
    if (!s->retriable && g->n_skip == 0)
        return RELAY_PASS;
    if (!has_no_data(r->type) || !r->whole) {
        g->told = r->type != 'Z'; /* which ends the request before it */
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
    if (what == RELAY_PASS && s->routing != NULL)
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
