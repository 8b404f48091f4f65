/* SPDX-License-Identifier: ISC */
/* One worker's sessions and what they need: made by app, one for each worker,
 * owned by that worker's thread. Other threads reach it by mail only. */
#ifndef SESSION_HALL_H
#define SESSION_HALL_H

#include "auth/hba.h"
#include "base/text.h"
#include "net/listener.h"
#include "pool/pool.h"
#include "sql/facts.h"

struct session;
struct cancel_key;
struct cancel_ask;
struct statement;
struct lookups;
struct console;
struct catalog;
struct topology;
struct watch;

/* Everything that a reload publishes, whole. Counted by its members; the struct itself is copied. */
struct hall_setup {
    struct conf *conf;
    struct secrets *secrets;
    struct hba *hba;                /* NULL unless auth_type needs rules: hba, cert, pam, ldap */
    struct tls_context *client_tls; /* NULL: no TLS for clients */
    struct tls_context *server_tls;
};
void hall_setup_hold(struct hall_setup *to, const struct hall_setup *from);
void hall_setup_drop(struct hall_setup *s);

/* Told to app: how it answers clients of the console. */
struct hall_console {
    /* SQL came from an authenticated client of the console, with the role it may use. Append the whole answer
     * (no ReadyForQuery) to console_answer() now or later, then call console_done(). */
    void (*run)(struct console *c, struct slice sql);
    /* A cancel request came while C was busy. */
    void (*cancel)(struct console *c);
    /* The client is gone: forget C. */
    void (*abandon)(struct console *c);
};

/* What only others know at a login; each has helper threads of its own. */
enum hall_outside { HALL_PAM, HALL_LDAP, HALL_NAMES, HALL_USERS, HALL_N_OUTSIDE };

struct hall {
    struct worker worker; /* first: a hall is its worker */
    struct net_turn turn;
    struct pools pools;
    struct hall_setup setup; /* held */
    struct registry *registry;
    struct helper *helper;
    struct helper *const *outside; /* by enum hall_outside */
    struct known_roles *roles;     /* NULL: none are */
    struct lookups *lookups;       /* auth_query; lives on the control thread */
    const struct hall_console *console;
    struct ring sessions, linked;            /* all; those that hold a server */
    unsigned n_sessions, n_linked, n_logins; /* n_logins: before READY */
    struct cancel_key *cancel_keys;          /* by pid and secret */
    struct ring cancels, passed_on;          /* cancel requests under way; those of them that go to peers */
    unsigned n_cancels, n_passed_on, n_cancels_dropped; /* how many; beyond CANCELS_MAX */
    struct statement *statements;                       /* interned, by id */
    struct facts_table *facts;
    struct known_text *known_texts; /* texts seen lately, before any lexer */
    struct known_startup *startups; /* start-up packets seen lately */
    uint64_t seed;                  /* of statement ids; the same in all halls */
    uint8_t mock_key[32];           /* of unknown users' salts; the same in all halls */
    struct listener **listeners;
    unsigned n_listeners;
    struct timer tick;         /* limits on time of linked sessions */
    struct topology *topology; /* held; NULL: none came yet */
    uint64_t n_views;          /* rises with every topology and configuration: pointers into them are old */
    struct worker *control;    /* where mail for app goes */
    struct watch *watch;       /* may be asked for samples; lives on the control thread */
    struct siblings *siblings; /* pools of databases that are clusters */
    struct known_catalog *catalogs;
    /* hall_set_catalog() follows on all halls; CHANGED: once more, if it did. */
    void (*want_catalog)(struct hall *h, const char *database, bool changed);
    uint64_t *routes;           /* counts, by enum route_reason */
    struct rules *rules;        /* NULL: there are none */
    struct audience *audiences; /* who listens to what */
    struct herald *heralds;     /* connections that listen for all halls */
    uint64_t *refused;          /* digests of statements that a replica refused as writes */
    struct ring held;           /* requests that no node can serve now */
    struct timer held_timer;
    int64_t held_due_us;                       /* when that is due */
    _Atomic int64_t *last_write, *last_change; /* any worker saw a write acknowledged; tables change */
    unsigned next_deal;                        /* whose turn it is to get a Unix socket client */
    bool leaving, passing;                     /* a switchover is under way in some cluster; see hall_pass() */
    bool draining, closing;                    /* no new logins; sessions end at transaction boundaries */
    struct handover *handover;                 /* NULL: nobody ever moved to or from another process */
    bool handing_over, deals; /* idle sessions go to another process; clients are dealt out to all workers */
    void (*elsewhere)(struct hall *h, const struct cancel_ask *ask); /* it fits nobody here */
    _Atomic uint64_t *next_id;
    struct pending *spare_pending; /* FIFOs of sessions that need none now */
    unsigned n_spare, random_left;
    uint8_t random[1024]; /* drawn from the kernel in one piece */
    struct text scratch;  /* for messages being built; empty between uses */
};

/* INDEX of its worker; REGISTRY, HELPER, ... are shared by all halls and outlive them. */
struct hall_shared {
    struct registry *registry;
    struct helper *helper;
    struct helper *const *outside;
    struct lookups *lookups;
    struct worker *control;
    void (*elsewhere)(struct hall *h, const struct cancel_ask *ask);
    struct watch *watch;
    void (*want_catalog)(struct hall *h, const char *database, bool changed);
    const struct hall_console *console;
    _Atomic uint64_t *next_id;
    _Atomic int64_t *last_write, *last_change;
    uint64_t seed;
    uint8_t mock_key[32];
};
void hall_init(struct hall *h, uint32_t index); /* the worker only: before the registry exists */
void hall_open(struct hall *h, const struct hall_shared *s,
               const struct hall_setup *setup);               /* before its thread starts */
void hall_listen(struct hall *h, const int *fds, unsigned n); /* FDs that listen are taken over */
/* Every session and server is closed; on the hall's thread, or after it ended. */
void hall_done(struct hall *h);
struct hall *hall_of(struct worker *w);

/* From here on: on the hall's thread. */
void hall_configure(struct hall *h, const struct hall_setup *setup);
void hall_resume(struct hall *h); /* a PAUSE may be over: who waits goes on, or its time begins */
/* A new snapshot, taken over: what is not usable any more is closed, who waited for this goes on. */
void hall_set_topology(struct hall *h, struct topology *t);
/* A switchover takes its office from NODE of CLUSTER: how many links to it are still at work for clients. */
unsigned hall_count_busy(struct hall *h, const char *cluster, const char *node);
/* Those that are left, and the idle ones. */
void hall_close_node(struct hall *h, const char *node);
/* What is known of DATABASE from now on; C is taken over. NULL: forget it, nobody looks after it any more. */
void hall_set_catalog(struct hall *h, const char *database, struct catalog *c);
/* Drain, step 1: refuse logins with 57P03, but those of the console. Step 2: close listeners (a Unix socket
 * stays open for the console), clients go with 57P01 at the end of their transactions; idle ones at once. */
void hall_refuse_logins(struct hall *h);
void hall_drain(struct hall *h);
/* End every session now, cancelling what runs. */
void hall_close_sessions(struct hall *h);
void hall_stop_listening(struct hall *h);
/* KILL: end sessions of DATABASE (empty: all) with 57P01, then its servers. */
void hall_kill(struct hall *h, struct slice database);
/* KILL_CLIENT. False: no such session here. */
bool hall_kill_client(struct hall *h, uint64_t id);

#endif
