/* SPDX-License-Identifier: ISC */
/* Cancel keys: random, of our own, known to the hall that made them. A request may
 * arrive on any worker, so it visits every hall; the session it fits is asked to stop what it does now. */
#define XXH_INLINE_ALL
#include <xxhash.h>
#undef HASH_FUNCTION
#define HASH_FUNCTION(key, len, out) ((out) = (unsigned)XXH3_64bits((key), (len)))
#include <uthash.h>

#include "base/clock.h"
#include "session_private.h"

#define KEY_LEN_32  32 /* protocol 3.2 */
#define KEY_LEN_OLD 4
#define AGAIN_US    (2 * CLOCK_MS) /* a session on its way between two processes is looked for again so soon */
#define MOST_AGAIN  1000

struct cancel_key {
    uint32_t pid;
    uint8_t secret[KEY_LEN_32];
    uint8_t len;
    struct session *session;
    UT_hash_handle hh; /* by pid */
};

static void
add(struct session *s, struct cancel_key *k)
{
    k->session = s;
    HASH_ADD(hh, s->hall->cancel_keys, pid, sizeof(k->pid), k);
    s->key = k;
}

void
cancel_register(struct session *s, uint16_t minor)
{
    struct cancel_key *k = mem_new(struct cancel_key), *other;

    k->len = minor >= 2 ? KEY_LEN_32 : KEY_LEN_OLD;
    do {
        hall_random(s->hall, &k->pid, sizeof(k->pid));
        k->pid = (k->pid & 0x7fffffff) | 1;
        HASH_FIND(hh, s->hall->cancel_keys, &k->pid, sizeof(k->pid), other);
    } while (other != NULL);
    hall_random(s->hall, k->secret, sizeof(k->secret));
    add(s, k);
}

struct slice
cancel_key_of(const struct session *s, uint32_t *pid)
{
    *pid = s->key->pid;
    return slice_of(s->key->secret, s->key->len);
}

/* PID may be that of another session, from another process: then one of the two is not found, which is a chance
 * of one in 2^31 for each pair. */
void
cancel_restore(struct session *s, uint32_t pid, struct slice key)
{
    struct cancel_key *k = mem_new(struct cancel_key);

    k->pid = pid;
    k->len = (uint8_t)key.len;
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

struct request {
    struct visit visit;
    struct timer timer;
    struct ring in_hall; /* while the timer runs */
    struct hall *hall;
    struct worker **workers;
    struct cancel_ask ask;
    enum found found;
    unsigned tries;
};

static bool
fits(const struct cancel_key *k, const struct cancel_ask *a)
{
    uint8_t difference = 0;

    if (k->len != a->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        difference |= k->secret[i] ^ a->key[i];
    return difference == 0;
}

static void
stop(struct session *s)
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
        server_cancel(s->server, timeout);
}

static void
at_hall(struct worker *w, struct visit *v)
{
    struct request *r = container_of(v, struct request, visit);
    struct hall *h = hall_of(w);
    struct cancel_key *k;

    HASH_FIND(hh, h->cancel_keys, &r->ask.pid, sizeof(r->ask.pid), k);
    if (k == NULL || !fits(k, &r->ask))
        return;
    r->found = k->session->moving ? FOUND_MOVING : FOUND;
    if (r->found == FOUND)
        stop(k->session);
}

static void
request_free(struct request *r)
{
    mem_free(r->workers);
    mem_free(r);
}

void
cancel_done(struct hall *h)
{
    HASH_CLEAR(hh, h->cancel_keys);
    ring_each_safe (r, &h->cancels)
        request_free(container_of(r, struct request, in_hall));
}

static void
again(struct timer *t)
{
    struct request *r = container_of(t, struct request, timer);

    ring_remove(&r->in_hall);
    r->found = FOUND_NOBODY;
    visit_start(&r->visit);
}

static void
home(struct worker *w, struct visit *v)
{
    struct request *r = container_of(v, struct request, visit);

    if (r->found == FOUND_MOVING && r->tries++ < MOST_AGAIN && !r->hall->closing) {
        ring_append(&r->hall->cancels, &r->in_hall);
        timer_start(w, &r->timer, AGAIN_US);
        return;
    }
    if (r->found == FOUND_NOBODY && r->ask.hops > 0 && r->hall->elsewhere != NULL)
        r->hall->elsewhere(r->hall, &r->ask);
    request_free(r);
}

void
cancel_start(struct hall *h, const struct cancel_ask *ask)
{
    struct request *r = mem_new(struct request);
    unsigned n = registry_n_workers(h->registry);

    r->workers = mem_alloc(n * sizeof(struct worker *));
    for (unsigned i = 0; i < n; i++)
        r->workers[i] = registry_worker(h->registry, i);
    r->visit =
        (struct visit){ .from = &h->worker, .workers = r->workers, .n = n, .at_each = at_hall, .home = home };
    r->hall = h;
    r->ask = *ask;
    ring_init(&r->in_hall);
    timer_init(&r->timer, again);
    visit_start(&r->visit);
}
