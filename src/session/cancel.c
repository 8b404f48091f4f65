/* SPDX-License-Identifier: ISC */
/* Cancel keys: random, of our own, known to the hall that made them. A request may
 * arrive on any worker, so it visits every hall; the session it fits is asked to stop what it does now. */
#define XXH_INLINE_ALL
#include <xxhash.h>
#undef HASH_FUNCTION
#define HASH_FUNCTION(key, len, out) ((out) = (unsigned)XXH3_64bits((key), (len)))
#include <uthash.h>

#include "base/clock.h"
#include "base/log.h"
#include "session/peers.h"
#include "session_private.h"

#define KEY_LEN_32  32 /* protocol 3.2 */
#define KEY_LEN_OLD 4
#define AGAIN_US    (2 * CLOCK_MS) /* a session on its way between two processes is looked for again so soon */
#define MOST_AGAIN  1000

/* What is looked for: the process id and the start of the secret, with the bits set that peers change. */
#define ID_LEN   8
#define TTL_BITS 3u

struct cancel_key {
    struct session *session;
    UT_hash_handle hh; /* by id */
    uint8_t id[ID_LEN];
    uint32_t pid;
    uint8_t len;
    uint8_t changing; /* bits of secret[3] that say nothing */
    uint8_t secret[]; /* LEN of them */
};

static struct cancel_key *
key_new(size_t len)
{
    struct cancel_key *k = mem_zalloc(sizeof(*k) + len);

    k->len = (uint8_t)len;
    return k;
}

static void
put_id(uint8_t id[ID_LEN], uint32_t pid, const uint8_t *secret)
{
    uint32_t n = htonl(pid);

    memcpy(id, &n, sizeof(n));
    memcpy(id + 4, secret, 4);
    id[7] |= TTL_BITS;
}

unsigned
cancel_peer(uint32_t pid)
{
    return (pid >> 16 & 0xff) | (pid & 0xff00);
}

static void
add(struct session *s, struct cancel_key *k)
{
    unsigned peer = (unsigned)s->hall->setup.conf->general.peer_id;

    k->changing = peer > 0 && cancel_peer(k->pid) == peer ? TTL_BITS : 0;
    k->session = s;
    put_id(k->id, k->pid, k->secret);
    HASH_ADD(hh, s->hall->cancel_keys, id, ID_LEN, k);
    s->key = k;
}

/* The number is never negative, which some clients would not stand, nor a process id, which notifications name.
 */
static void
draw(struct session *s, struct cancel_key *k)
{
    unsigned peer = (unsigned)s->hall->setup.conf->general.peer_id;

    hall_random(s->hall, &k->pid, sizeof(k->pid));
    hall_random(s->hall, k->secret, k->len);
    k->pid = (k->pid & 0x7fffffff) | 0x40000000;
    if (peer == 0)
        return;
    k->pid = (k->pid & 0x7f0000ff) | (peer & 0xff) << 16 | (peer & 0xff00);
    k->secret[3] |= TTL_BITS;
}

void
cancel_register(struct session *s, uint16_t minor, uint32_t pid)
{
    struct cancel_key *k = key_new(minor >= 2 ? KEY_LEN_32 : KEY_LEN_OLD), *other;

    do {
        draw(s, k);
        if (pid != 0)
            k->pid = pid;
        put_id(k->id, k->pid, k->secret);
        HASH_FIND(hh, s->hall->cancel_keys, k->id, ID_LEN, other);
    } while (other != NULL);
    add(s, k);
}

struct slice
cancel_key_of(const struct session *s, uint32_t *pid)
{
    *pid = s->key->pid;
    return slice_of(s->key->secret, s->key->len);
}

void
cancel_restore(struct session *s, uint32_t pid, struct slice key)
{
    struct cancel_key *k = key_new(key.len);

    k->pid = pid;
    memcpy(k->secret, key.data, key.len);
    add(s, k);
}

void
cancel_unregister(struct session *s)
{
    struct cancel_key *k = s->key;

    if (k == NULL)
        return;
    HASH_DEL(s->hall->cancel_keys, k);
    mem_free(k);
    s->key = NULL;
}

void
cancel_put_key(const struct session *s, struct text *t)
{
    size_t start = wire_begin(t, 'K');

    wire_put_u32(t, s->key->pid);
    wire_put_bytes(t, slice_of(s->key->secret, s->key->len));
    wire_end(t, start, 'K');
}

/* ---- a request on its way ---- */

enum found { FOUND_NOBODY, FOUND, FOUND_MOVING };

/* Belongs to the hall that got it, but for the time of a visit to another. The client waits until the request
 * was carried out: what it sends next must not be hit by it. */
struct request {
    struct visit visit;
    struct timer timer;
    struct ring in_hall;
    struct hall *hall;
    struct session *session; /* of the client that asks; NULL: none waits */
    struct worker **workers;
    struct cancel_ask ask;
    enum found found;
    unsigned tries;
    struct mail ended; /* from whoever carries it out */
    bool waits, is_home, has_ended;
};

static bool
fits(const struct cancel_key *k, const struct cancel_ask *a)
{
    uint8_t difference = 0;

    if (k->len != a->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        difference |= (uint8_t)((k->secret[i] ^ a->key[i]) & ~(i == 3 ? k->changing : 0));
    return difference == 0;
}

static void
stop(struct session *s, struct request *r)
{
    int64_t timeout = s->hall->setup.conf->general.cancel_wait_timeout;

    if (s->state == SESSION_WAITING) {
        link_stop_waiting(s);
        s->cancelled = true;
        session_move_to(s, SESSION_READY);
        stream_again(&s->client);
        stream_flush(s->client.turn);
        return;
    }
    if (s->state == SESSION_CONSOLE && s->console->busy)
        s->hall->console->cancel(s->console);
    else if (s->server != NULL && (s->state == SESSION_TUNNEL || !pending_is_empty(s)))
        r->waits = server_cancel(s->server, timeout, &r->ended, &r->hall->worker);
}

static void
at_hall(struct worker *w, struct visit *v)
{
    struct request *r = container_of(v, struct request, visit);
    struct hall *h = hall_of(w);
    uint8_t id[ID_LEN];
    struct cancel_key *k;

    put_id(id, r->ask.pid, r->ask.key);
    HASH_FIND(hh, h->cancel_keys, id, ID_LEN, k);
    if (k == NULL || !fits(k, &r->ask))
        return;
    r->found = k->session->moving ? FOUND_MOVING : FOUND;
    if (r->found == FOUND)
        stop(k->session, r);
}

static void
request_free(struct request *r)
{
    ring_remove(&r->in_hall);
    r->hall->n_cancels--;
    mem_free(r->workers);
    mem_free(r);
}

void
cancel_done(struct hall *h)
{
    HASH_CLEAR(hh, h->cancel_keys);
    while (!ring_is_empty(&h->cancels))
        request_free(container_of(ring_first(&h->cancels), struct request, in_hall));
}

static void
finish(struct request *r)
{
    struct session *s = r->session;

    request_free(r);
    if (s == NULL)
        return;
    session_close(s, NULL);
}

static void
on_ended(struct worker *w, struct mail *m)
{
    struct request *r = container_of(m, struct request, ended);

    (void)w;
    r->has_ended = true;
    if (r->is_home)
        finish(r);
}

void
cancel_forget_client(struct session *s)
{
    ring_each (e, &s->hall->cancels) {
        struct request *r = container_of(e, struct request, in_hall);

        if (r->session == s)
            r->session = NULL;
    }
}

static void
again(struct timer *t)
{
    struct request *r = container_of(t, struct request, timer);

    r->found = FOUND_NOBODY;
    visit_start(&r->visit);
}

static void
home(struct worker *w, struct visit *v)
{
    struct request *r = container_of(v, struct request, visit);

    if (r->found == FOUND_MOVING && r->tries++ < MOST_AGAIN && !r->hall->closing) {
        timer_start(w, &r->timer, AGAIN_US);
        return;
    }
    if (r->found == FOUND_NOBODY && peers_pass_on(r->hall, &r->ask, &r->ended))
        r->waits = true;
    else if (r->found == FOUND_NOBODY && r->ask.hops > 0 && r->hall->elsewhere != NULL)
        r->hall->elsewhere(r->hall, &r->ask);
    r->is_home = true;
    if (!r->waits || r->has_ended)
        finish(r);
}

bool
cancel_has_room(struct hall *h, unsigned n)
{
    if (n < CANCELS_MAX)
        return true;
    h->n_cancels_dropped++;
    log_warning("a cancel request was dropped: %u others are under way", n);
    return false;
}

void
cancel_start(struct hall *h, const struct cancel_ask *ask, struct session *asks)
{
    struct request *r;
    unsigned n = registry_n_workers(h->registry);

    if (!cancel_has_room(h, h->n_cancels)) {
        if (asks != NULL)
            session_close(asks, NULL);
        return;
    }
    r = mem_new(struct request);
    r->workers = mem_alloc(n * sizeof(struct worker *));
    for (unsigned i = 0; i < n; i++)
        r->workers[i] = registry_worker(h->registry, i);
    r->visit =
        (struct visit){ .from = &h->worker, .workers = r->workers, .n = n, .at_each = at_hall, .home = home };
    r->hall = h;
    r->session = asks;
    r->ask = *ask;
    r->ended.deliver = on_ended;
    ring_append(&h->cancels, &r->in_hall);
    h->n_cancels++;
    timer_init(&r->timer, again);
    visit_start(&r->visit);
}
