/* SPDX-License-Identifier: ISC */
/* Reaching a server: name, address, TLS by sslmode as libpq does it (manual,
 * "SSL Support"). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "server/names.h"
#include "server_private.h"

/* Outlives its server when that is closed first. */
struct lookup {
    struct resolve resolve;
    struct names_cache *names;
    struct server *server; /* NULL: nobody waits any more */
};

static void
fail_later(struct server *s, const struct fault *why)
{
    s->login->failed = *why;
    timer_start(s->stream.turn->worker, &s->deadline, 0);
}

static bool
is_local(const struct server *s)
{
    return s->address.any.sa_family == AF_UNIX;
}

/* Try the addresses that are left. False: none could even be tried. */
static bool
dial_next(struct server *s, struct fault *why)
{
    struct server_login *l = s->login;
    char text[NET_ADDRESS_TEXT];

    fault_set(why, "08001", "\"%s\" has no address", l->host);
    while (l->next < l->n_found) {
        s->address = l->found[l->next++];
        net_address_print(&s->address, text);
        log_debug("server=s%" PRIu64 " connects to %s for %s@%s", s->id, text, s->target->user,
                  s->target->database);
        if (stream_dial(&s->stream, s->stream.turn, &s->address, &server_stream_events, why)) {
            net_tune(s->stream.fd, s->target->tcp);
            return true;
        }
    }
    return false;
}

/* R is the answer. False: WHY. */
static bool
use_addresses(struct server *s, const struct resolve *r, struct fault *why)
{
    s->login->n_found = r->n;
    memcpy(s->login->found, r->found, sizeof(r->found));
    if (r->n == 0)
        return fault_set(why, "08001", "cannot resolve \"%.100s\": %s", r->host, r->message);
    return dial_next(s, why);
}

static void
on_looked_up(struct worker *w, struct mail *m)
{
    struct lookup *l = container_of(m, struct lookup, resolve.job.done);
    struct server *s = l->server;
    struct fault why;

    names_cache_take(l->names, &l->resolve, w->now_us);
    if (s != NULL) {
        s->login->lookup = NULL;
        if (!use_addresses(s, &l->resolve, &why))
            server_end(s, &why);
    }
    mem_free(l);
}

static bool
look_up(struct server *s, struct fault *why)
{
    const struct server_target *t = s->target;
    struct lookup *l;
    enum names_answer answer;
    bool ok;

    if (strlen(s->login->host) >= sizeof(l->resolve.host))
        return fault_set(why, "08001", "the host name is too long");
    l = mem_new(struct lookup);
    l->names = t->names;
    l->server = s;
    l->resolve.port = t->port;
    l->resolve.job.from = s->stream.turn->worker;
    l->resolve.job.done.deliver = on_looked_up;
    strcpy(l->resolve.host, s->login->host);
    answer = names_cache_ask(l->names, &l->resolve, s->stream.turn->worker->now_us);
    if (answer == NAMES_ASKED) {
        s->login->lookup = l;
        return true;
    }
    ok = answer == NAMES_KNOWN ? use_addresses(s, &l->resolve, why)
                               : fault_set(why, "08001", "too many name look-ups are waiting");
    mem_free(l);
    return ok;
}

static void
on_redial(struct timer *t)
{
    struct server *s = container_of(t, struct server_login, redial)->server;
    struct fault why;

    if (!dial_next(s, &why))
        server_end(s, &why);
}

/* The host of a list whose turn it is. */
static char *
choose_host(const struct server_target *t)
{
    struct slice rest = slice_str(t->host), one = rest;
    unsigned n = 1, at;

    if (t->host_turn == NULL)
        return mem_strdup(t->host);
    for (const char *c = t->host; *c != '\0'; c++)
        n += *c == ',';
    at = *t->host_turn % n;
    if (t->in_turn)
        ++*t->host_turn;
    for (unsigned i = 0; i <= at; i++) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);

        one = slice_head(rest, comma == NULL ? rest.len : (size_t)(comma - rest.data));
        rest = slice_tail(rest, one.len + 1);
    }
    return slice_dup(slice_trim(one));
}

void
dial_start(struct server *s)
{
    const struct server_target *t = s->target;
    struct server_login *l = s->login;
    char *host = l->host = choose_host(t);
    bool is_path = host[0] == '/' || host[0] == '@';
    struct fault why;
    bool ok;

    l->server = s;
    l->want_tls = t->sslmode >= CONF_SSL_PREFER;
    timer_init(&l->redial, on_redial);
    if (is_path)
        ok = net_address_unix(&l->found[0], host, t->port) ||
             fault_set(&why, "08001", "the path of the Unix socket is too long");
    else
        ok = net_address_numeric(&l->found[0], host, t->port);
    if (ok || is_path) {
        l->n_found = ok;
        ok = ok && dial_next(s, &why);
    } else {
        ok = look_up(s, &why);
    }
    if (!ok)
        fail_later(s, &why);
}

void
dial_opened(struct server *s)
{
    struct server_login *l = s->login;

    if (s->state == SERVER_DIAL && l->want_tls && !is_local(s)) {
        server_move_to(s, SERVER_TLS);
        stream_put_copy(&s->stream, SLICE("\0\0\0\10\4\322\26\57"));
        return;
    }
    l->plain_tried = l->plain_tried || s->stream.tls == NULL;
    server_move_to(s, SERVER_LOGIN);
    login_start(s);
}

static void
start_tls(struct server *s)
{
    const struct server_target *t = s->target;
    struct tls *tls;
    struct fault why;

    s->login->tls_tried = true;
    tls = tls_connect(t->tls, s->stream.fd, s->login->host, t->sslmode == CONF_SSL_VERIFY_FULL);
    if (tls == NULL) {
        fault_set(&why, "08006", "cannot start TLS");
        server_end(s, &why);
        return;
    }
    stream_start_tls(&s->stream, tls);
}

size_t
dial_tls_answer(struct server *s, struct slice bytes)
{
    struct fault why;

    if (bytes.len > 1) {
        fault_set(&why, "08P01", "server sent bytes before the TLS handshake");
        server_end(s, &why);
    } else if (bytes.data[0] == 'S') {
        start_tls(s);
    } else if (bytes.data[0] == 'N' && s->target->sslmode < CONF_SSL_REQUIRE) {
        s->login->tls_tried = s->login->plain_tried = true;
        server_move_to(s, SERVER_LOGIN);
        login_start(s);
    } else {
        fault_set(&why, "08001", "server does not support TLS, but server_tls_sslmode requires it");
        server_end(s, &why);
    }
    return bytes.len;
}

/* prefer: TLS failed, try plain. allow: plain was refused, try TLS. */
static bool
other_way(const struct server *s, bool refused)
{
    const struct server_login *l = s->login;

    if (is_local(s) || l->authenticated)
        return false;
    if (s->target->sslmode == CONF_SSL_PREFER && l->tls_tried && !l->plain_tried)
        return true;
    return s->target->sslmode == CONF_SSL_ALLOW && refused && l->plain_tried && !l->tls_tried;
}

bool
dial_again(struct server *s, bool refused)
{
    struct server_login *l = s->login;

    if (other_way(s, refused)) {
        l->want_tls = !l->tls_tried;
        l->next--;
    } else if (s->state != SERVER_DIAL || l->next >= l->n_found) {
        return false;
    }
    stream_close(&s->stream);
    login_abandon(s);
    l->derive = NULL;
    l->scram_started = l->sasl_verified = false;
    if (s->state != SERVER_DIAL)
        server_move_to(s, SERVER_DIAL);
    timer_start(s->stream.turn->worker, &l->redial, 0); /* not inside an event of the stream */
    return true;
}

void
dial_done(struct server *s)
{
    struct server_login *l = s->login;

    if (l == NULL)
        return;
    if (l->lookup != NULL)
        l->lookup->server = NULL;
    login_abandon(s);
    timer_stop(s->stream.turn->worker, &l->redial);
    mem_free(l->replication);
    mem_free(l->host);
    mem_wipe(l, sizeof(*l));
    mem_free(l);
    s->login = NULL;
}
