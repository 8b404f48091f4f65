/* SPDX-License-Identifier: ISC */
/* LISTEN of a session without a server of its own. The statement itself runs on whatever server the session
 * has, so that it succeeds and fails as in PostgreSQL (the pool has that server forget it); it goes out only
 * when the herald listens already. The session becomes a member of the channel when its transaction commits. */
#include "base/clock.h"
#include "base/mem.h"
#include "crossing_private.h"

#define COMMIT_PATIENCE_US CLOCK_S

static bool
is_virtual(const struct session *s)
{
    return s->pool->conf.mode != CONF_POOL_SESSION;
}

struct listening *
listen_make(struct session *s)
{
    struct listening *l = s->listening;

    if (l != NULL)
        return l;
    l = s->listening = mem_new(struct listening);
    l->session = s;
    ring_init(&l->members);
    ring_init(&l->in_audience);
    ring_init(&l->in_hopeful);
    ring_init(&l->in_slow);
    return l;
}

/* Names and payloads are in the client's encoding: who has another one hears another herald. */
struct audience *
listen_audience(const struct session *s)
{
    const struct param *p = s->told == NULL ? NULL : params_find(s->told, SLICE("client_encoding"));

    return audience_of(s->hall, s->database, p == NULL ? SLICE("UTF8") : p->value);
}

/* ---- before a LISTEN goes out ---- */

static bool
is_too_many(const struct session *s, const struct listening *l, struct slice name, struct fault *why)
{
    int64_t most = s->hall->setup.conf->general.max_listen_channels;

    if (l->n_members < most || listening_find(l, name) != NULL)
        return false;
    fault_set(why, "54000", "session listens to too many channels");
    fault_detail(why, "max_listen_channels is %lld.", (long long)most);
    fault_hint(why, "UNLISTEN some of them, or raise max_listen_channels.");
    return true;
}

static bool
was_refused(struct listening *l, struct fault *why)
{
    if (l->refusal == NULL)
        return false;
    *why = *l->refusal;
    mem_free(l->refusal);
    l->refusal = NULL;
    return true;
}

/* Number N of what the message has to ask. The herald is asked even when it listens to NAME: what was committed
 * before must have passed. */
static enum listen
ask(struct session *s, unsigned n, struct slice name, int64_t patience_us)
{
    struct listening *l = listen_make(s);

    if (n < l->n_granted)
        return LISTEN_MAY;
    if (l->ask != NULL) {
        atomic_store(&l->ask->holds, s->server != NULL);
        return LISTEN_WAITS;
    }
    l->asked_lent_us = s->server == NULL ? 0 : s->server->lent_us;
    channel_ask(audience_channel(listen_audience(s), name), s, l, patience_us);
    return LISTEN_WAITS;
}

static enum listen
ask_for(struct session *s, unsigned n, struct slice name, struct fault *why)
{
    struct listening *l = listen_make(s);

    if (n >= l->n_granted && (was_refused(l, why) || is_too_many(s, l, name, why)))
        return LISTEN_MAY_NOT;
    return ask(s, n, name, choose_patience(s));
}

/* UNLISTEN of NAME, or of all, is number N: what was committed before it must be heard, whatever the herald
 * says. */
static enum listen
hear_out(struct session *s, unsigned n, struct slice name)
{
    struct listening *l = s->listening;
    struct fault why;

    if (l == NULL || ring_is_empty(&l->members) || (name.len > 0 && listening_find(l, name) == NULL))
        return LISTEN_MAY;
    if (n >= l->n_granted && was_refused(l, &why))
        return LISTEN_MAY;
    if (name.len == 0)
        name = slice_str(container_of(ring_first(&l->members), struct member, in_session)->channel->name);
    return ask(s, n, name, COMMIT_PATIENCE_US);
}

/* The message may commit. What is heard from its server from now on is its own, and what an earlier statement
 * listens to counts from now on: NAME, if there is any, is asked for once more. */
static enum listen
ask_again(struct session *s, unsigned n, struct slice name)
{
    struct fault why;

    if (name.len == 0 || was_refused(listen_make(s), &why))
        return LISTEN_MAY; /* whatever became of the herald: it knows of the channel */
    if (s->server == NULL && !link_need(s))
        return LISTEN_WAITS;
    if (n > 0 && listen_make(s)->asked_lent_us == s->server->lent_us)
        return LISTEN_MAY;
    return ask(s, n, name, COMMIT_PATIENCE_US);
}

/* The herald is told that what it hears from the server of S is of S from now on: a notification names its
 * sender as that one was told at login. */
static enum listen
sign(struct session *s)
{
    struct listening *l;
    uint32_t told;

    if (s->server == NULL && !link_need(s))
        return LISTEN_WAITS;
    l = listen_make(s);
    if (l->ask != NULL)
        return LISTEN_WAITS;
    if (l->signed_lent_us == s->server->lent_us || s->server->pid == 0)
        return LISTEN_MAY;
    l->signed_lent_us = s->server->lent_us;
    cancel_key_of(s, &told);
    audience_sign(listen_audience(s), l, s->server->pid, told);
    return LISTEN_WAITS;
}

static enum listen
prepare_all(struct session *s, const struct facts *f, struct fault *why)
{
    bool may_end = f == NULL || f->class == CLASS_END || f->n_statements > 1;
    struct slice name = may_end ? settings_listens_to(s) : SLICE("");
    enum listen answer = LISTEN_MAY;
    unsigned n = 0;

    for (unsigned i = 0; f != NULL && i < f->n_effects && answer == LISTEN_MAY; i++) {
        if (f->effects[i].kind == EFFECT_UNLISTEN || f->effects[i].kind == EFFECT_DISCARD_ALL)
            answer = hear_out(s, n++, f->effects[i].name);
        if (f->effects[i].kind != EFFECT_LISTEN)
            continue;
        name = may_end ? f->effects[i].name : name;
        answer = ask_for(s, n++, f->effects[i].name, why);
    }
    answer = answer == LISTEN_MAY ? ask_again(s, n, name) : answer;
    return answer == LISTEN_MAY && f != NULL && f->notifies ? sign(s) : answer;
}

enum listen
listen_prepare(struct session *s, const struct facts *f, struct fault *why)
{
    struct listening *l;
    enum listen answer;

    if (((f == NULL || (f->n_effects == 0 && !f->notifies)) && s->log == NULL) || s->status == 'E' ||
        !is_virtual(s))
        return LISTEN_MAY;
    answer = prepare_all(s, f, why);
    l = s->listening;
    if (l == NULL || answer == LISTEN_WAITS)
        return answer;
    if (l->n_granted > 0 && s->server != NULL && ring_is_empty(&l->in_hopeful))
        ring_append(&listen_audience(s)->hopeful, &l->in_hopeful);
    l->n_granted = 0;
    return answer;
}

static void
tell_ready(struct listening *l)
{
    struct text *t;

    if (!l->owes_ready)
        return;
    l->owes_ready = false;
    t = session_scratch(l->session);
    wire_put_ready(t, 'I');
    session_send(l->session, t);
    take_resume(l->session);
}

/* The herald goes by A. */
static void
signed_off(struct listening *l, const struct listen_ask *a)
{
    if (a->told != 0)
        return;
    l->signed_lent_us = 0;
    tell_ready(l);
    link_try_give_back(l->session);
}

bool
listen_keeps_server(struct session *s)
{
    struct listening *l = s->listening;

    if (l == NULL || l->signed_lent_us == 0)
        return false;
    if (l->ask == NULL)
        audience_sign(listen_audience(s), l, s->server->pid, 0);
    return true;
}

bool
listen_holds_ready(struct session *s)
{
    struct listening *l = s->listening;

    if (l->signed_lent_us == 0 || l->n_members == 0 || l->ask != NULL || s->status != 'I' ||
        !pending_is_empty(s))
        return false;
    audience_sign(listen_audience(s), l, s->server->pid, 0);
    stream_pause(&s->client, STREAM_PAUSE_OWNER);
    return l->owes_ready = true;
}

bool
listen_owes_ready(const struct session *s)
{
    return s->listening != NULL && s->listening->owes_ready;
}

void
listen_unlink(struct session *s)
{
    struct listening *l = s->listening;

    if (l != NULL && l->ask != NULL)
        atomic_store(&l->ask->holds, false);
    if (l == NULL || l->signed_lent_us == 0)
        return;
    l->signed_lent_us = 0;
    audience_sign(listen_audience(s), NULL, s->server->pid, 0);
    tell_ready(l);
}

void
listen_answered(struct listening *l, const struct listen_ask *a)
{
    struct session *s = l->session;

    l->ask = NULL;
    if (l->crossing != NULL) {
        crossing_answered(l, a->ok);
        return;
    }
    if (a->pid != 0)
        signed_off(l, a);
    else if (a->ok)
        l->n_granted++;
    else
        l->refusal = mem_dup(&a->why, sizeof(a->why));
    if (s->state != SESSION_READY && s->state != SESSION_LINKED)
        return; /* it looks again when it has a server */
    stream_resume(&s->client, STREAM_PAUSE_FULL);
    if (s->client.paused == 0)
        stream_again(&s->client);
}

/* ---- its transaction committed ---- */

void
listen_add(struct session *s, struct slice name)
{
    struct listening *l = is_virtual(s) ? listen_make(s) : NULL;
    struct channel *c;

    if (l == NULL || listening_find(l, name) != NULL)
        return;
    c = audience_channel(listen_audience(s), name);
    channel_join(c, l);
    if (!c->known && c->n_asked == 0)
        channel_ask(c, s, NULL, choose_patience(s));
}

void
listen_remove(struct session *s, struct slice name)
{
    struct listening *l = s->listening;

    if (l == NULL)
        return;
    ring_each_safe (r, &l->members) {
        struct member *m = container_of(r, struct member, in_session);

        if (name.len == 0 || slice_is(name, m->channel->name))
            channel_leave(m);
    }
}

bool
listen_is_used(const struct session *s)
{
    return s->listening != NULL && s->listening->n_members > 0;
}

bool
listen_is_to(const struct session *s, struct slice name)
{
    return s->listening != NULL && listening_find(s->listening, name) != NULL;
}

void
listen_done(struct session *s)
{
    struct listening *l = s->listening;

    if (l == NULL)
        return;
    listen_remove(s, SLICE(""));
    ring_remove(&l->in_hopeful);
    ring_remove(&l->in_slow);
    if (l->ask != NULL)
        l->ask->waits = NULL;
    crossing_done(l);
    mem_free(l->refusal);
    text_done(&l->queue);
    text_done(&l->early);
    mem_free(l);
    s->listening = NULL;
}

/* ---- what is heard ---- */

/* PostgreSQL hands them out between transactions only. */
static bool
may_have_it(const struct session *s)
{
    return s->status == 'I' && !s->lost && pending_is_empty(s) && s->server_left == 0;
}

bool
listen_has_room(const struct listening *l)
{
    const struct session *s = l->session;

    return (int64_t)(l->queue.len + l->early.len + s->client.out_len) <=
           s->hall->setup.conf->general.max_notify_queue;
}

void
listen_put_missed(struct text *t)
{
    struct fault why;

    fault_set(&why, "01000", "notifications may have been missed");
    fault_detail(&why, "The connection that listens for this session was lost, and is back.");
    fault_hint(&why, "Look at what the notifications are about once more.");
    wire_put_fault(t, WIRE_NOTICE, &why);
}

bool
listen_deliver(struct listening *l, struct slice message)
{
    if (l->crossing != NULL) {
        crossing_keep(l, message);
        return true;
    }
    if (may_have_it(l->session) && l->queue.len == 0)
        stream_put_copy(&l->session->client, message);
    else
        text_add(&l->queue, message);
    return listen_has_room(l);
}

bool
listen_keep_early(struct listening *l, struct slice message)
{
    text_add(&l->early, message);
    return listen_has_room(l);
}

/* What this session itself sent with its LISTEN came before its commit was known here. */
static void
send_early(struct listening *l)
{
    struct slice rest = text_slice(&l->early);
    struct wire_frame f;

    while (wire_frame_read(rest.data, rest.len, INT32_MAX, &f) == WIRE_MESSAGE) {
        struct wire_cursor body = wire_cursor(slice_tail(slice_head(rest, f.len), WIRE_HEADER));

        wire_get_u32(&body);
        if (listening_find(l, wire_get_string(&body)) != NULL)
            stream_put_copy(&l->session->client, slice_head(rest, f.len));
        rest = slice_tail(rest, f.len);
    }
    text_done(&l->early);
}

void
listen_settle(struct session *s)
{
    struct listening *l = s->listening;

    if (pending_is_empty(s)) {
        ring_remove(&l->in_hopeful);
        send_early(l);
    }
    if (l->early.len > 0)
        return; /* they go first */
    stream_put_copy(&s->client, text_slice(&l->queue));
    text_done(&l->queue);
}
