/* SPDX-License-Identifier: ISC */
/* The first packets of a client: TLS or not, cancel request, start-up. Identity is
 * taken once; bytes that came before a TLS handshake are never used after it. */
#include <sys/socket.h>

#include "base/log.h"
#include "session_private.h"

static void
refuse(struct session *s, const struct fault *why)
{
    session_close(s, why);
}

static bool
may_tls(const struct session *s)
{
    return s->hall->setup.client_tls != NULL && !s->is_unix && !s->tls;
}

static void
start_tls(struct session *s)
{
    struct tls *tls = tls_accept(s->hall->setup.client_tls, s->client.fd);

    if (tls == NULL) {
        session_close(s, NULL);
        return;
    }
    s->tls = true;
    stream_start_tls(&s->client, tls);
}

/* After the handshake. TLS without SSLRequest needs ALPN (manual, "SSL Session Encryption"). */
void
hello_secured(struct session *s)
{
    struct fault why;

    if (!s->direct_tls || tls_alpn_is_postgresql(s->client.tls))
        return;
    fault_set(&why, "08P01",
              "received direct SSL connection request without ALPN protocol negotiation extension");
    s->cut = true; /* the handshake itself is refused */
    refuse(s, &why);
}

static size_t
answer_ssl(struct session *s, struct slice bytes, size_t len)
{
    bool yes = may_tls(s);
    struct fault why;

    if (bytes.len > len) {
        fault_set(&why, "08P01", "received unencrypted data after SSL request");
        fault_detail(&why, "This could be either a client-software bug or evidence of an attempted "
                           "man-in-the-middle attack.");
        refuse(s, &why);
        return bytes.len;
    }
    stream_put_copy(&s->client, yes ? SLICE("S") : SLICE("N"));
    if (yes)
        start_tls(s);
    return len;
}

static bool
tls_missing(const struct session *s)
{
    return s->hall->setup.conf->general.client_tls_sslmode >= CONF_SSL_REQUIRE && !s->tls && !s->is_unix;
}

static size_t
start_up(struct session *s, const struct startup *packet, struct slice bytes)
{
    struct fault why;

    if (tls_missing(s)) {
        fault_set(&why, "28000", "TLS is required");
        fault_detail(&why, "client_tls_sslmode demands it of connections by TCP.");
        fault_hint(&why, "Connect with sslmode=require.");
        refuse(s, &why);
    } else if (s->hall->draining && !console_is_name(packet->database)) {
        fault_set(&why, "57P03", "no server is available for database \"%.*s\"",
                  (int)(packet->database.len > 63 ? 63 : packet->database.len),
                  (const char *)packet->database.data);
        fault_detail(&why, "pgweir is shutting down.");
        fault_hint(&why, "Connect again, to another host if there is one.");
        refuse(s, &why);
    } else if (packet->minor > 2 || packet->unknown_options) {
        struct text *t = session_scratch(s);

        startup_put_negotiate(t, packet->minor > 2 ? 2 : packet->minor, bytes);
        session_send(s, t);
    }
    if (s->state == SESSION_HELLO)
        login_begin(s, packet);
    return bytes.len;
}

/* A client that speaks TLS at once: nothing was read yet. */
void
hello_direct_tls(struct session *s)
{
    s->direct_tls = true;
    start_tls(s);
}

/* One request of each kind, as PostgreSQL takes them; none inside TLS. */
static bool
asked_before(struct session *s, enum startup_kind kind)
{
    unsigned bit = 1u << kind;
    bool before = (s->hello_asked & bit) != 0 || s->tls;

    if (kind != STARTUP_SSL && kind != STARTUP_GSS)
        return false;
    s->hello_asked |= (uint8_t)bit;
    return before;
}

size_t
hello_bytes(struct session *s, struct slice bytes)
{
    struct startup packet;
    struct cancel_ask ask;
    struct fault why;
    size_t len = 0;

    if ((s->hello_asked & 1u << STARTUP_CANCEL) != 0) /* nothing more is wanted from it */
        return bytes.len;
    switch (startup_read(bytes, &packet, &len, &why)) {
    case WIRE_MORE:
        return 0;
    case WIRE_BAD:
        /* Like PostgreSQL: no packet at all gets no answer, as the Terminate of who leaves before a login. */
        s->cut = len < 8 || len > STARTUP_MAX_LEN;
        refuse(s, &why);
        return bytes.len;
    case WIRE_MESSAGE:
        break;
    }
    if (asked_before(s, packet.kind)) {
        session_protocol_error(s, "a second request for encryption");
        return bytes.len;
    }
    switch (packet.kind) {
    case STARTUP_SSL:
        return answer_ssl(s, bytes, len);
    case STARTUP_GSS:
        stream_put_copy(&s->client, SLICE("N"));
        return len;
    case STARTUP_CANCEL:
        ask = (struct cancel_ask){ .pid = packet.pid, .len = (unsigned)packet.key.len, .hops = CANCEL_HOPS };
        memcpy(ask.key, packet.key.data, packet.key.len);
        s->hello_asked |= 1u << STARTUP_CANCEL;
        cancel_start(s->hall, &ask, s);
        return bytes.len;
    case STARTUP_LOGIN:
        break;
    }
    return start_up(s, &packet, slice_head(bytes, len));
}
