/* SPDX-License-Identifier: ISC */
/* One connection to PostgreSQL: dial, log in, wait, serve a borrower, come back
 * clean, close. Owned by one worker at a time; it moves only while idle.
 *
 * The keeper (pool) hears when a server becomes ready or goes away; the borrower
 * (session) gets every byte while it is lent. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/ring.h"
#include "base/text.h"
#include "net/stream.h"
#include "server/credential.h"
#include "server/prepared.h"
#include "wire/params.h"

enum server_state {
#define STATE(name, handler, next) SERVER_##name,
#include "server/server_states.def"
#undef STATE
    SERVER_NSTATES
};

/* Where and as whom: made by the pool, the same for all its servers; outlives them. */
struct server_target {
    char *host; /* address, name, or folder of a Unix socket, or several with commas */
    uint16_t port;
    char *database, *user;
    struct credential *credential;
    int sslmode;         /* enum conf_sslmode */
    const char *standby; /* one of a cluster's nodes: what clients are told of in_hot_standby; else NULL */
    struct tls_context *tls;
    struct tcp_options *tcp;
    int64_t connect_timeout_us;
    char *connect_query;                  /* "" for none */
    struct params *startup;               /* start-up parameters to send, of the worker's table */
    struct helper *helper;                /* for PBKDF2 */
    struct names_cache *names;            /* NULL: hosts are addresses and folders */
    unsigned *host_turn;                  /* which of the hosts of a list is next; NULL: there is no list */
    bool in_turn;                         /* each connection goes to the next of them */
    struct ring *cancels;                 /* cancel requests under way on this worker */
    struct params_table *sets;            /* the worker's table of settings and reports */
    const struct server_checker *checker; /* server/checker.h; NULL: whoever answers there is right */
};

#define SERVER_FAREWELL_US 1000000

struct server;
struct server_keeper {
    void (*on_ready)(struct server *s);                         /* logged in, or clean again: it is idle */
    void (*on_gone)(struct server *s, const struct fault *why); /* it is of no use any more */
    /* PostgreSQL has ended it, as far as that can be known; follows on_gone. Freed at the end of the turn. */
    void (*on_left)(struct server *s);
};
struct server_borrower {
    size_t (*on_bytes)(struct server *s, struct slice bytes); /* as stream_events.on_bytes */
    void (*on_gone)(struct server *s,
                    const struct fault *why); /* it died while lent; on_gone of the keeper follows */
    void (*on_cancelled)(struct server *s);   /* no cancel is in flight any more */
    void (*on_quiet)(struct server *s); /* all bytes of this event were seen: a good moment to give back */
};

struct server {
    struct stream stream;
    struct grave grave;
    struct mail moving;
    struct ring in_pool;
    struct ring *list;     /* which of the pool's lists */
    struct ring canceling; /* cancel requests under way */
    enum server_state state;
    char status;            /* of the last ReadyForQuery: I, T, E */
    bool old;               /* the pool wants it closed when it comes back */
    bool tainted;           /* holds what no reset takes away: it goes when it comes back */
    bool died;              /* the connection was lost, or the server ended it */
    bool logged;            /* the pool announced it */
    bool ready;             /* idle, and the keeper does not know yet */
    bool listens;           /* a LISTEN ran on it: UNLISTEN * before anybody else gets it */
    unsigned epoch;         /* of its database when it was made */
    void *claimed;          /* the one client that it is made for (replication) */
    struct params *startup; /* start-up parameters instead of the target's, or NULL */
    bool replication;
    uint8_t cancels;  /* cancel requests in flight */
    uint8_t cleaning; /* ReadyForQuery still to come while it is cleaned */
    uint64_t id;
    uint32_t pid, key;
    const struct server_target *target;
    const struct server_keeper *keeper;
    const struct server_borrower *borrower;
    void *pool, *session;
    struct params *reports;  /* ParameterStatus values */
    struct params *reported; /* NULL; or what they were before application_name was expected among them */
    struct params *defaults; /* the same of when it was first lent: what RESET brings back; NULL: it was not */
    struct params *settings; /* what sessions set on it (name -> SQL); NULL: not known */
    int64_t role_us;         /* 0, or when a role was set there: one of that name may be another one since */
    bool changed;            /* this transaction changed tables */
    struct params *by_sql;   /* statements that it knows by names of sessions (name -> SQL); NULL: none */
    struct text request;     /* of its borrower: what it works on (session/retry.c) */
    unsigned request_whole;  /* bytes of that up to the end of the last one in it */
    bool request_cut;        /* some in front of it were answered */
    struct prepared *prepared;
    struct statement_id unnamed; /* what the unnamed statement is */
    uint64_t sequences_of;       /* the session that last ran here what may draw from a sequence; 0: none */
    struct server_login *login;  /* only while it logs in */
    struct timer deadline;
    int64_t connected_us, idle_us, lent_us; /* times of the worker's clock */
    struct net_address address;
};

/* Start to connect. REPLICATION (may be empty) is the value of that start-up parameter. on_ready or on_gone
 * follows, never before this returns. */
struct server *server_new(struct net_turn *t, const struct server_target *target,
                          const struct server_keeper *keeper, void *pool, struct slice replication);
/* Idle -> lent. */
void server_lend(struct server *s, const struct server_borrower *b, void *session);
/* Lent, with status I and nothing outstanding -> idle. The keeper is not called. */
void server_take_back(struct server *s);
/* Run N statements whose results nobody wants (reset, check), after a ROLLBACK when a transaction is open, and
 * become idle; on_ready or on_gone follows. From idle or lent; there must be something to run. */
void server_clean(struct server *s, const struct slice *sql, unsigned n, int64_t timeout_us);
/* It was brought back to what it was after its login: no settings, no named statements. */
void server_forget(struct server *s);
/* Close now and tell the borrower, if any. */
void server_end(struct server *s, const struct fault *why);
/* Say farewell; PostgreSQL has SERVER_FAREWELL_US to end it before the connection is closed. WHY is what
 * on_gone and the log say; the borrower is not told. */
void server_close(struct server *s, const struct fault *why);
/* The same without a word: another process goes on with its socket. */
void server_part(struct server *s, const struct fault *why);
/* Wait for PostgreSQL no longer: S has said farewell. */
void server_abandon(struct server *s);
/* Ask PostgreSQL to cancel what S runs, over a connection of its own. True: DONE (may be NULL) is posted to
 * DONE_TO when that connection is closed, before which the cancel may still strike. False: nothing was started.
 */
bool server_cancel(struct server *s, int64_t timeout_us, struct mail *done, struct worker *done_to);
/* A notice (its body) that the server is about to go: 57P01, 57P02, 57P03. */
bool server_is_leaving(struct slice notice);
/* Give up the cancel requests of CANCELS: the worker ends. */
void server_end_cancels(struct ring *cancels);
/* Update reports from the body of a ParameterStatus message. False when it is not well formed. */
bool server_report(struct server *s, struct slice body);
/* An idle server has bytes, or its end, waiting to be read: not to be lent. on_ready or on_gone follows. */
bool server_is_stale(struct server *s);
/* Idle, nothing half read or half written: it may move. */
bool server_may_move(const struct server *s);
/* Hand an idle server to another worker: leave on the old thread (its sets become plain), join on the new one.
 */
void server_leave(struct server *s);
void server_join(struct server *s, struct net_turn *t, const struct server_target *target, void *pool);

#endif
