/* SPDX-License-Identifier: ISC */
/* What a herald is asked and what it hears: requests go out, answers and notifications go to the halls, by
 * mail. How it gets its server: herald_server.c. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "herald_private.h"

#define MOST_MESSAGE  (1 << 20)
#define LEAST_WAIT_US CLOCK_S /* for an answer that is on its way, however impatient who asks is */

/* ---- mail to the halls ---- */

static void
tell(struct herald *e, bool missed)
{
    for (uint32_t i = 0; i < registry_n_workers(e->hall->registry); i++) {
        struct listen_news *n;

        if (e->topics.n_of_hall[i] == 0)
            continue;
        n = mem_new(struct listen_news);
        n->missed = missed;
        n->database = mem_strdup(e->database);
        n->encoding = mem_strdup(e->encoding);
        text_add(&n->messages, text_slice(&e->heard));
        n->mail.deliver = audience_news;
        mail_post(registry_worker(e->hall->registry, i), &n->mail);
    }
}

void
herald_pass_on(struct herald *e)
{
    if (e->heard.len > 0)
        tell(e, false);
    text_done(&e->heard);
}

void
herald_send_home(struct listen_ask *a)
{
    ring_remove(&a->entry);
    a->mail.deliver = audience_answer;
    mail_post(a->from, &a->mail);
}

/* A is answered or, when nobody asked, done with. WHY is NULL when it is granted. */
static void
answer(struct herald *e, struct listen_ask *a, const struct fault *why)
{
    if (a->from == NULL || a->drop) {
        listen_ask_free(a);
        return;
    }
    a->ok = why == NULL;
    if (a->pid != 0)
        bylines_set(&e->bylines, a->pid, a->told);
    else if (a->ok)
        topics_want(&e->topics, a->name, a->from->index);
    else
        a->why = *why;
    herald_send_home(a);
}

static void
refuse(struct herald *e, struct listen_ask *a)
{
    struct fault why;

    fault_set(&why, "57P03", "no server is available to LISTEN in database \"%.63s\"", e->database);
    fault_detail(&why, "%s", e->why.message);
    fault_hint(&why, "Check that PostgreSQL lets in one connection more than the pools use.");
    answer(e, a, &why);
}

/* ---- when to do what ---- */

static struct listen_ask *
first(const struct ring *asks)
{
    struct ring *r = ring_first(asks);

    return r == NULL ? NULL : container_of(r, struct listen_ask, entry);
}

static bool
is_needed(const struct herald *e)
{
    return e->topics.n > 0 || !ring_is_empty(&e->waiting);
}

/* It has been asked something, and has not answered yet. */
static bool
owes(const struct herald *e)
{
    return e->server != NULL && e->server->state == SERVER_LENT && (!e->up || !ring_is_empty(&e->sent));
}

/* When to give A up, which was sent. While PostgreSQL has many notifications to tell, it answers after them:
 * its silence is what counts. */
static int64_t
sent_due(const struct herald *e, const struct listen_ask *a)
{
    if (a->patience_us == 0)
        return INT64_MAX;
    return e->silent_us + (a->patience_us < LEAST_WAIT_US ? LEAST_WAIT_US : a->patience_us);
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void
herald_arm(struct herald *e)
{
    int64_t now = e->hall->worker.now_us, due = owes(e) ? e->silent_us + HERALD_ANSWER_US : INT64_MAX;

    ring_each (r, &e->waiting)
        due = earlier(due, container_of(r, struct listen_ask, entry)->due_us);
    ring_each (r, &e->sent)
        due = earlier(due, sent_due(e, container_of(r, struct listen_ask, entry)));
    if (e->server == NULL && is_needed(e) && e->retry_us < due)
        due = e->retry_us;
    if (due == INT64_MAX)
        timer_stop(&e->hall->worker, &e->timer);
    else
        timer_start(&e->hall->worker, &e->timer, due > now ? due - now : 1);
}

void
herald_refuse_waiting(struct herald *e)
{
    while (!ring_is_empty(&e->waiting))
        refuse(e, first(&e->waiting));
}

/* ---- requests ---- */

void
herald_send(struct herald *e, struct listen_ask *a)
{
    struct text sql = { 0 }, t = { 0 };

    if (a->mark[0] != '\0') {
        text_add_str(&sql, "NOTIFY ");
        text_add_quoted(&sql, slice_str(a->name), '"');
        text_printf(&sql, ", '%s'", a->mark);
    } else if (a->name[0] != '\0') {
        text_add_str(&sql, a->drop ? "UNLISTEN " : "LISTEN ");
        text_add_quoted(&sql, slice_str(a->name), '"');
    }
    wire_put_query(&t, text_slice(&sql));
    stream_put_copy(&e->server->stream, text_slice(&t));
    text_done(&sql);
    text_done(&t);
    if (ring_is_empty(&e->sent))
        e->silent_us = e->hall->worker.now_us;
    ring_remove(&a->entry);
    ring_append(&e->sent, &a->entry);
}

static void
became_up(struct herald *e)
{
    e->up = true;
    e->failures = e->n_final = 0;
    log_info("server=s%" PRIu64 " listens for database=%s channels=%u remote_pid=%u", e->server->id,
             e->database, e->topics.n, e->server->pid);
    if (e->was_lost)
        tell(e, true);
    e->was_lost = false;
    while (!ring_is_empty(&e->waiting))
        herald_send(e, first(&e->waiting));
}

/* ReadyForQuery. What was heard before it was sent before the request took effect. */
static void
done(struct herald *e)
{
    struct fault error = e->error;
    struct listen_ask *a = first(&e->sent);

    e->error.sqlstate[0] = '\0';
    herald_pass_on(e);
    if (e->up && a != NULL)
        answer(e, a, error.sqlstate[0] == '\0' ? NULL : &error);
    else if (error.sqlstate[0] == '\0')
        became_up(e);
    else
        server_close(e->server, &error);
}

static void
keep(struct herald *e, struct slice message)
{
    struct wire_cursor body = wire_cursor(slice_tail(message, WIRE_HEADER));
    uint32_t pid = bylines_find(e->bylines, wire_get_u32(&body));
    struct slice rest = slice_tail(message, WIRE_HEADER + sizeof(pid));

    text_add(&e->heard, slice_head(message, WIRE_HEADER));
    wire_put_u32(&e->heard, pid);
    text_add(&e->heard, rest);
    e->n_heard++;
}

static void
hear(struct herald *e, uint8_t type, struct slice message)
{
    struct slice body = slice_tail(message, WIRE_HEADER);
    struct wire_error error;
    struct fault why;

    if (type == 'A' && body.len > sizeof(uint32_t)) {
        keep(e, message);
    } else if (type == 'Z') {
        done(e);
    } else if (type == 'N' && server_is_leaving(body)) {
        fault_set(&why, "57P01", "PostgreSQL ends the connection");
        server_close(e->server, &why);
    } else if (type == 'E') {
        wire_error_read(body, &error);
        wire_error_fault(&error, &e->error);
        if (slice_is(error.severity, "ERROR"))
            return;
        why = e->error;
        e->server->died = true;
        server_close(e->server, &why);
    }
}

static size_t
on_bytes(struct server *s, struct slice bytes)
{
    struct herald *e = s->session;
    size_t used = 0;
    struct wire_frame f;
    struct fault why;

    e->silent_us = e->hall->worker.now_us;
    while (s->state == SERVER_LENT) {
        struct slice rest = slice_tail(bytes, used);
        enum wire_answer a = wire_frame_read(rest.data, rest.len, MOST_MESSAGE, &f);

        if (a == WIRE_BAD) {
            fault_set(&why, "08P01", "the server sent a message with a bad length");
            server_close(s, &why);
            return bytes.len;
        }
        if (a == WIRE_MORE || f.len > rest.len)
            break;
        used += f.len;
        hear(e, f.type, slice_head(rest, f.len));
    }
    return used;
}

static void
on_quiet(struct server *s)
{
    struct herald *e = s->session;

    herald_pass_on(e);
    herald_arm(e);
}

static void
on_nothing(struct server *s)
{
    (void)s;
}

/* The keeper is told next. */
static void
on_loss(struct server *s, const struct fault *why)
{
    (void)s;
    (void)why;
}

const struct server_borrower herald_borrower = { on_bytes, on_loss, on_nothing, on_quiet };

/* ---- in time ---- */

/* An ask of nobody's. */
static struct listen_ask *
new_blank(void)
{
    struct listen_ask *a = mem_zalloc(sizeof(*a) + 1);

    ring_init(&a->entry);
    return a;
}

/* Who asked for A, which was sent, does not wait any longer; its answer is still to come. */
static void
give_up(struct herald *e, struct listen_ask *a)
{
    ring_append(&a->entry, &new_blank()->entry); /* before it */
    refuse(e, a);
}

void
herald_on_timer(struct timer *t)
{
    struct herald *e = container_of(t, struct herald, timer);
    int64_t now = e->hall->worker.now_us;
    struct fault why;

    fault_set(&why, "08006", "PostgreSQL did not answer in time");
    if (owes(e))
        e->why = why;
    if (owes(e) && e->silent_us + HERALD_ANSWER_US <= now)
        server_close(e->server, &why);
    ring_each_safe (r, &e->sent) {
        struct listen_ask *a = container_of(r, struct listen_ask, entry);

        if (sent_due(e, a) <= now)
            give_up(e, a);
    }
    ring_each_safe (r, &e->waiting) {
        struct listen_ask *a = container_of(r, struct listen_ask, entry);

        if (a->due_us <= now)
            refuse(e, a);
    }
    if (e->server == NULL && is_needed(e) && e->retry_us <= now)
        herald_connect(e);
    herald_arm(e);
}

/* One that is silent may be dead, and nobody would know. */
void
herald_on_check(struct timer *t)
{
    struct herald *e = container_of(t, struct herald, check);
    struct fault why;

    if (e->server == NULL)
        return;
    timer_start(&e->hall->worker, &e->check, HERALD_CHECK_US);
    if (!is_needed(e)) {
        fault_set(&why, "57P01", "nobody listens");
        server_close(e->server, &why);
    } else if (e->up && ring_is_empty(&e->sent) && e->server->stream.n_in == e->checked_in) {
        herald_send(e, new_blank());
        stream_flush(&e->hall->turn);
        herald_arm(e);
    }
    if (e->server != NULL)
        e->checked_in = e->server->stream.n_in;
}
