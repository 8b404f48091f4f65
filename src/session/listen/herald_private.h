/* SPDX-License-Identifier: ISC */
/* The connection that listens for all sessions of a database, whichever halls they are in. */
#ifndef SESSION_HERALD_PRIVATE_H
#define SESSION_HERALD_PRIVATE_H

#include "listen_private.h"

#define MOST_WHO         8
#define HERALD_ANSWER_US (10 * CLOCK_S) /* who owes an answer and says nothing for so long is dead */
#define HERALD_CHECK_US \
    (30 * CLOCK_S) /* an idle one is asked for a sign of life so often; an unused one closed */

struct who {
    char *user;
    struct credential *credential;
};

struct herald {
    struct herald *next;
    struct hall *hall;
    char *database, *encoding;
    struct topics topics;
    struct byline *bylines;
    struct server *server;     /* NULL: none */
    struct ring leaving;       /* servers that have said farewell */
    bool up;                   /* it listens to all topics */
    bool was_lost;             /* since it was up last */
    bool shut;                 /* there was nowhere to connect to */
    struct ring waiting, sent; /* asks: until it is up; on their way, in order */
    struct fault error;        /* of the request that is being answered */
    struct fault why;          /* why the last attempt to connect failed */
    struct who who[MOST_WHO];
    unsigned n_who, at_who, n_final; /* n_final: of who, that PostgreSQL does not let in */
    unsigned failures, host_turn;
    int64_t retry_us, vacate_us; /* vacate_us: until then it goes when it listens for nobody */
    int64_t silent_us;           /* since when it says nothing, while it owes an answer */
    uint64_t checked_in;         /* bytes that it had sent at the last check */
    struct timer timer, check;
    struct text heard; /* messages of this event */
    int64_t n_heard, n_lost;
};

/* ---- herald.c ---- */

extern const struct server_borrower herald_borrower;
void herald_arm(struct herald *e); /* its timer, after anything has changed */
void herald_on_timer(struct timer *t);
void herald_on_check(struct timer *t);
/* Send what A asks for; E is up. */
void herald_send(struct herald *e, struct listen_ask *a);
/* A, which may be in no list, goes back to whom it came from. */
void herald_send_home(struct listen_ask *a);
void herald_pass_on(struct herald *e); /* what was heard, to the halls */
/* Who waits for it to be up hears why it is not. */
void herald_refuse_waiting(struct herald *e);

/* ---- herald_server.c ---- */

/* E has no server: let it have one, or try later. */
void herald_connect(struct herald *e);
/* Whose target it uses; NULL: nobody's now, WHY says so. */
struct pool *herald_pool(const struct herald *e, struct fault *why);

#endif
