/* SPDX-License-Identifier: ISC */
/* Who of a hall's sessions listens to what; the mail between the hall and the herald. */
#include <uthash.h>

#include "base/clock.h"
#include "base/mem.h"
#include "crossing_private.h"

#define MOST_UNUSED 256 /* channels that the herald goes on listening to, in case somebody comes back */
#define UNUSED_US   (60 * CLOCK_S)

/* ---- channels ---- */

static unsigned
place_of(const struct audience *a, unsigned n)
{
    unsigned hash = 2166136261u;

    for (const char *c = a->database; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    return hash % n;
}

static void sweep(struct timer *t);

struct audience *
audience_of(struct hall *h, const char *database, struct slice encoding)
{
    struct audience *a;

    for (a = h->audiences; a != NULL; a = a->next)
        if (strcmp(a->database, database) == 0 && slice_is(encoding, a->encoding))
            return a;
    a = mem_new(struct audience);
    a->hall = h;
    a->database = mem_strdup(database);
    a->encoding = slice_dup(encoding);
    a->herald = registry_worker(h->registry, place_of(a, registry_n_workers(h->registry)));
    ring_init(&a->listeners);
    ring_init(&a->unused);
    ring_init(&a->hopeful);
    ring_init(&a->slow);
    timer_init(&a->sweep, sweep);
    a->next = h->audiences;
    h->audiences = a;
    return a;
}

static struct channel *
find(const struct audience *a, struct slice name)
{
    struct channel *c;

    HASH_FIND(hh, a->channels, name.data, name.len, c);
    return c;
}

struct channel *
audience_channel(struct audience *a, struct slice name)
{
    struct channel *c = find(a, name);

    if (c != NULL)
        return c;
    c = mem_alloc(sizeof(*c) + name.len + 1);
    memset(c, 0, sizeof(*c));
    memcpy(c->name, name.data, name.len);
    c->name[name.len] = '\0';
    c->audience = a;
    ring_init(&c->members);
    ring_init(&c->in_unused);
    HASH_ADD_KEYPTR(hh, a->channels, c->name, name.len, c);
    return c;
}

static void
channel_free(struct channel *c)
{
    HASH_DEL(c->audience->channels, c);
    ring_remove(&c->in_unused);
    mem_free(c);
}

/* C may be NULL. */
static struct listen_ask *
new_ask(const struct audience *a, struct channel *c)
{
    size_t len = c == NULL ? 0 : strlen(c->name);
    struct listen_ask *ask = mem_alloc(sizeof(*ask) + len + 1);

    memset(ask, 0, sizeof(*ask) + len + 1);
    if (c != NULL)
        memcpy(ask->name, c->name, len);
    ring_init(&ask->entry);
    ask->from = &a->hall->worker;
    ask->channel = c;
    ask->database = mem_strdup(a->database);
    ask->encoding = mem_strdup(a->encoding);
    ask->mail.deliver = herald_hear;
    return ask;
}

void
listen_ask_free(struct listen_ask *a)
{
    ring_remove(&a->entry);
    mem_free(a->database);
    mem_free(a->encoding);
    mem_free(a->user);
    credential_drop(a->credential);
    mem_free(a);
}

static void
forget(struct channel *c)
{
    struct audience *a = c->audience;
    struct listen_ask *ask = new_ask(a, c);

    ask->drop = true;
    a->n_unused--;
    channel_free(c);
    mail_post(a->herald, &ask->mail);
}

static void
start_sweep(struct audience *a)
{
    if (a->n_unused > 0 && !timer_is_started(&a->sweep))
        timer_start(&a->hall->worker, &a->sweep, UNUSED_US);
}

static void
sweep(struct timer *t)
{
    struct audience *a = container_of(t, struct audience, sweep);

    ring_each_safe (r, &a->unused) {
        struct channel *c = container_of(r, struct channel, in_unused);

        if (a->hall->worker.now_us - c->unused_us >= UNUSED_US)
            forget(c);
    }
    start_sweep(a);
}

void
audiences_forget_unused(struct hall *h)
{
    for (struct audience *a = h->audiences; a != NULL; a = a->next)
        while (!ring_is_empty(&a->unused))
            forget(container_of(ring_first(&a->unused), struct channel, in_unused));
}

/* Nobody needs C now: it is kept for a while. */
static void
see_use(struct channel *c)
{
    struct audience *a = c->audience;
    bool used = c->n_asked > 0 || !ring_is_empty(&c->members);

    if (used == ring_is_empty(&c->in_unused))
        return;
    if (used) {
        ring_remove(&c->in_unused);
        a->n_unused--;
        return;
    }
    c->unused_us = a->hall->worker.now_us;
    ring_append(&a->unused, &c->in_unused);
    if (++a->n_unused > MOST_UNUSED)
        forget(container_of(ring_first(&a->unused), struct channel, in_unused));
    start_sweep(a);
}

/* L may be NULL. */
static void
wait_for(struct listening *l, struct listen_ask *ask)
{
    ask->waits = l;
    if (l != NULL)
        l->ask = ask;
}

void
channel_ask(struct channel *c, const struct session *s, struct listening *waits, int64_t patience_us)
{
    struct listen_ask *ask = new_ask(c->audience, c);

    wait_for(waits, ask);
    atomic_store(&ask->holds, waits != NULL && s->server != NULL);
    if (waits != NULL && waits->crossing != NULL)
        memcpy(ask->mark, waits->crossing->mark, sizeof(ask->mark));
    ask->user = mem_strdup(s->user);
    ask->credential = s->credential == NULL ? NULL : credential_hold(s->credential);
    ask->patience_us = patience_us;
    c->n_asked++;
    see_use(c);
    mail_post(c->audience->herald, &ask->mail);
}

void
audience_sign(struct audience *a, struct listening *waits, uint32_t pid, uint32_t told)
{
    struct listen_ask *ask = new_ask(a, NULL);

    wait_for(waits, ask);
    ask->pid = pid;
    ask->told = told;
    mail_post(a->herald, &ask->mail);
}

/* ---- members ---- */

struct member *
listening_find(const struct listening *l, struct slice name)
{
    ring_each (r, &l->members) {
        struct member *m = container_of(r, struct member, in_session);

        if (slice_is(name, m->channel->name))
            return m;
    }
    return NULL;
}

void
channel_join(struct channel *c, struct listening *l)
{
    struct member *m = mem_new(struct member);

    m->channel = c;
    m->listening = l;
    ring_append(&c->members, &m->in_channel);
    ring_append(&l->members, &m->in_session);
    if (l->n_members++ == 0)
        ring_append(&c->audience->listeners, &l->in_audience);
    see_use(c);
}

void
channel_leave(struct member *m)
{
    struct channel *c = m->channel;

    if (--m->listening->n_members == 0)
        ring_remove(&m->listening->in_audience);
    ring_remove(&m->in_channel);
    ring_remove(&m->in_session);
    mem_free(m);
    see_use(c);
}

/* ---- the herald's answers and news ---- */

/* Not now: others are being walked through, and who goes may let anybody go on. */
static void
deliver(struct audience *a, struct listening *l, struct slice message)
{
    if (listen_deliver(l, message))
        return;
    ring_remove(&l->in_slow);
    ring_append(&a->slow, &l->in_slow);
}

static void
close_slow(struct audience *a)
{
    struct fault why;

    fault_set(&why, "53200", "client does not read its notifications");
    fault_detail(&why, "More than max_notify_queue of them wait.");
    fault_hint(&why, "Read them while idle and keep transactions short, or raise max_notify_queue.");
    while (!ring_is_empty(&a->slow)) {
        a->n_closed++;
        session_close(container_of(ring_first(&a->slow), struct listening, in_slow)->session, &why);
    }
}

static void
tell_missed(struct audience *a, struct listening *l)
{
    struct text t = { 0 };

    listen_put_missed(&t);
    deliver(a, l, text_slice(&t));
    text_done(&t);
}

static void
note_known(struct channel *c, bool ok)
{
    bool late = ok && !c->known; /* for those who joined while nobody listened for this hall */

    c->known = c->known || ok;
    ring_each (r, &c->members)
        if (late)
            tell_missed(c->audience, container_of(r, struct member, in_channel)->listening);
    close_slow(c->audience);
}

void
audience_answer(struct worker *w, struct mail *m)
{
    struct listen_ask *ask = container_of(m, struct listen_ask, mail);
    struct channel *c = ask->channel;

    if (c != NULL)
        note_known(c, ask->ok);
    if (ask->waits != NULL)
        listen_answered(ask->waits, ask);
    listen_ask_free(ask);
    if (c != NULL) {
        c->n_asked--;
        see_use(c);
    }
    stream_flush(&hall_of(w)->turn);
}

/* The server of S sent it. */
static bool
is_from(const struct session *s, uint32_t pid)
{
    uint32_t told;

    if (s->server == NULL)
        return false;
    cancel_key_of(s, &told);
    return pid == s->server->pid || pid == told;
}

static void
give(struct audience *a, struct slice message)
{
    struct wire_cursor body = wire_cursor(slice_tail(message, WIRE_HEADER));
    uint32_t pid = wire_get_u32(&body);
    struct channel *c = find(a, wire_get_string(&body));

    if (c == NULL)
        return;
    ring_each (r, &c->members) {
        struct listening *l = container_of(r, struct member, in_channel)->listening;

        if (l->crossing != NULL && crossing_hears(l, c, message))
            continue;
        a->n_delivered++;
        deliver(a, l, message);
    }
    ring_each (r, &a->hopeful) {
        struct listening *l = container_of(r, struct listening, in_hopeful);

        if (is_from(l->session, pid) && listening_find(l, slice_str(c->name)) == NULL &&
            !listen_keep_early(l, message))
            deliver(a, l, message);
    }
}

static void
give_all(struct audience *a, struct slice messages)
{
    struct wire_frame f;

    while (wire_frame_read(messages.data, messages.len, INT32_MAX, &f) == WIRE_MESSAGE) {
        give(a, slice_head(messages, f.len));
        messages = slice_tail(messages, f.len);
    }
}

/* Each session once, whatever it listens to. One that crosses is told when it goes on. */
static void
tell_all_missed(struct audience *a)
{
    ring_each (r, &a->listeners) {
        struct listening *l = container_of(r, struct listening, in_audience);

        if (l->crossing != NULL)
            crossing_missed(l);
        else
            tell_missed(a, l);
    }
}

void
audience_news(struct worker *w, struct mail *m)
{
    struct listen_news *n = container_of(m, struct listen_news, mail);
    struct hall *h = hall_of(w);
    struct audience *a = audience_of(h, n->database, slice_str(n->encoding));

    if (n->missed)
        tell_all_missed(a);
    give_all(a, text_slice(&n->messages));
    close_slow(a);
    stream_flush(&h->turn);
    mem_free(n->database);
    mem_free(n->encoding);
    text_done(&n->messages);
    mem_free(n);
}

void
audience_done(struct hall *h)
{
    while (h->audiences != NULL) {
        struct audience *a = h->audiences;
        struct channel *all = a->channels, *c, *next;

        h->audiences = a->next;
        timer_stop(&h->worker, &a->sweep);
        HASH_ITER(hh, all, c, next)
        channel_free(c);
        mem_free(a->database);
        mem_free(a->encoding);
        mem_free(a);
    }
}
