/* SPDX-License-Identifier: ISC */
/* Messages of a client that is logged in: one table says what is legal, how long
 * it may be, and who takes it. */
#include "choose_private.h"

#define SMALL_MESSAGE (64 * 1024)
#define NO_BODY       WIRE_HEADER
#define MOST_PENDING  8192 /* replies outstanding before we stop reading the client */

#define SHAPES_A_SECOND 200 /* statements of one session that the parser may see in a second */

typedef enum take take_handler(struct session *s, const struct taken *m);

struct rule {
    take_handler *take;
    bool whole;   /* TAKE wants all of it, when it is not longer than max_statement_size */
    bool skipped; /* ignored after an error until Sync */
    uint32_t max; /* 0: max_packet_size */
};

static const struct rule rules[128] = {
#define MESSAGE(type, take, whole, skipped, max) [type] = { take, whole, skipped, max },
#include "session/client_messages.def"
#undef MESSAGE
};

/* NULL: no client may send such a message once it is logged in. */
static const struct rule *
rule_of(uint8_t type)
{
    return type < sizeof(rules) / sizeof(rules[0]) && rules[type].take != NULL ? &rules[type] : NULL;
}

void
take_forward(struct session *s, const struct taken *m)
{
    s->passes = true;
    stream_put(&s->server->stream, m->bytes);
}

/* A short statement with another name is another shape each time, and what it leaves behind must be known. */
static bool
is_short_named(struct slice sql)
{
    static const char *const words[] = {
        "listen", "unlisten", "deallocate", "savepoint", "release", "rollback"
    };
    struct slice start = slice_trim(slice_head(sql, 64));

    for (size_t i = 0; sql.len <= 200 && i < sizeof(words) / sizeof(words[0]); i++)
        if (slice_is_nocase(slice_head(start, strlen(words[i])), words[i]))
            return true;
    return false;
}

bool
take_may_parse(struct session *s, struct slice sql)
{
    if (session_now(s) - s->shapes_us > 1000000) {
        s->shapes_us = session_now(s);
        s->n_new_shapes = 0;
    }
    return s->n_new_shapes < SHAPES_A_SECOND || is_short_named(sql);
}

const struct facts *
take_facts(struct session *s, struct slice sql)
{
    bool parsed;
    uint64_t key;
    const struct facts *f = known_find(s->hall, sql, &key);

    if (f != NULL)
        return f;
    f = facts_of(s->hall->facts, sql, take_may_parse(s, sql), &parsed);
    s->n_new_shapes += parsed;
    if (f->analysed)
        known_add(s->hall, key, f);
    return f;
}

void
take_note_ending(struct session *s, const struct facts *f)
{
    retry_note(s, f);
    vacate_note(s, f);
    if (f == NULL || !f->analysed || f->ends_block)
        s->ending = true;
    if (f == NULL || !f->analysed || f->in_steps)
        s->in_steps = true;
}

void
take_refuse(struct session *s, const struct fault *why, bool extended)
{
    struct pending_entry *e;

    if (compat_ends_client(s, why)) {
        session_close(s, why);
        return;
    }
    opening_fail(s);
    e = pending_push(s, PENDING_REFUSAL, PENDING_LOCAL | (extended ? 0 : PENDING_READY));
    e->refusal = mem_dup(why, sizeof(*why));
    if (extended)
        s->extended = EXTENDED_SKIP_TO_SYNC;
    pending_answer_local(s);
}

/* A cancel request came, or the time ran out, while the client waited for a server: its request never ran. */
static void
refuse_unstarted(struct session *s, uint8_t type)
{
    struct fault why;

    fault_set(&why, "57014", "canceling statement due to user request");
    if (s->refusal != NULL)
        why = *s->refusal;
    s->cancelled = false;
    s->refusal = NULL;
    take_refuse(s, &why, type != 'Q' && type != 'F');
}

/* No node will ever do for this request, as the session is. */
static enum take
refuse_route(struct session *s, uint8_t type)
{
    struct fault why;

    if (!choose_refusal(s, &why))
        return TAKE_WAIT;
    take_refuse(s, &why, type != 'Q' && type != 'F');
    return TAKE_DONE;
}

static enum take
refuse_simple(struct session *s)
{
    struct fault why;

    fault_set(&why, "0A000", "the simple query protocol is not allowed here");
    fault_hint(&why, "Let the driver use the extended protocol, or set disable_pqexec = 0.");
    session_close(s, &why);
    return TAKE_CLOSED;
}

static enum take
take_one(struct session *s, const struct rule *rule, struct taken *m)
{
    uint32_t most = (uint32_t)s->hall->setup.conf->general.max_statement_size;

    if (rule->whole && !m->whole && m->frame.len <= (rule->max > 0 ? rule->max : most))
        return TAKE_MORE;
    if (s->extended == EXTENDED_SKIP_TO_SYNC && rule->skipped)
        return TAKE_DONE;
    if (m->frame.type == 'Q' && s->hall->setup.conf->general.disable_pqexec)
        return refuse_simple(s);
    if (s->lost)
        return lost_take(s, m);
    if ((s->cancelled || s->refusal != NULL) && rule->skipped) {
        refuse_unstarted(s, m->frame.type);
        return TAKE_DONE;
    }
    return rule->take(s, m);
}

/* The bytes of a message that is streamed through. They are dropped when its head was, or no server is left. */
static size_t
stream_through(struct session *s, struct slice bytes)
{
    struct slice part = slice_head(bytes, s->client_left);

    s->passes = s->passes && s->server != NULL && !s->lost;
    if (s->passes)
        stream_put(&s->server->stream, part);
    s->client_left -= (uint32_t)part.len;
    return part.len;
}

/* Of a batch: Parse, Bind, Describe, Execute, Close. */
static bool
is_batched(uint8_t type)
{
    return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

/* There is a node to be chosen. False: what comes next must not overtake what is sent once more. */
static bool
begin_routed(struct session *s, const struct taken *m)
{
    if (s->routing->again)
        return false;
    if (is_batched(m->frame.type))
        choose_batch(s, m->ahead);
    return true;
}

static enum take
end_routed(struct session *s, const struct taken *m, enum take answer)
{
    s->routing->lent = false; /* it was for this message */
    if (answer == TAKE_WAIT)
        answer = refuse_route(s, m->frame.type);
    if (answer == TAKE_DONE && s->state != SESSION_GONE)
        choose_count_rule(s);
    return answer;
}

/* One message at the start of BYTES. */
static enum take
take_message(struct session *s, struct slice bytes, size_t *used)
{
    struct taken m;
    const struct rule *rule;
    enum take answer;

    switch (wire_frame_read(bytes.data, bytes.len, (uint32_t)s->hall->setup.conf->general.max_packet_size,
                            &m.frame)) {
    case WIRE_MORE:
        return TAKE_MORE;
    case WIRE_BAD:
        session_protocol_error(s, "invalid message length");
        return TAKE_CLOSED;
    case WIRE_MESSAGE:
        break;
    }
    if (m.frame.type == 'X') {
        session_close(s, NULL);
        return TAKE_CLOSED;
    }
    rule = rule_of(m.frame.type);
    if (rule == NULL || (rule->max > 0 && m.frame.len > rule->max)) {
        session_protocol_error(s, rule == NULL ? "invalid frontend message type" : "invalid message length");
        return TAKE_CLOSED;
    }
    m.bytes = slice_head(bytes, m.frame.len);
    m.body = slice_tail(m.bytes, WIRE_HEADER);
    m.ahead = bytes;
    m.whole = m.bytes.len == m.frame.len;
    if (front_holds_back(s) || (s->routing != NULL && !begin_routed(s, &m)))
        return TAKE_WAIT;
    s->passes = false;
    answer = take_one(s, rule, &m);
    if (s->routing != NULL) /* not when it is gone */
        answer = end_routed(s, &m, answer);
    if (s->state == SESSION_GONE)
        return TAKE_CLOSED;
    if (answer != TAKE_DONE)
        return answer;
    *used = m.bytes.len;
    s->client_left = m.frame.len - (uint32_t)m.bytes.len;
    if (s->retriable)
        retry_keep(s, &m);
    return TAKE_DONE;
}

/* Too much is outstanding. What the server answered it may keep until it is asked, and the client, which would
 * do that in its time, is not heard any more. */
static void
pause_client(struct session *s)
{
    stream_pause(&s->client, STREAM_PAUSE_OWNER);
    if (s->server != NULL && !s->lost)
        stream_put(&s->server->stream, SLICE("H\0\0\0\4"));
}

void
take_resume(struct session *s)
{
    if (pending_count(s) <= MOST_PENDING / 2 && !listen_owes_ready(s))
        stream_resume(&s->client, STREAM_PAUSE_OWNER);
}

size_t
take_bytes(struct session *s, struct slice bytes)
{
    size_t used = 0, n = 0;

    while (used < bytes.len && (s->state == SESSION_READY || s->state == SESSION_LINKED)) {
        if (s->client_left > 0) {
            used += stream_through(s, slice_tail(bytes, used));
            continue;
        }
        if (pending_count(s) > MOST_PENDING) {
            pause_client(s);
            break;
        }
        switch (take_message(s, slice_tail(bytes, used), &n)) {
        case TAKE_DONE:
            used += n;
            if (s->server != NULL && pending_is_empty(s))
                link_try_give_back(s); /* it waited for a server, and was answered without */
            break;
        case TAKE_CLOSED:
            return bytes.len;
        case TAKE_MORE:
            return used;
        case TAKE_WAIT:
            if (bytes.len - used >= KEPT_MAX)
                stream_pause(&s->client, STREAM_PAUSE_FULL);
            return used;
        }
    }
    if (s->pool != NULL)
        s->pool->database->stats.received += (int64_t)used;
    return used;
}
