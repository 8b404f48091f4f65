/* SPDX-License-Identifier: ISC */
/* Lending servers: one pool for each (database, user) on each worker, one limit
 * over all workers, clients served in the order in which they came.
 *
 * Borrowing and giving back on one worker takes no lock and no system call. A worker
 * that has waiters and no servers shows it in its slot (pool/shared.h); whoever gets
 * a server free sends it to the client that has waited longest. Owned by one worker. */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <uthash.h>

#include "conf/conf.h"
#include "pool/shared.h"
#include "pool/welcome.h"
#include "server/server.h"

/* A client that wants a server. Embedded in it. */
struct pool_waiter {
    struct ring in_queue;
    int64_t since_us; /* 0: does not wait */
    void (*on_server)(struct pool_waiter *w, struct server *s);
    /* An attempt to connect failed. The waiter may stay in the queue or leave it. */
    void (*on_trouble)(struct pool_waiter *w, const struct fault *why);
};

/* Counters of one database on one worker. Times in microseconds. */
struct pool_stats {
    int64_t server_assignments, xacts, queries, received, sent, xact_us, query_us, wait_us;
    int64_t client_parses, server_parses, binds, logins;
};

/* One database on one worker; lives as long as the worker. */
struct pool_database {
    char *name;
    struct pool_stats stats;                  /* since the start */
    struct pool_stats window_from, window_to; /* the same at both ends of the last full stats_period */
    struct pool_database *next;
};

/* What the configuration says for this pool. */
struct pool_conf {
    int mode; /* enum conf_pool_mode */
    int on_session_state;
    struct pool_limits limits;
    int64_t min_size, reserve_size;
    int64_t lifetime_us, query_wait_us;
};

struct pools;
struct pool {
    UT_hash_handle hh; /* by database and user */
    struct pools *pools;
    struct pool *next;
    struct pool_shared *shared;
    struct pool_slot *slot;
    struct pool_database *database;
    char *name, *user;           /* as clients say them; the user that servers log in as */
    char *node;                  /* of its cluster; NULL: the database has one server */
    bool forced_user, sequences; /* sequences: some session asked for lastval() in a later transaction */
    bool yielded;                /* a server is being given up for another pool */
    struct pool_conf conf;
    struct server_target target;
    struct ring idle, used, connecting, leaving,
        waiters;        /* used: lent or being cleaned; leaving: farewell said */
    struct ring claims; /* replication clients for whom there is no room yet */
    unsigned n_idle, n_used, n_connecting, n_leaving, n_waiters, n_sessions;
    unsigned n_holders;                         /* besides sessions: who keeps a pointer to it */
    unsigned host_turn;                         /* of the hosts in its target */
    unsigned n_asking;                          /* questions to other workers under way */
    unsigned generation, epoch, flags, n_moves; /* of the registry and its names, when last looked at */
    struct timer retry;
    struct pool_welcome welcome[POOL_WELCOMES];
    unsigned n_welcomes;
    struct pool_greeting greeting[POOL_GREETINGS]; /* by address of the settings; the newest of two stays */
    int64_t evict_asked_us, resumed_us;            /* the latter: when a pause ended */
    int64_t empty_us, vacate_us; /* since when nobody uses it; 0: somebody does. vacate_us: pool/vacate.h */
    int64_t suspect_us;          /* a server died then: those idle since before are checked before use */
};

/* What a worker needs to run pools. */
struct pools {
    struct net_turn *turn;
    struct registry *registry;
    struct helper *helper;
    struct params_table *sets;
    struct conf *conf;       /* held */
    struct secrets *secrets; /* held */
    struct tls_context *tls; /* held; towards servers */
    struct tcp_options tcp;
    struct pool *first, *by_key;
    struct pool_database *databases;
    struct ring cancels;
    struct timer janitor, window;
    int64_t janitor_due_us;
    bool ending;                          /* nobody opens a server any more */
    void (*on_suspect)(struct pool *p);   /* a server of a node died, or could not be reached; may be NULL */
    const struct server_checker *checker; /* of servers of nodes; may be NULL */
    struct pools *(*of_worker)(struct worker *w); /* the pools of a worker, on its own thread */
    _Atomic uint64_t *next_id;                    /* one sequence for sessions and servers of all workers */
};

void pools_init(struct pools *p, struct net_turn *t, struct registry *r, struct helper *h);
/* Closes every server. No session may be left. */
void pools_done(struct pools *p);
/* New configuration: servers that it does not fit any more go as they become idle. Holds all three. */
void pools_configure(struct pools *p, struct conf *conf, struct secrets *secrets, struct tls_context *tls);
/* Which pool. */
struct pool_wanted {
    const struct conf_database *database; /* a line of the configuration */
    struct slice name, user;              /* what the client said */
    struct credential *credential;        /* the client's own; may be NULL */
    const struct conf_node *node;         /* NULL: the database has one server */
};
struct pool *pools_find(struct pools *p, const struct pool_wanted *want); /* made when new */
/* A node is gone, or may not be written to any more: every link to it ends. */
void pools_close_node(struct pools *p, const char *node, const struct fault *why);
/* No new work for a node: idle servers go, those in use as they come back. */
void pools_drain_node(struct pools *p, const char *node);
/* Pools with a forced user and min_pool_size are opened before any client comes. */
void pools_open_minimum(struct pools *p);
struct pool_database *pools_database(struct pools *p, struct slice name);
/* Close idle servers of DATABASE (empty: all), and used ones too when ALL. */
void pools_close_servers(struct pools *p, struct slice database, bool all);

void pool_leave(struct pool *p); /* a session of P's is gone */
void pool_hold(struct pool *p);  /* it is not forgotten, though it may have no session */
void pool_drop(struct pool *p);  /* NULL is fine */

/* No server is idle here, or others wait: who asks now will wait. */
static inline bool
pool_would_wait(const struct pool *p)
{
    return p->n_idle == 0 || p->n_waiters > 0;
}
void pool_prefer(struct pool *p, struct server *s); /* S, which is idle, is lent next */
/* A server now (lent with the borrower's table by the caller), or NULL: W is in the queue. */
struct server *pool_borrow(struct pool *p, struct pool_waiter *w);
/* A server of its own for a replication client, when there is room: MODE is the start-up parameter, which
 * stays, STARTUP the others. on_server or on_trouble follows; pool_forget_replication() when W goes first. */
void pool_open_replication(struct pool *p, struct pool_waiter *w, struct slice mode, struct params *startup);
void pool_forget_replication(struct pool *p, struct pool_waiter *w);
void pool_stop_waiting(struct pool *p, struct pool_waiter *w); /* fine when W is not in the queue */
/* S is lent, status I, nothing outstanding. RESET: run the reset query first. */
void pool_give_back(struct server *s, bool reset);
/* The waiting clients may get somewhere now (a limit, a pause or a failure ended). */
void pool_retry(struct pool *p);
/* No server can be reached now: failures in a row, and none is alive on this worker. */
bool pool_is_down(const struct pool *p);
#endif
