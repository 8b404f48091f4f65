/* SPDX-License-Identifier: ISC */
/* Keys and certificates for tests of TLS, made by the openssl program in a folder of their own. */
#ifndef TEST_UNIT_NET_CERTS_H
#define TEST_UNIT_NET_CERTS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/tls.h"

struct certs {
    char folder[64], key[96], cert[96], other_key[96], other_cert[96];
};

static inline bool
certs_one(const char *key, const char *cert, const char *name)
{
    char command[600];

    snprintf(
        command, sizeof(command),
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout %s -out %s "
        "-subj /CN=%s -addext subjectAltName=DNS:%s,IP:127.0.0.1 >/dev/null 2>&1",
        key, cert, name, name);
    return system(command) == 0;
}

/* Two self-signed ones: for localhost, and another that nobody trusts. */
static inline bool
certs_make(struct certs *c)
{
    snprintf(c->folder, sizeof(c->folder), "/tmp/pgweir_certs_XXXXXX");
    if (mkdtemp(c->folder) == NULL)
        return false;
    snprintf(c->key, sizeof(c->key), "%s/key.pem", c->folder);
    snprintf(c->cert, sizeof(c->cert), "%s/cert.pem", c->folder);
    snprintf(c->other_key, sizeof(c->other_key), "%s/other_key.pem", c->folder);
    snprintf(c->other_cert, sizeof(c->other_cert), "%s/other_cert.pem", c->folder);
    return certs_one(c->key, c->cert, "localhost") && certs_one(c->other_key, c->other_cert, "elsewhere");
}

static inline void
certs_remove(const struct certs *c)
{
    unlink(c->key);
    unlink(c->cert);
    unlink(c->other_key);
    unlink(c->other_cert);
    rmdir(c->folder);
}

/* Files for a side that shows CERT (with KEY) and trusts CA; "" where there is none. */
static inline struct tls_files
certs_files(const char *key, const char *cert, const char *ca)
{
    return (struct tls_files){
        .key_file = key, .cert_file = cert, .ca_file = ca, .protocols = "", .ciphers = "", .tls13_ciphers = ""
    };
}

#endif
