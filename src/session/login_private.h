/* SPDX-License-Identifier: ISC */
/* What is needed only while a client logs in. */
#ifndef SESSION_LOGIN_PRIVATE_H
#define SESSION_LOGIN_PRIVATE_H

#include "auth/scram.h"
#include "session/lookup.h"
#include "session_private.h"

/* PBKDF2 on a helper thread; outlives its session when that ends first. */
struct derive {
    struct job job;
    struct session *session; /* NULL: nobody waits any more */
    struct credential *credential;
    char *password;
    struct scram_secret secret;
};

/* auth_query; the same. */
struct secret_ask {
    struct lookup_ask ask;
    struct session *session;
};

struct login {
    enum hba_method method;
    uint16_t minor; /* of protocol 3 */
    bool sasl_started;
    int hba_line; /* of the rule that decided; 0: none did */
    uint8_t salt[4];
    char *secret;               /* from the user list or auth_query; NULL: no such user */
    char *replication;          /* value of that parameter, or NULL */
    struct scram_server *scram; /* NULL unless that is the method */
    struct derive *derive;
    struct secret_ask *ask;
    int64_t down_since_us; /* since when its database cannot be reached */
};

void login_refuse(struct session *s);
void login_with_secret(struct session *s, struct slice secret);
/* Ask PostgreSQL for the secret; false: nobody is configured to be asked. login_with_secret() follows. */
bool login_look_up(struct session *s);
/* Start-up parameters and options become settings; false: the session was closed. */
bool params_take(struct session *s, const struct startup *packet);

#endif
