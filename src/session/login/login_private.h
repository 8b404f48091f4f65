/* SPDX-License-Identifier: ISC */
/* What is needed only while a client logs in. */
#ifndef SESSION_LOGIN_PRIVATE_H
#define SESSION_LOGIN_PRIVATE_H

#include "auth/scram.h"
#include "loop/helper.h"
#include "session/lookup.h"
#include "session_private.h"

/* PBKDF2 on a helper thread; outlives its session when that ends first. */
struct derive {
    struct job job;
    struct session *session;       /* NULL: nobody waits any more */
    struct credential *credential; /* NULL: a password is compared with SECRET */
    char *password;
    struct scram_secret secret;
    struct scram_keys keys; /* of the compared password */
};

/* A question to PostgreSQL; the same. */
struct secret_ask {
    struct lookup_ask ask;
    struct session *session;
    void (*then)(struct session *s, struct lookup_ask *a);
};

struct login {
    enum hba_method method;
    uint16_t minor; /* of protocol 3 */
    bool sasl_started;
    bool owner, any;                   /* our own user on the console; auth_type = any */
    bool has_options;                  /* start-up parameter `options` */
    struct hba *hba;                   /* held, or NULL */
    const struct hba_options *options; /* of the rule that decided, or NULL */
    char *host, *roles, *system_user;  /* for hba; NULL while nobody asked, empty for none */
    uint8_t salt[4];
    struct scram_keys *keys;    /* of a password that was compared with a SCRAM secret and is right; or NULL */
    char *secret;               /* from the user list or auth_query; NULL: no such user */
    char *replication;          /* value of that parameter, or NULL */
    struct scram_server *scram; /* NULL unless that is the method */
    struct derive *derive;
    struct secret_ask *ask;
    struct outsider *outside;
    int64_t down_since_us; /* since when its database cannot be reached */
};

/* ---- login.c ---- */
/* As far as it goes without waiting. */
void login_go_on(struct session *s);
void login_with_secret(struct session *s, struct slice secret);
bool login_is_waiting(const struct login *l);

/* ---- method.c ---- */
/* HBA_REJECT: WHY says why. Peer and certificate are judged here: HBA_TRUST. */
enum hba_method method_choose(struct session *s, struct fault *why);
bool method_peer_uid(const struct session *s, uid_t *uid);

/* ---- proof.c ---- */
/* Ask for the proof that the method wants; login_bytes() gets it. */
void proof_ask(struct session *s);
void login_accept(struct session *s);

/* ---- secret.c: questions to PostgreSQL ---- */
/* Ask for the secret; false: nobody is configured to be asked. login_with_secret() follows. */
bool login_look_up(struct session *s);
/* QUERY has the user as $1 and answers at most one row of two columns, the second as the secret. False: nobody
 * can be asked, and the session may be closed. */
bool
login_ask_server(struct session *s, const char *query, void (*then)(struct session *s, struct lookup_ask *a));
/* A has no answer, or more than roles can hold. */
void login_look_up_failed(struct session *s, const struct lookup_ask *a);

/* ---- roles.c, outside.c: login_go_on() follows, or login_accept() ---- */
void roles_ask(struct session *s);
void host_ask(struct session *s);
void system_user_ask(struct session *s);
void outside_ask(struct session *s, struct slice password);
void outside_forget(struct outsider *o);

/* Start-up parameters and options become settings; false: the session was closed. */
bool params_take(struct session *s, const struct startup *packet);

#endif
