/* SPDX-License-Identifier: ISC */
/* What the files of room server share. */
#ifndef SERVER_SERVER_PRIVATE_H
#define SERVER_SERVER_PRIVATE_H

#include "net/resolve.h"
#include "server/server.h"

struct lookup;
struct derive;

/* What is needed only until the server is logged in. */
struct server_login {
    struct server *server;
    struct timer redial; /* the next attempt */
    char *replication;
    char *host;            /* the one of the target's that it goes to */
    struct lookup *lookup; /* a name look-up that is under way */
    struct derive *derive; /* PBKDF2 that is under way */
    struct net_address found[RESOLVE_MAX];
    unsigned n_found, next;
    bool want_tls, tls_tried, plain_tried, authenticated, sasl_verified;
    struct scram_client scram;
    bool scram_started, checks; /* checks: the target's checker has asked */
    uint64_t position;          /* what that knew when it asked */
    struct fault failed;        /* an early failure that the deadline timer reports */
};

/* dial.c */
void dial_start(struct server *s);
void dial_opened(struct server *s);
size_t dial_tls_answer(struct server *s, struct slice bytes);
/* The link broke, or the server said no, before the login was done: try another way. False: there is none. */
bool dial_again(struct server *s, bool refused);
void dial_done(struct server *s); /* frees login; abandons look-ups */

/* login.c */
void login_start(struct server *s);
/* Nobody waits for keys that a helper thread computes. */
void login_abandon(struct server *s);
enum server_state login_message(struct server *s, uint8_t type, struct slice body);

/* cancel.c */
void cancel_abandon(struct server *s); /* S is gone; its cancels go on alone */

/* server.c */
extern const struct stream_events server_stream_events;

void server_move_to(struct server *s, enum server_state next);

#endif
