/* SPDX-License-Identifier: ISC */
/* Sessions that move to the process that takes over: freezing, thawing, letting go; taking in, waking. What is
 * on its way is in none of the hall's other lists, so that nobody else touches it. */
#include "session/handover.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "crossing_private.h"

_Static_assert(HANDOVER_FORMAT == IMAGE_VERSION, "one format");

/* What waits for the other process is bounded: so many of a hall at a time, and only the last of them heavy. */
#define MOST_FROZEN 64
#define HEAVY       (64 << 10)
#define PATIENCE_US (5 * CLOCK_S) /* past the end of drain_timeout, for idle ones that cannot go yet */

struct handover {
    struct ring waiting;  /* by in_linked: idle sessions that are to go */
    struct ring frozen;   /* by in_hall: sent, not confirmed yet */
    struct ring sleeping; /* by in_hall: received, not woken yet */
    unsigned n_frozen;
    struct grave turn_end;
    bool due;           /* turn_end is set */
    bool heavy;         /* one of the frozen is */
    int64_t closing_us; /* since when the hall is; 0: it was not */
    struct handover_post post;
};

static struct handover *
of(struct hall *h)
{
    if (h->handover == NULL) {
        h->handover = mem_new(struct handover);
        ring_init(&h->handover->waiting);
        ring_init(&h->handover->frozen);
        ring_init(&h->handover->sleeping);
    }
    return h->handover;
}

static struct session *
find(struct ring *ring, uint64_t id)
{
    ring_each (r, ring) {
        struct session *s = container_of(r, struct session, in_hall);

        if (s->id == id)
            return s;
    }
    return NULL;
}

void
parcel_free(struct parcel *p)
{
    if (p == NULL)
        return;
    if (p->fd != -1)
        close(p->fd);
    if (p->image.len > 0)
        mem_wipe(p->image.data, p->image.len);
    text_done(&p->image);
    mem_free(p);
}

/* ---- a session as an image ---- */

static void
put_set(struct image_set *set, const struct params *p, struct text *t)
{
    set->present = p != NULL;
    if (p == NULL)
        return;
    set->n = p->n;
    for (unsigned i = 0; i < p->n; i++) {
        image_put_slice(t, p->at[i].name);
        image_put_slice(t, p->at[i].value);
    }
    set->rest = text_slice(t);
}

static struct image_statement
statement_image(const struct statement *st, struct slice name, bool doubtful)
{
    return (struct image_statement){ .name = name,
                                     .sql = statement_sql(st),
                                     .types = slice_tail(slice_of(st->bytes, st->len), st->sql_len + 1),
                                     .doubtful = doubtful };
}

static void
put_name(void *owner, struct slice name, const struct statement *st, bool doubtful)
{
    struct image_statement one = statement_image(st, name, doubtful);

    image_put_statement(owner, &one);
}

static bool
is_crossing(const struct session *s)
{
    return s->listening != NULL && s->listening->crossing != NULL;
}

static void
write_image(const struct session *s, struct text *out)
{
    struct text sets[5] = { { 0 } };
    uint8_t client_key[SCRAM_KEY_LEN];
    struct image im = {
        .id = s->id,
        .lsn = s->routing == NULL ? 0 : s->routing->token.lsn,
        .n_in = s->client.n_in,
        .n_out = s->client.n_out,
        .connected_us = s->connected_us,
        .idle_us = session_now(s) > s->since_us ? session_now(s) - s->since_us : 0,
        .n_requests = s->n_requests,
        .noticed = s->noticed,
        .has_application = s->application != NULL,
        .application = slice_str(s->application),
        .user = slice_str(s->user),
        .database = slice_str(s->database),
        .secret = credential_secret(s->credential),
        .n_names = prepared_names_count(s),
    };

    if (credential_client_key(s->credential, client_key))
        im.client_key = slice_of(client_key, sizeof(client_key));
    im.key = cancel_key_of(s, &im.pid);
    put_set(&im.startup, s->startup, &sets[0]);
    put_set(&im.settings, s->settings, &sets[1]);
    put_set(&im.told, s->told, &sets[2]);
    put_set(&im.by_sql, s->by_sql, &sets[3]);
    im.channels.present = is_crossing(s);
    if (im.channels.present) {
        im.channels.n = crossing_put_channels(s, &sets[4]);
        im.channels.rest = text_slice(&sets[4]);
        im.mark = slice_str(s->listening->crossing->mark);
    }
    im.has_unnamed = s->unnamed != NULL;
    if (im.has_unnamed)
        im.unnamed = statement_image(s->unnamed, SLICE(""), false);
    image_write(out, &im);
    prepared_names_each(s, put_name, out);
    for (int i = 0; i < 5; i++)
        text_done(&sets[i]);
    mem_wipe(client_key, sizeof(client_key));
}

/* ---- the old process ---- */

/* Will it ever be able to go? */
static bool
may_go(const struct session *s)
{
    return !s->tls && !s->replication && !s->stays && s->key != NULL && s->credential != NULL &&
           s->console == NULL && (!listen_is_used(s) || crossing_may(s));
}

bool
handover_is_idle(const struct session *s)
{
    const struct stream *c = &s->client;

    return c->stage == STREAM_OPEN && !c->ended && c->in_len == 0 && c->out_len == 0 && !c->in_callback &&
           s->status == 'I' && !s->lost && !s->cancelled && s->refusal == NULL && s->parting == NULL &&
           s->log == NULL && s->extended == EXTENDED_CLEAN && s->client_left == 0 && s->opening == NULL &&
           pending_is_empty(s);
}

static bool
can_go_now(const struct session *s)
{
    return handover_is_idle(s) && s->client.paused == 0 && s->pins == 0 && crossing_is_ready(s);
}

static void
thaw(struct session *s)
{
    struct hall *h = s->hall;

    h->handover->n_frozen--;
    ring_remove(&s->in_hall);
    ring_append(&h->sessions, &s->in_hall);
    s->moving = false;
    stream_join(&s->client, &h->turn);
    crossing_end(s);
    stream_flush(&h->turn);
    timeouts_arm(s);
}

/* Close our end of a session that somebody else has, or that nobody will hear of any more. */
static void
leave(struct session *s)
{
    s->client.turn = &s->hall->turn;
    session_close(s, NULL);
}

static void
send_session(struct session *s)
{
    struct hall *h = s->hall;
    struct parcel *p = mem_new(struct parcel);

    ring_remove(&s->in_linked);
    p->id = s->id;
    p->hall = h->worker.index;
    crossing_begin(s);
    write_image(s, &p->image);
    p->fd = p->image.len > HANDOVER_IMAGE_MAX ? -1 : fcntl(s->client.fd, F_DUPFD_CLOEXEC, 0);
    if (p->fd == -1) {
        s->stays = true;
        crossing_end(s);
        parcel_free(p);
        return;
    }
    h->handover->heavy = p->image.len > HEAVY;
    timer_stop(&h->worker, &s->timer);
    stream_leave(&s->client);
    s->moving = true;
    ring_remove(&s->in_hall);
    ring_append(&h->handover->frozen, &s->in_hall);
    h->handover->n_frozen++;
    p->mail.deliver = h->handover->post.session;
    mail_post(h->handover->post.to, &p->mail);
}

static void
let_go(struct session *s, uint32_t new_hall)
{
    struct handover *o = s->hall->handover;
    struct text rest = { 0 };
    struct parcel *p;

    if (is_crossing(s) && !crossing_take_rest(s, &rest))
        return;
    p = mem_new(struct parcel);
    p->id = s->id;
    p->new_hall = new_hall;
    p->fd = -1;
    p->image = rest;
    p->mail.deliver = o->post.let_go;
    mail_post(o->post.to, &p->mail);
    o->n_frozen--;
    leave(s);
}

static void
let_go_crossed(struct handover *o)
{
    ring_each_safe (r, &o->frozen) {
        struct session *s = container_of(r, struct session, in_hall);

        if (is_crossing(s) && s->listening->crossing->taken)
            let_go(s, s->listening->crossing->their_hall);
    }
}

/* Idle, but something of it is half done, and may be for ever. */
static bool
is_late(const struct handover *o, const struct session *s)
{
    int64_t since_us = s->since_us > o->closing_us ? s->since_us : o->closing_us;

    return o->closing_us != 0 && session_now(s) - since_us >= PATIENCE_US;
}

static void
give_up(struct session *s)
{
    s->stays = true;
    link_part(s);
}

/* At the end of a turn: nobody is inside an event of any session. */
static void
look(struct grave *g)
{
    struct handover *o = container_of(g, struct handover, turn_end);

    o->due = false;
    let_go_crossed(o);
    ring_each_safe (r, &o->waiting) {
        struct session *s = container_of(r, struct session, in_linked);

        if (o->n_frozen >= MOST_FROZEN || (o->heavy && o->n_frozen > 0))
            return;
        if (s->state != SESSION_READY)
            ring_remove(&s->in_linked); /* it will be noted again */
        else if (can_go_now(s))
            send_session(s);
        else if (is_late(o, s))
            give_up(s);
    }
}

void
handover_look_soon(struct hall *h)
{
    struct handover *o = h->handover;

    if (o->due || (ring_is_empty(&o->waiting) && ring_is_empty(&o->frozen)))
        return;
    o->due = true;
    worker_bury(&h->worker, &o->turn_end, look);
}

bool
handover_note(struct session *s)
{
    if (!may_go(s))
        return false;
    ring_remove(&s->in_linked);
    ring_append(&s->hall->handover->waiting, &s->in_linked);
    handover_look_soon(s->hall);
    return true;
}

void
hall_hand_over(struct hall *h, const struct handover_post *post)
{
    of(h)->post = *post;
    h->handing_over = true;
    ring_each (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);

        if (s->state == SESSION_READY)
            handover_note(s);
    }
    hall_hand_over_more(h);
}

void
hall_hand_over_more(struct hall *h)
{
    if (!h->handing_over)
        return;
    for (struct pool *p = h->pools.first; p != NULL; p = p->next)
        p->conf.min_size = 0;
    pools_close_servers(&h->pools, slice_of(NULL, 0), false);
    if (h->closing && h->handover->closing_us == 0)
        h->handover->closing_us = h->worker.now_us;
    handover_look_soon(h);
}

void
hall_let_go(struct hall *h, uint64_t id, uint32_t new_hall)
{
    struct session *s = h->handover == NULL ? NULL : find(&h->handover->frozen, id);

    if (s == NULL)
        return;
    if (is_crossing(s))
        crossing_taken(s, new_hall);
    let_go(s, new_hall);
    handover_look_soon(h);
}

void
hall_keep(struct hall *h, uint64_t id)
{
    struct session *s = h->handover == NULL ? NULL : find(&h->handover->frozen, id);

    if (s == NULL)
        return;
    thaw(s);
    give_up(s);
    handover_look_soon(h);
}

void
hall_take_back(struct hall *h)
{
    if (h->handover == NULL)
        return;
    h->handing_over = false;
    while (!ring_is_empty(&h->handover->waiting))
        ring_remove(ring_first(&h->handover->waiting));
    while (!ring_is_empty(&h->handover->frozen))
        thaw(container_of(ring_first(&h->handover->frozen), struct session, in_hall));
    ring_each (r, &h->sessions)
        container_of(r, struct session, in_hall)->stays = false;
}

unsigned
hall_n_frozen(const struct hall *h)
{
    return h->handover == NULL ? 0 : h->handover->n_frozen;
}

void
hall_forget_moving(struct hall *h)
{
    if (h->handover == NULL)
        return;
    while (!ring_is_empty(&h->handover->frozen))
        leave(container_of(ring_first(&h->handover->frozen), struct session, in_hall));
    h->handover->n_frozen = 0;
    hall_drop_sleeping(h);
}

/* ---- the new process ---- */

static struct params *
read_set(struct hall *h, struct image_set set)
{
    struct params *p = params_empty(h->pools.sets);
    struct slice name, value;

    while (image_next_pair(&set, &name, &value))
        p = params_with(p, name, value);
    return p;
}

static struct statement *
intern(struct session *s, const struct image_statement *st)
{
    bool parsed;

    return statement_intern(s, st->sql, st->types, true, &parsed);
}

static void
read_statements(struct session *s, struct image im)
{
    struct image_statement one;

    if (im.has_unnamed)
        s->unnamed = intern(s, &im.unnamed);
    while (image_next_name(&im, &one)) {
        struct statement *st = intern(s, &one);

        if (prepared_names_find(s, one.name) == NULL)
            prepared_names_add(s, one.name, st);
        if (one.doubtful)
            prepared_names_doubt(s);
        statement_drop(st);
        s->n_requests++; /* each name is of another request */
    }
    s->n_requests = im.n_requests + 1; /* no name was made by the next one */
}

static void
read_fields(struct session *s, const struct image *im)
{
    struct hall *h = s->hall;

    s->id = im->id;
    s->connected_us = im->connected_us;
    s->client.n_in = im->n_in;
    s->client.n_out = im->n_out;
    s->noticed = im->noticed;
    session_set_names(s, im->user, im->database);
    s->application = im->has_application ? slice_dup(im->application) : NULL;
    s->startup = read_set(h, im->startup);
    s->settings = read_set(h, im->settings);
    s->told = im->told.present ? read_set(h, im->told) : NULL;
    s->by_sql = im->by_sql.present ? read_set(h, im->by_sql) : NULL;
    s->credential = registry_credential(h->registry, im->user, im->secret);
    if (im->client_key.len == SCRAM_KEY_LEN)
        credential_learn(s->credential, im->client_key.data);
    cancel_restore(s, im->pid, im->key);
}

/* Clients that are there already are over no limit. */
static void
enter(struct session *s, const struct conf_database *d, const struct image *im)
{
    const struct client_limits none = { 0 };
    struct fault why;

    s->entered =
        registry_client_enter(s->hall->registry, slice_str(s->database), slice_str(s->user), &none, &why);
    choose_begin(s, d);
    timeouts_resolve(s);
    if (s->routing == NULL)
        return;
    s->routing->token.lsn = im->lsn;
    s->routing->token.unresolved_us = clock_now_us(); /* what it last wrote is older than that */
}

static struct session *
take_in(struct hall *h, struct parcel *p, const struct conf_database *d, const struct image *im)
{
    struct net_address local;
    struct session *s;

    net_address_local(&local, p->fd);
    s = session_new(h, p->fd, local.any.sa_family == AF_UNIX);
    p->fd = -1;
    h->n_logins--;
    s->client.peek = false;
    s->moving = true;
    timer_stop(&h->worker, &s->timer);
    stream_leave(&s->client);
    ring_remove(&s->in_hall);
    ring_append(&of(h)->sleeping, &s->in_hall);
    read_fields(s, im);
    read_statements(s, *im);
    s->state = SESSION_READY;
    enter(s, d, im);
    s->since_us = session_now(s) - im->idle_us;
    return s;
}

static void
bring_back(struct hall *h, struct parcel *p, bool taken, const char *why)
{
    if (!taken)
        log_warning("client=c%" PRIu64 " cannot be taken over: %s", p->id, why);
    p->taken = taken;
    p->new_hall = h->worker.index;
    p->mail.deliver = p->bring;
    mail_post(h->control, &p->mail);
}

void
handover_arrived(struct session *s, struct parcel *p, bool fine)
{
    struct hall *h = s->hall;

    if (!fine)
        leave(s);
    bring_back(h, p, fine, "nobody can listen for it");
}

void
hall_take_in(struct hall *h, struct parcel *p)
{
    const struct conf_database *d;
    struct session *s;
    struct image im;
    struct fault why;

    if (!image_read(text_slice(&p->image), &im, &why)) {
        bring_back(h, p, false, why.message);
        return;
    }
    d = conf_find_database(h->setup.conf, im.database);
    if (d == NULL) {
        bring_back(h, p, false, "its database does not exist any more");
        return;
    }
    s = take_in(h, p, d, &im);
    if (im.channels.present && s->pool->conf.mode != CONF_POOL_SESSION)
        crossing_arrive(s, &im, p);
    else
        handover_arrived(s, p, !im.channels.present);
}

void
hall_wake(struct hall *h, uint64_t id, struct slice rest)
{
    struct session *s = h->handover == NULL ? NULL : find(&h->handover->sleeping, id);

    if (s == NULL)
        return;
    ring_remove(&s->in_hall);
    ring_append(&h->sessions, &s->in_hall);
    s->moving = false;
    stream_join(&s->client, &h->turn);
    stream_put_copy(&s->client, rest);
    crossing_end(s);
    stream_flush(&h->turn);
    timeouts_arm(s);
    if (h->handing_over)
        handover_note(s);
}

void
hall_drop_sleeping(struct hall *h)
{
    while (h->handover != NULL && !ring_is_empty(&h->handover->sleeping))
        leave(container_of(ring_first(&h->handover->sleeping), struct session, in_hall));
}

void
handover_done(struct hall *h)
{
    mem_free(h->handover);
    h->handover = NULL;
}
