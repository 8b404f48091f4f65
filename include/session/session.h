/* SPDX-License-Identifier: ISC */
/* One client. Its struct is public for those who show it (app's views); only room
 * session changes it. Owned by its hall's worker. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "session/hall.h"
#include "wire/startup.h"

enum session_state {
#define STATE(name, bytes, shown) SESSION_##name,
#include "session/session_states.def"
#undef STATE
    SESSION_NSTATES
};
const char *session_state_shown(enum session_state s);

enum session_extended { EXTENDED_CLEAN, EXTENDED_BATCH, EXTENDED_SKIP_TO_SYNC };
enum session_copy { COPY_NONE, COPY_IN, COPY_OUT, COPY_BOTH };

/* A cancel request as it came; HOPS: how often it may be passed on. */
struct cancel_ask {
    uint32_t pid;
    uint8_t key[STARTUP_MAX_KEY];
    unsigned len, hops;
};
#define CANCEL_HOPS 3
#define CANCELS_MAX 1000 /* under way at a time */
/* Stop what the session does that the request fits, in whichever hall; when there is none, ask elsewhere. ASKS
 * (may be NULL) is closed when that is done. */
void cancel_start(struct hall *h, const struct cancel_ask *ask, struct session *asks);

struct login;     /* only while it logs in */
struct pending;   /* what is outstanding, a FIFO */
struct names;     /* its named prepared statements */
struct set_log;   /* what this transaction set */
struct bound;     /* portals whose statement leaves something behind */
struct holds;     /* what is in doubt about the state that its server holds */
struct opening;   /* BEGIN that no server has finished yet */
struct listening; /* what it listens to */

/* Limits on time for this user, in microseconds; 0: none. */
struct session_limits {
    int64_t idle_us, query_us, transaction_us, idle_transaction_us;
};

struct session {
    struct stream client;
    struct ring in_hall, in_linked;
    struct grave grave;
    struct hall *hall;
    struct pool *pool;
    struct server *server;
    struct routing *routing; /* NULL: its database has one server */
    struct pool_waiter waiter;
    struct timer timer; /* login, waiting, idle */
    uint64_t id;
    int64_t connected_us; /* wall clock */
    int64_t since_us;     /* when it last became idle, began to wait or to work */
    int64_t request_us;   /* when the oldest outstanding request came */
    int64_t xact_us;      /* when the transaction began */
    struct cancel_key *key;
    struct login *login;
    struct console *console;
    struct credential *credential;
    char *user, *database;      /* as it said them; session_set_names() */
    char *application;          /* application_name, or NULL */
    struct params *settings;    /* name -> SQL that sets it */
    struct params *startup;     /* the same, as of its start-up packet: what RESET goes back to */
    struct params *by_sql;      /* name -> PREPARE, or NULL for none */
    struct params *told;        /* ParameterStatus values that it knows */
    struct params *told_before; /* the same when this transaction began, while linked */
    struct pending *pending;
    struct names *names;
    struct statement *unnamed;
    struct statement *next_run; /* the next Execute runs it, and is answered here */
    struct set_log *log;
    struct bound *bound;
    struct holds *holds;
    struct opening *opening;
    struct listening *listening;
    uint32_t client_left, server_left; /* bytes of a message that is streamed through */
    uint8_t state, extended, copy;
    char status;                   /* I, T, E: what the client was last told */
    uint16_t n_local, n_copy_ends; /* answers of our own, and ends of COPY, among what is outstanding */
    uint16_t n_front;              /* and what went in front of the client's */
    uint16_t pins;                 /* set of 1 << enum pin_reason */
    uint16_t noticed;              /* pins that the client was told of */
    bool rows_flowed;              /* of the request in flight */
    bool passed;                   /* see session_pass() */
    struct session_limits limits;
    bool is_unix, tls, entered, swallow_left, lost, lost_told, lost_bound, replication, direct_tls;
    bool restoring;               /* what completed brings start-up values back */
    bool explained;               /* a SET was noted since the last ReadyForQuery */
    bool unconfirmed;             /* a setting that the server reports was set; see settings_confirm() */
    bool only_reads;              /* nothing in flight can change anything */
    bool ending;                  /* COMMIT may be in flight */
    bool in_steps;                /* what is in flight may commit a part of itself */
    bool committed;               /* the request in flight has committed, and goes on */
    bool passes;                  /* the message that is streamed through: the server has its head */
    bool cut;                     /* the client has half a message: say nothing more */
    bool cancelled;               /* a cancel request found it waiting */
    bool wait_told;               /* query_wait_notify: once for each wait */
    bool moving, stays;           /* on its way between two processes; not to be handed over */
    uint8_t hello_asked;          /* set of 1 << enum startup_kind */
    bool retriable, retried;      /* a read that nobody answered yet; one that is sent for the second time */
    bool timed_out;               /* query_timeout passed: a cancel is under way */
    int64_t timed_out_us, due_us; /* when that was; when the timer looks again */
    struct fault *lost_why;       /* what a lost transaction's next statement is told */
    struct fault *parting;        /* close with this once the server is given back */
    struct fault *refusal;        /* for the request that waited too long; only while it is taken */
    uint32_t n_requests;          /* answered */
    unsigned n_new_shapes;        /* statements of it that the parser had to see, in this second */
    int64_t shapes_us;
};

/* End the session: WHY (may be NULL) is sent as FATAL and logged. On its thread; freed at the end of the turn.
 */
void session_close(struct session *s, const struct fault *why);
/* Why it holds its server: "none", a pin, "session" for session mode. */
const char *session_pin_name(const struct session *s);
unsigned session_n_prepared(const struct session *s);
/* Each named statement of S: name as the client says it, text. */
void session_each_prepared(const struct session *s,
                           void (*each)(void *owner, struct slice name, struct slice sql), void *owner);

/* ---- the console: an authenticated client of database pgweir or pgbouncer ---- */

struct console {
    struct session *session;
    bool may_admin; /* else it may only look */
    bool busy;      /* run() was called and console_done() was not */
    bool compat;    /* the client said database pgbouncer */
    bool simple;    /* what runs came by the simple protocol */
    struct text answer;
    void *job; /* app's own */
};
/* Where run() writes messages: RowDescription, DataRow, CommandComplete, ErrorResponse, NoticeResponse. */
struct text *console_answer(struct console *c);
/* Send messages of the answer ahead of it, as stream_send_fd(). */
size_t console_send(struct console *c, struct slice bytes, int fd);
/* The answer is complete. On the session's thread. */
void console_done(struct console *c);
/* The answer ends the conversation (SHUTDOWN): the client is closed without one. */
void console_hang_up(struct console *c);

#endif
