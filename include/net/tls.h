/* SPDX-License-Identifier: ISC */
/* TLS over a non-blocking socket: OpenSSL behind six calls. A context is
 * immutable and counted (any thread); a struct tls belongs to its stream. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/fault.h"

struct tls_files { /* texts of the options; "" means not given */
    const char *key_file, *cert_file, *ca_file;
    const char *protocols, *ciphers, *tls13_ciphers;
    const char *curves, *dh; /* towards clients; or NULL */
};

struct tls_context;

/* Towards clients. VERIFY asks for a certificate that the CA signed. */
struct tls_context *tls_context_server(const struct tls_files *f, bool verify, struct fault *why);
/* Towards servers. */
struct tls_context *tls_context_client(const struct tls_files *f, bool verify, struct fault *why);
struct tls_context *tls_context_hold(struct tls_context *c);
void tls_context_drop(struct tls_context *c); /* NULL is fine */

struct tls;
enum tls_result { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_EOF, TLS_FAILED };

struct tls *tls_accept(struct tls_context *c, int fd);
/* HOST: also checked against the certificate when CHECK_HOST; sent as SNI when it is a name. */
struct tls *tls_connect(struct tls_context *c, int fd, const char *host, bool check_host);
void tls_free(struct tls *t); /* sends close_notify when it can at once; NULL is fine */

/* One step; TLS_FAILED fills WHY. */
enum tls_result tls_handshake(struct tls *t, struct fault *why);
/* TLS_DONE: *N bytes. */
enum tls_result tls_read(struct tls *t, void *buf, size_t len, size_t *n);
enum tls_result tls_write(struct tls *t, const void *buf, size_t len, size_t *n);
/* Bytes that were read from the socket and not yet given out. */
bool tls_has_pending(const struct tls *t);
/* The peer chose ALPN "postgresql" (needed for TLS without SSLRequest). */
bool tls_alpn_is_postgresql(const struct tls *t);
/* The peer showed a certificate that was verified. */
bool tls_has_certificate(const struct tls *t);
/* The common name of the peer's verified certificate; false: it showed none. */
bool tls_peer_name(const struct tls *t, char *out, size_t len);
/* All of its name, as in RFC 2253. */
bool tls_peer_dn(const struct tls *t, char *out, size_t len);
/* "TLSv1.3/TLS_AES_256_GCM_SHA384" */
void tls_describe(const struct tls *t, char *out, size_t len);

#endif
