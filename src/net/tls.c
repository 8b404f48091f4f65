/* SPDX-License-Identifier: ISC */
/* TLS over a non-blocking socket. The only file of net that knows OpenSSL. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>

#include "base/mem.h"

struct tls_context {
    SSL_CTX *ctx;
    _Atomic int refs;
};

struct tls {
    SSL *ssl;
};

static const unsigned char alpn[] = "\012postgresql";
#define ALPN_LEN (sizeof(alpn) - 1)

static bool
openssl_fault(struct fault *why, const char *what, const char *name)
{
    unsigned long code = ERR_get_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    ERR_clear_error();
    return fault_set(why, "08006", "%s%s%s: %s", what, name[0] ? " " : "", name,
                     reason != NULL ? reason : "unknown reason");
}

/* OpenSSL dictates six parameters. */
static int /* NOLINTNEXTLINE(readability-function-size) */
choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in, unsigned inlen,
            void *arg)
{
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, outlen, alpn, ALPN_LEN, in, inlen) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool
set_protocols(SSL_CTX *ctx, const char *list, struct fault *why)
{
    bool old = strstr(list, "tlsv1.0") != NULL || strstr(list, "tlsv1.1") != NULL;
    bool v12 = strstr(list, "tlsv1.2") != NULL, v13 = strstr(list, "tlsv1.3") != NULL;

    if (strcasecmp(list, "secure") == 0 || list[0] == '\0')
        v12 = v13 = true;
    else if (strcasecmp(list, "all") == 0)
        old = v12 = v13 = true;
    if (!old && !v12 && !v13)
        return fault_set(why, "F0000", "\"%s\" names no TLS protocol: use secure, all, tlsv1.2, tlsv1.3", list);
    SSL_CTX_set_min_proto_version(ctx, old ? TLS1_VERSION : v12 ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(ctx, v13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    return true;
}

static bool
set_ciphers(SSL_CTX *ctx, const struct tls_files *f, struct fault *why)
{
    const char *list = f->ciphers;

    if (strcasecmp(list, "default") == 0 || strcasecmp(list, "secure") == 0 ||
        strcasecmp(list, "normal") == 0 || strcasecmp(list, "fast") == 0 || list[0] == '\0')
        list = "HIGH:MEDIUM:+3DES:!aNULL";
    else if (strcasecmp(list, "all") == 0)
        list = "ALL:!aNULL";
    if (SSL_CTX_set_cipher_list(ctx, list) != 1)
        return openssl_fault(why, "cannot use the ciphers", list);
    if (f->tls13_ciphers[0] != '\0' && SSL_CTX_set_ciphersuites(ctx, f->tls13_ciphers) != 1)
        return openssl_fault(why, "cannot use the TLS 1.3 ciphers", f->tls13_ciphers);
    return true;
}

/* Groups for the key exchange. OpenSSL chooses the size of finite fields by the certificate; 2 means 1024 bits.
 */
static bool
set_groups(SSL_CTX *ctx, const struct tls_files *f, struct fault *why)
{
    const char *curves = f->curves != NULL ? f->curves : "", *dh = f->dh != NULL ? f->dh : "none";
    bool chosen = curves[0] != '\0' && strcasecmp(curves, "auto") != 0 && strcasecmp(curves, "none") != 0;

    if (chosen && SSL_CTX_set1_groups_list(ctx, curves) != 1)
        return openssl_fault(why, "cannot use the curves", curves);
    if (strcasecmp(dh, "auto") != 0 && strcasecmp(dh, "legacy") != 0 && strcasecmp(dh, "none") != 0)
        return fault_set(why, "F0000", "client_tls_dheparams must be auto, legacy or none, not \"%s\"", dh);
    SSL_CTX_set_dh_auto(ctx, strcasecmp(dh, "auto") == 0 ? 1 : strcasecmp(dh, "legacy") == 0 ? 2 : 0);
    return true;
}

static bool
load_files(SSL_CTX *ctx, const struct tls_files *f, struct fault *why)
{
    if (f->cert_file[0] != '\0' && SSL_CTX_use_certificate_chain_file(ctx, f->cert_file) != 1)
        return openssl_fault(why, "cannot load the certificate", f->cert_file);
    if (f->key_file[0] != '\0' && SSL_CTX_use_PrivateKey_file(ctx, f->key_file, SSL_FILETYPE_PEM) != 1)
        return openssl_fault(why, "cannot load the key", f->key_file);
    if (f->key_file[0] != '\0' && SSL_CTX_check_private_key(ctx) != 1)
        return openssl_fault(why, "key and certificate do not belong together:", f->key_file);
    if (f->ca_file[0] != '\0' && SSL_CTX_load_verify_locations(ctx, f->ca_file, NULL) != 1)
        return openssl_fault(why, "cannot load the certificates of", f->ca_file);
    return true;
}

/* OpenSSL looks at a certificate's extensions when it first needs them, behind a lock or an atomic flag: here
 * it is done before other threads see it, which then only read. */
static void
look_at_extensions(SSL_CTX *ctx)
{
    X509 *own = SSL_CTX_get0_certificate(ctx);
    STACK_OF(X509) *chain = NULL, *trusted = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(ctx));

    SSL_CTX_get0_chain_certs(ctx, &chain);
    if (own != NULL)
        X509_check_purpose(own, -1, 0);
    for (int i = 0; i < sk_X509_num(chain); i++)
        X509_check_purpose(sk_X509_value(chain, i), -1, 0);
    for (int i = 0; i < sk_X509_num(trusted); i++)
        X509_check_purpose(sk_X509_value(trusted, i), -1, 0);
    sk_X509_pop_free(trusted, X509_free);
    ERR_clear_error();
}

static struct tls_context *
context_new(const SSL_METHOD *method, const struct tls_files *f, struct fault *why)
{
    struct tls_context *c = mem_new(struct tls_context);

    ERR_clear_error();
    c->refs = 1;
    c->ctx = SSL_CTX_new(method);
    if (c->ctx == NULL) {
        openssl_fault(why, "cannot make a TLS context", "");
        goto fail;
    }
    SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(c->ctx, 1);
    if (set_protocols(c->ctx, f->protocols, why) && set_ciphers(c->ctx, f, why) && set_groups(c->ctx, f, why) &&
        load_files(c->ctx, f, why)) {
        look_at_extensions(c->ctx);
        return c;
    }
fail:
    tls_context_drop(c);
    return NULL;
}

struct tls_context *
tls_context_server(const struct tls_files *f, bool verify, struct fault *why)
{
    struct tls_context *c = context_new(TLS_server_method(), f, why);

    if (c == NULL)
        return NULL;
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(c->ctx, 0);
    SSL_CTX_set_alpn_select_cb(c->ctx, choose_alpn, NULL);
    if (verify)
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    else if (f->ca_file[0] != '\0')
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER,
                           NULL); /* one that is shown must be good: hba may ask for it */
    if (f->ca_file[0] != '\0')
        SSL_CTX_set_client_CA_list(c->ctx, SSL_load_client_CA_file(f->ca_file));
    return c;
}

struct tls_context *
tls_context_client(const struct tls_files *f, bool verify, struct fault *why)
{
    struct tls_context *c = context_new(TLS_client_method(), f, why);

    if (c == NULL)
        return NULL;
    SSL_CTX_set_verify(c->ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    return c;
}

struct tls_context *
tls_context_hold(struct tls_context *c)
{
    if (c != NULL)
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void
tls_context_drop(struct tls_context *c)
{
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    SSL_CTX_free(c->ctx);
    mem_free(c);
}

static struct tls *
tls_new(struct tls_context *c, int fd)
{
    struct tls *t = mem_new(struct tls);

    ERR_clear_error();
    t->ssl = SSL_new(c->ctx);
    if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1) {
        tls_free(t);
        return NULL;
    }
    return t;
}

struct tls *
tls_accept(struct tls_context *c, int fd)
{
    struct tls *t = tls_new(c, fd);

    if (t != NULL)
        SSL_set_accept_state(t->ssl);
    return t;
}

static bool
is_numeric(const char *host)
{
    unsigned char out[16];

    return inet_pton(AF_INET, host, out) == 1 || inet_pton(AF_INET6, host, out) == 1;
}

struct tls *
tls_connect(struct tls_context *c, int fd, const char *host, bool check_host)
{
    struct tls *t = tls_new(c, fd);
    bool numeric = is_numeric(host);

    if (t == NULL)
        return NULL;
    SSL_set_connect_state(t->ssl);
    SSL_set_alpn_protos(t->ssl, alpn, ALPN_LEN);
    if (host[0] != '\0' && host[0] != '/' && !numeric)
        SSL_set_tlsext_host_name(t->ssl, host);
    if (check_host && numeric)
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), host);
    else if (check_host)
        SSL_set1_host(t->ssl, host);
    return t;
}

void
tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    if (t->ssl != NULL && SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl);
    SSL_free(t->ssl);
    ERR_clear_error();
    mem_free(t);
}

static enum tls_result
result_of(struct tls *t, int answer)
{
    int code = SSL_get_error(t->ssl, answer);

    switch (code) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        return ERR_peek_error() == 0 ? TLS_EOF : TLS_FAILED;
    default:
        return TLS_FAILED;
    }
}

enum tls_result
tls_handshake(struct tls *t, struct fault *why)
{
    enum tls_result r;
    int answer;
    long verdict;

    ERR_clear_error();
    answer = SSL_do_handshake(t->ssl);
    if (answer == 1)
        return TLS_DONE;
    r = result_of(t, answer);
    if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
        return r;
    verdict = SSL_get_verify_result(t->ssl);
    if (verdict != X509_V_OK)
        fault_set(why, "08006", "certificate verify failed: %s", X509_verify_cert_error_string(verdict));
    else
        openssl_fault(why, "TLS handshake failed", "");
    ERR_clear_error();
    return TLS_FAILED;
}

enum tls_result
tls_read(struct tls *t, void *buf, size_t len, size_t *n)
{
    int answer;

    ERR_clear_error();
    answer = SSL_read_ex(t->ssl, buf, len, n);
    return answer == 1 ? TLS_DONE : result_of(t, answer);
}

enum tls_result
tls_write(struct tls *t, const void *buf, size_t len, size_t *n)
{
    int answer;

    ERR_clear_error();
    answer = SSL_write_ex(t->ssl, buf, len, n);
    return answer == 1 ? TLS_DONE : result_of(t, answer);
}

bool
tls_has_pending(const struct tls *t)
{
    return SSL_has_pending(t->ssl) == 1;
}

bool
tls_alpn_is_postgresql(const struct tls *t)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(t->ssl, &name, &len);
    return len == ALPN_LEN - 1 && memcmp(name, alpn + 1, len) == 0;
}

void
tls_describe(const struct tls *t, char *out, size_t len)
{
    snprintf(out, len, "%s/%s", SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl));
}

bool
tls_has_certificate(const struct tls *t)
{
    return SSL_get0_peer_certificate(t->ssl) != NULL && SSL_get_verify_result(t->ssl) == X509_V_OK;
}

bool
tls_peer_dn(const struct tls *t, char *out, size_t len)
{
    X509 *cert = SSL_get1_peer_certificate(t->ssl);
    BIO *text = BIO_new(BIO_s_mem());
    const char *at = NULL;
    long n = -1;

    if (cert != NULL && text != NULL && SSL_get_verify_result(t->ssl) == X509_V_OK &&
        X509_NAME_print_ex(text, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0)
        n = BIO_get_mem_data(text, &at);
    if (n > 0 && (size_t)n < len && memchr(at, '\0', (size_t)n) == NULL) {
        memcpy(out, at, (size_t)n);
        out[n] = '\0';
    } else {
        n = -1;
    }
    BIO_free(text);
    X509_free(cert);
    return n > 0;
}

bool
tls_peer_name(const struct tls *t, char *out, size_t len)
{
    X509 *cert = SSL_get1_peer_certificate(t->ssl);
    int n = -1;

    if (cert != NULL && SSL_get_verify_result(t->ssl) == X509_V_OK)
        n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out, (int)len);
    X509_free(cert);
    return n > 0 && strlen(out) == (size_t)n;
}
