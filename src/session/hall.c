/* SPDX-License-Identifier: ISC */
/* One worker's sessions: accepting, configuring, draining, ending. */
#include "session/hall.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "choose_private.h"
#include "session/handover.h"
#include "session/listeners.h"
#include "session/peers.h"

#define FACTS_CAPACITY 4096

struct hall *
hall_of(struct worker *w)
{
    return container_of(w, struct hall, worker);
}

static struct pools *
pools_of(struct worker *w)
{
    return &hall_of(w)->pools;
}

void
hall_init(struct hall *h, uint32_t index)
{
    memset(h, 0, sizeof(*h));
    worker_init(&h->worker, index);
}

void
hall_setup_hold(struct hall_setup *to, const struct hall_setup *from)
{
    to->conf = conf_hold(from->conf);
    to->secrets = secrets_hold(from->secrets);
    to->hba = from->hba == NULL ? NULL : hba_hold(from->hba);
    to->client_tls = tls_context_hold(from->client_tls);
    to->server_tls = tls_context_hold(from->server_tls);
}

void
hall_setup_drop(struct hall_setup *s)
{
    conf_drop(s->conf);
    secrets_drop(s->secrets);
    hba_drop(s->hba);
    tls_context_drop(s->client_tls);
    tls_context_drop(s->server_tls);
}

static void
set_rounds(struct hall *h)
{
    const struct conf *c = h->setup.conf;

    h->turn.rounds = c->general.compat == CONF_COMPAT_PGBOUNCER ? (unsigned)c->kept.sbuf_loopcnt : 1;
}

void
hall_open(struct hall *h, const struct hall_shared *s, const struct hall_setup *setup)
{
    net_turn_init(&h->turn, &h->worker);
    net_turn_widen(&h->turn, setup->conf->kept.pkt_buf);
    h->registry = s->registry;
    h->helper = s->helper;
    h->outside = s->outside;
    h->lookups = s->lookups;
    h->console = s->console;
    h->next_id = s->next_id;
    h->seed = s->seed;
    memcpy(h->mock_key, s->mock_key, sizeof(h->mock_key));
    ring_init(&h->sessions);
    ring_init(&h->linked);
    ring_init(&h->cancels);
    ring_init(&h->passed_on);
    timer_init(&h->tick, timeouts_on_tick);
    h->facts = facts_table_new(FACTS_CAPACITY, s->seed);
    known_open(h);
    h->last_write = s->last_write;
    h->last_change = s->last_change;
    h->want_catalog = s->want_catalog;
    h->control = s->control;
    h->elsewhere = s->elsewhere;
    choose_open(h, s->watch);
    pools_init(&h->pools, &h->turn, s->registry, s->helper);
    h->pools.next_id = s->next_id;
    h->pools.of_worker = pools_of;
    hall_setup_hold(&h->setup, setup);
    set_rounds(h);
    pools_configure(&h->pools, setup->conf, setup->secrets, setup->server_tls);
    choose_configure(h);
    if (h->worker.index == 0)
        pools_open_minimum(&h->pools);
}

/* ---- accepting: a Unix socket has one queue, so its clients are dealt out; the same goes for sockets that we
 * got from elsewhere, unless there is one for each worker ---- */

struct dealt {
    struct mail mail;
    int fd;
    bool is_unix;
};

static void
on_dealt(struct worker *w, struct mail *m)
{
    struct dealt *d = container_of(m, struct dealt, mail);

    session_new(hall_of(w), d->fd, d->is_unix);
    mem_free(d);
}

static void
on_client(void *owner, int fd, bool is_unix)
{
    struct hall *h = owner;
    unsigned n = registry_n_workers(h->registry),
             to = is_unix || h->deals ? h->next_deal++ % n : h->worker.index;
    struct dealt *d;

    if (to == h->worker.index) {
        session_new(h, fd, is_unix);
        return;
    }
    d = mem_new(struct dealt);
    d->fd = fd;
    d->is_unix = is_unix;
    d->mail.deliver = on_dealt;
    mail_post(registry_worker(h->registry, to), &d->mail);
}

void
hall_listen(struct hall *h, const int *fds, unsigned n)
{
    h->listeners = mem_realloc(h->listeners, (h->n_listeners + n) * sizeof(struct listener *));
    for (unsigned i = 0; i < n; i++) {
        struct listener *l = listener_new(&h->worker, fds[i], on_client, h);

        listener_tune(l, &h->pools.tcp); /* what is accepted inherits it */
        h->listeners[h->n_listeners++] = l;
    }
}

void
hall_stop_listening(struct hall *h)
{
    for (unsigned i = 0; i < h->n_listeners; i++)
        listener_free(h->listeners[i]);
    mem_free(h->listeners);
    h->listeners = NULL;
    h->n_listeners = 0;
}

static void
stop_listening_tcp(struct hall *h)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < h->n_listeners; i++) {
        if (listener_is_unix(h->listeners[i]))
            h->listeners[kept++] = h->listeners[i];
        else
            listener_free(h->listeners[i]);
    }
    h->n_listeners = kept;
}

void
hall_done(struct hall *h)
{
    hall_stop_listening(h);
    hall_close_sessions(h);
    peers_done(h);
    timer_stop(&h->worker, &h->tick);
    choose_close(h);
    heralds_done(h);
    audience_done(h);
    pools_done(&h->pools);
    worker_done(&h->worker); /* frees what was closed */
    handover_done(h);
    known_close(h);
    roles_forget(h);
    params_table_free(h->pools.sets);
    facts_table_free(h->facts);
    cancel_done(h);
    pending_free_spare(h);
    net_turn_done(&h->turn);
    text_done(&h->scratch);
    hall_setup_drop(&h->setup);
}

void
hall_random(struct hall *h, void *out, size_t len)
{
    uint8_t *from;

    if (h->random_left < len) {
        random_bytes(h->random, sizeof(h->random));
        h->random_left = sizeof(h->random);
    }
    h->random_left -= (unsigned)len;
    from = h->random + h->random_left;
    memcpy(out, from, len);
    mem_wipe(from, len); /* never given out twice, and not left lying about */
}

/* Sockets stay open: what waits to be accepted is somebody else's, or ours again later. */
void
hall_hold_listeners(struct hall *h, bool hold)
{
    for (unsigned i = 0; i < h->n_listeners; i++)
        listener_hold(h->listeners[i], hold);
}

unsigned
hall_listener_fds(const struct hall *h, int *fds, unsigned n)
{
    for (unsigned i = 0; i < h->n_listeners && i < n; i++)
        fds[i] = listener_fd(h->listeners[i]);
    return h->n_listeners;
}

/* ---- what operators do ---- */

void
hall_configure(struct hall *h, const struct hall_setup *setup)
{
    struct hall_setup old = h->setup;

    hall_setup_hold(&h->setup, setup);
    set_rounds(h);
    h->n_views++;
    pools_configure(&h->pools, setup->conf, setup->secrets, setup->server_tls);
    hall_setup_drop(&old);
    choose_configure(h);
    choose_reload(h);
    hall_move_listeners(h);
    known_forget_startups(h);
    roles_forget(h);
    for (unsigned i = 0; i < h->n_listeners; i++)
        listener_tune(h->listeners[i], &h->pools.tcp);
    timeouts_linked(h);
    ring_each (r, &h->sessions)
        timeouts_arm(container_of(r, struct session, in_hall));
}

void
hall_resume(struct hall *h)
{
    for (struct pool *p = h->pools.first; p != NULL; p = p->next)
        pool_retry(p);
    ring_each (r, &h->sessions)
        timeouts_arm(container_of(r, struct session, in_hall));
}

void
hall_refuse_logins(struct hall *h)
{
    h->draining = true;
}

void
hall_drain(struct hall *h)
{
    struct fault why;

    h->draining = h->closing = true;
    stop_listening_tcp(h);
    fault_set(&why, "57P01", "terminating connection due to administrator command");
    ring_each_safe (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);

        if (s->state == SESSION_READY && h->handing_over && handover_note(s))
            continue;
        if (s->state == SESSION_READY && s->status == 'I')
            session_close(s, &why);
        else if (s->state == SESSION_LINKED)
            link_try_give_back(s);
        else if (s->state < SESSION_WELCOME && !s->is_unix) /* it may be for the console */
            session_close(s, &why);
    }
    stream_flush(&h->turn);
}

void
hall_close_sessions(struct hall *h)
{
    struct fault why;

    fault_set(&why, "57P01", "terminating connection due to administrator command");
    hall_forget_moving(h);
    while (!ring_is_empty(&h->sessions))
        session_close(container_of(ring_first(&h->sessions), struct session, in_hall), &why);
    stream_flush(&h->turn);
}

void
hall_end_errands(struct hall *h)
{
    heralds_done(h);
    server_end_cancels(&h->pools.cancels);
    peers_done(h);
}

void
hall_kill(struct hall *h, struct slice database)
{
    struct fault why;

    fault_set(&why, "57P01", "terminating connection due to administrator command");
    ring_each_safe (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);

        if (s->console == NULL && s->database != NULL && (database.len == 0 || slice_is(database, s->database)))
            session_close(s, &why);
    }
    pools_close_servers(&h->pools, database, true);
    hall_reconnect_listeners(h, database);
    stream_flush(&h->turn);
}

bool
hall_kill_client(struct hall *h, uint64_t id)
{
    struct fault why;

    fault_set(&why, "57P01", "terminating connection due to administrator command");
    ring_each (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);

        if (s->id != id)
            continue;
        session_close(s, &why);
        stream_flush(&h->turn);
        return true;
    }
    return false;
}
