/* SPDX-License-Identifier: ISC */
/* What the files of room session share. */
#ifndef SESSION_SESSION_PRIVATE_H
#define SESSION_SESSION_PRIVATE_H

#include "base/mem.h"
#include "session/session.h"
#include "wire/error.h"
#include "wire/message.h"
#include "wire/writer.h"

/* ---- pending.c: one entry for each reply that is expected, oldest first ---- */

#define KEPT_MAX (64 * 1024) /* what a client may send while it waits */

enum pending_kind {
    PENDING_QUERY, /* 'Q': any replies, then ReadyForQuery */
    PENDING_CALL,  /* 'F': the same */
    PENDING_SYNC,  /* ReadyForQuery */
    PENDING_PARSE, /* one reply each */
    PENDING_BIND,
    PENDING_DESCRIBE,
    PENDING_CLOSE,
    PENDING_EXECUTE,
    PENDING_COPY_END, /* LOCAL, without an answer: CopyDone or CopyFail, perhaps of no COPY */
    PENDING_REFUSAL,  /* LOCAL: an error of ours; with READY, ReadyForQuery after it */
    PENDING_ANSWER,   /* LOCAL: an answer of ours; with READY, ReadyForQuery after it */
};
enum pending_flags {
    PENDING_OURS = 1,      /* the client knows nothing of it: swallow the reply */
    PENDING_LOCAL = 2,     /* no server was asked: we answer when its turn comes */
    PENDING_DUPLICATE = 4, /* Parse of a name in use: it must fail, under the client's name */
    PENDING_REPLAY = 8,    /* OURS: settings for this session */
    PENDING_READY = 16,    /* REFUSAL, ANSWER: of a simple query */
    PENDING_HOLDS = 32,    /* OURS: what the server still holds */
    PENDING_OPENING = 64, /* OURS: begins the transaction that the client believes to be in; or what its request
                             names */
    PENDING_STALE = 128,  /* DUPLICATE: the error says that the plan is out of date */
    PENDING_RESTORES = 512, /* a reset: start-up values follow it, in the same QUERY or in an EXECUTE of ours */
    PENDING_UNNAMED = 1024, /* PARSE, CLOSE of the client: STATEMENT is what the unnamed one was before */
    PENDING_NAMED = 2048,   /* CLOSE of the client: REMOVED is what had the name */
    PENDING_BEHIND = 4096,  /* PARSE, OURS: skipped when something before it fails; later batches are not */
    PENDING_BY_SQL = 256,   /* OURS: PREPARE number n_done of the session's; or what makes room for them */
};
#define PENDING_FRONT (PENDING_REPLAY | PENDING_OPENING) /* when it fails, what is behind it does not run */
struct pending_entry {
    uint8_t kind;
    uint8_t n_copies; /* QUERY, EXECUTE: COPY from the client that it began */
    uint16_t flags;
    uint16_t n_done;           /* QUERY: statements completed; EXECUTE of FRONT: those to come */
    uint16_t n_kept;           /* of what ends a request: its bytes that the server's REQUEST has */
    const struct facts *facts; /* held, or NULL: QUERY, EXECUTE */
    union {
        struct statement *statement; /* held, or NULL: PARSE; BIND and DESCRIBE of a named one; UNNAMED */
        struct name *removed;        /* owned, or NULL: NAMED */
        char *name;                  /* owned: PARSE that is DUPLICATE and not STALE; the client's name */
        struct statement_id *closed; /* owned: CLOSE that is OURS */
        struct fault *refusal;       /* owned: REFUSAL */
        struct text *answer;         /* owned: ANSWER */
    };
};
struct pending_entry *pending_push(struct session *s, enum pending_kind kind, unsigned flags);
/* PARSE or CLOSE: the session's unnamed statement is ST (held for it) or none, should the server look at it. */
void pending_push_unnamed(struct session *s, enum pending_kind kind, unsigned flags, struct statement *st);
struct pending_entry *pending_head(const struct session *s);
void pending_pop(struct session *s);
bool pending_is_empty(const struct session *s);
unsigned pending_count(const struct session *s);
/* Entry I from the oldest. */
struct pending_entry *pending_at(const struct session *s, unsigned i);
static inline bool
pending_ends_request(const struct pending_entry *e)
{
    return e->kind == PENDING_QUERY || e->kind == PENDING_SYNC || e->kind == PENDING_CALL;
}
void pending_done(struct session *s);
/* Answer LOCAL entries at the head. */
void pending_answer_head(struct session *s);
static inline void
pending_answer_local(struct session *s)
{
    if (s->n_local > 0)
        pending_answer_head(s);
}
/* BEHIND or 0, for a Parse of ours that is sent now. */
unsigned pending_behind(const struct session *s);
/* The Parse of ST on its way is BEHIND, and of an earlier batch: what is sent now may not find it. */
bool pending_may_lack(const struct session *s, const struct statement *st);
/* An error: everything up to the next SYNC (which stays) is not answered any more. False: there is no SYNC yet.
 */
bool pending_skip_to_sync(struct session *s);
/* The server awaits data for the head. True: the client has not sent their end yet. */
bool pending_begin_copy(struct session *s);
/* The COPY from the client of the head, which is to go, ended: what was sent while it ran was not looked at. */
void pending_skip_copy(struct session *s);
/* The server is lost: names that what is outstanding was about to define are not defined. */
void pending_undo_names(struct session *s);
void pending_free_spare(struct hall *h);

/* ---- statements.c: prepared statements, interned per hall ---- */

struct statement {
    struct statement_id id;
    unsigned refs;
    uint32_t sql_len, len;     /* bytes: text without its NUL; text with NUL, then the type count and types */
    const struct facts *facts; /* held */
    struct hall *hall;
    const uint8_t *bytes; /* in the same block of memory */
    uint8_t name_len;
    char name[STATEMENT_NAME]; /* as servers know it */
    uint64_t shape;            /* hash of the columns that it gives; 0: nobody was told */
    int64_t shape_us;          /* when they were not older than that */
    int64_t asked_us;          /* when we asked for them */
    int64_t reshaped_us;       /* the last change before they were found to be others */
};
/* What a server's unnamed statement is when it is none of a session's: it is closed, or replaced, before use.
 */
#define STATEMENT_STRANGE ((struct statement_id){ 0, UINT64_MAX })
struct statement *
statement_intern(struct session *s, struct slice sql, struct slice types, bool may_parse, bool *parsed);
struct statement *statement_hold(struct statement *st);
void statement_drop(struct statement *st); /* NULL is fine */
static inline struct slice
statement_sql(const struct statement *st)
{
    return slice_of(st->bytes, st->sql_len);
}
/* Append Parse with the name that servers know it by; or for the unnamed statement. */
void statement_put_parse(struct text *t, const struct statement *st, bool named);
void statement_put_parse_as(struct text *t, const struct statement *st, struct slice name);
struct statement *prepared_names_find(const struct session *s, struct slice name);
/* The same; *SINCE: a plan must be younger to serve it. */
struct statement *prepared_names_look(const struct session *s, struct slice name, int64_t *since);
void
prepared_names_add(struct session *s, struct slice name, struct statement *st); /* NAME must be new; holds ST */
/* The client is told that its plan of ST is out of date: the next use makes a new one. */
void prepared_names_renew(struct session *s, const struct statement *st);
void prepared_names_remove(struct session *s, struct slice name);
/* The same, for a Close that may not be looked at: NULL, or what prepared_names_restore() or _forget() takes.
 */
struct name *prepared_names_take(struct session *s, struct slice name);
void prepared_names_restore(struct session *s, struct name *n);
void prepared_names_forget(struct name *n);
/* The newest name of ST, or NULL. */
const char *prepared_names_of(const struct session *s, const struct statement *st);
/* Undo prepared_names_add() of ST after its Parse failed: the newest name with it. */
void prepared_names_undo(struct session *s, const struct statement *st);
void prepared_names_clear(struct session *s);
/* The request under way was lost with its server: what it defined and was told is in doubt. */
void prepared_names_doubt(struct session *s);
/* May NAME be defined? One that is in doubt is forgotten for it. */
bool prepared_names_is_free(struct session *s, struct slice name);
unsigned prepared_names_count(const struct session *s);
typedef void prepared_each(void *owner, struct slice name, const struct statement *st, bool doubtful);
void prepared_names_each(const struct session *s, prepared_each *each,
                         void *owner); /* in the order of their making */

/* ---- changes.c: tables change under prepared statements ---- */

#define STALE_PLAN "cached plan must not change result type" /* PostgreSQL's words */
void changes_say_stale(struct session *s);                   /* to the client */
int64_t changes_last(const struct session *s);               /* when that was last seen */
bool changes_is_one(struct slice tag);                       /* a command that completes so changes tables */
/* Statement N of F (NULL: unknown) completed with TAG. */
void changes_completed(struct session *s, const struct facts *f, unsigned n, struct slice tag);
void changes_ended(struct session *s); /* the transaction of the server */
/* The server SAID an error in answer to E: perhaps that a plan is out of date. */
void changes_stale(struct session *s, const struct pending_entry *e, const struct wire_error *said);
/* The answer to E, a Describe, is of this TYPE and has this BODY: what its statement gives now. */
void changes_described(struct session *s, const struct pending_entry *e, uint8_t type, struct slice body);
/* Before a Bind of ST by a client that parsed it when SINCE was the last change. */
enum change_seen {
    CHANGE_NONE,    /* it still gives what the client may believe */
    CHANGE_UNKNOWN, /* the server must say */
    CHANGE_SEEN     /* the client must hear of it */
} changes_seen(const struct session *s, const struct statement *st, int64_t since);

/* ---- settings.c, set_log.c, reports.c ---- */

/* Append S as a string constant that reads the same under every setting. */
void settings_add_literal(struct text *t, struct slice s);
/* The SQL that sets NAME to VALUE, of the worker's table. */
struct params *settings_with(struct params *set, struct slice name, struct slice value);
/* REPORTS (taken over) with the application name that this client started with. */
struct params *settings_own_reports(const struct session *s, struct params *reports);
/* F, one statement, resets what the session has a start-up value for, as the server has not. */
bool settings_restores(const struct session *s, const struct facts *f);
/* PUT the SQL that brings those values back; how many statements. */
typedef void settings_put(struct text *t, struct slice sql);
unsigned settings_restore(const struct session *s, const struct facts *f, settings_put *put, struct text *t);
/* The SQL that sets NAME to what is in force, in this transaction; empty: the session did not set it. */
struct slice settings_current(const struct session *s, struct slice name);
struct slice settings_role(const struct session *s);
/* A statement completed: note what it set. */
void settings_note(struct session *s, const struct effect *e);
void settings_commit(struct session *s);   /* what was noted is lasting */
void settings_rollback(struct session *s); /* it never happened */
/* The transaction is over, and all reports are here: settings that were set and are reported are what the
 * server says they are, as SET DateStyle = YMD leaves the style what it was. */
void settings_confirm(struct session *s);
/* Tell the client what the server reports and it does not know. */
void settings_tell(struct session *s);
/* The server reported a value that no SET explains (a function set it): it becomes a setting of the session. */
void settings_adopt(struct session *s, struct slice report);
/* The same when the transaction is over, of what a SET of something else beside it has hidden. */
void settings_catch_up(struct session *s);
/* Start-up values and effects of DISCARD ALL. */
void settings_discard(struct session *s);
/* A channel that this transaction listens to, if any. */
struct slice settings_listens_to(const struct session *s);
void settings_done(struct session *s);

/* ---- under.c: settings and roles ---- */
bool settings_is_role(struct slice name);
/* The settings of the session's server may have got a role: it is that of now. */
void under_note_role(struct session *s);
/* Roles may have changed since its server got one: a dropped one that was made again is another. */
bool under_is_old(const struct session *s);
/* REPLAY of the setting NAME; T gets it with the SQL of the ROLE (may be empty) when it may need that. */
struct slice settings_mark(struct slice role, struct slice name, struct slice replay, struct text *t);
/* The SQL in what settings_mark() gave; *ROLE: that of the role that it is to be run under; empty: of any. */
struct slice settings_under(struct slice replay, struct slice *role);
/* settings_with(), under the role that is in SET. */
struct params *settings_with_found(struct params *set, struct slice name, struct slice value);

/* ---- pin.c ---- */
void pin_note(struct session *s, const struct effect *e);     /* a statement completed */
void pin_note_end(struct session *s, const struct effect *e); /* the same; the state is gone */
void pin_set(struct session *s, enum pin_reason reason);
/* False: the statement must not run (on_session_state = error); WHY says so. */
bool pin_may_run(struct session *s, const struct facts *f, struct fault *why);
bool session_is_pinned(const struct session *s);

/* ---- holds.c: what the server holds for the session is asked from it, when the transaction is over ---- */
/* The state that pins for REASON may be gone. */
void holds_may_have_ended(struct session *s, enum pin_reason reason);
/* Nobody knows what the statement did. */
void holds_may_have_begun(struct session *s);
/* The statement failed, perhaps after it had taken an advisory lock. */
void holds_may_have_locked(struct session *s);
/* The setting NAME has a value that only the server knows. */
void holds_setting(struct session *s, struct slice name);
/* The server reported NAME, and no SET says why: a function, or its configuration was loaded again. */
void holds_reported(struct session *s, struct slice name);
/* Is it asked at all? */
bool holds_asks(const struct session *s);
bool holds_doubts(const struct session *s, enum pin_reason reason);
/* Ask: the server is idle, and nothing is outstanding. */
void holds_ask(struct session *s);
void holds_row(struct session *s, struct slice body);
void holds_failed(struct session *s);
void holds_done(struct session *s);
void holds_forget(struct session *s);

/* ---- listen.c: LISTEN, virtual but in session mode ---- */
enum listen { LISTEN_MAY, LISTEN_WAITS, LISTEN_MAY_NOT };
/* A statement with these facts (NULL: unknown) is to go out. WAITS: it is looked at again when it may; MAY_NOT:
 * WHY says why. */
enum listen listen_prepare(struct session *s, const struct facts *f, struct fault *why);
void listen_add(struct session *s, struct slice name);    /* its LISTEN is committed */
void listen_remove(struct session *s, struct slice name); /* empty: all */
void listen_done(struct session *s);
/* What S, which listens, has notified comes before it is told that its transaction is over, as in PostgreSQL:
 * that is told later. */
bool listen_holds_ready(struct session *s);
bool listen_owes_ready(const struct session *s);
/* Its server is to be given back, but what S has notified there is not heard yet: later. */
bool listen_keeps_server(struct session *s);
void listen_unlink(struct session *s);        /* it loses its server */
bool listen_is_used(const struct session *s); /* it listens to something */
bool listen_is_to(const struct session *s, struct slice name);
/* The client is about to be told that its transaction is over: it gets what waited for that. */
void listen_settle(struct session *s);

/* ---- sql_prepared.c: statements made by PREPARE ---- */
/* Before a transaction begins: the server has those of the session, which has some. */
void sql_prepared_bring(struct session *s);
/* Before a statement with these facts is sent: it may name what the session has not, or has by protocol. */
void sql_prepared_named(struct session *s, const struct facts *f);
static inline void
sql_prepared_check(struct session *s, const struct facts *f)
{
    if (s->server->by_sql != NULL || (f != NULL && f->names_statements))
        sql_prepared_named(s, f);
}
/* The protocol is about to name a statement that it did not make: another session's must not be there. */
void sql_prepared_hide(struct session *s);
void sql_prepared_note(struct session *s, const struct effect *e); /* PREPARE or DEALLOCATE completed */
void sql_prepared_failed(struct session *s, unsigned i, struct slice error); /* the body of it */
/* E executes such a statement, which the server SAID is not there: the client is told why. False: it is not. */
bool sql_prepared_say_failed(struct session *s, const struct pending_entry *e, const struct wire_error *said);
/* How many of the server's statements were made by PREPARE, as far as is known. */
unsigned sql_prepared_there(const struct session *s);
bool sql_prepared_has(const struct session *s, struct slice name);
void sql_prepared_forget(struct session *s, struct slice name);
void sql_prepared_clear(struct session *s);

/* ---- sequences.c: what currval() and lastval() know ---- */
/* Before a server is borrowed for a statement with these facts. */
void sequences_prefer(struct session *s, const struct facts *f);
/* Before it is sent, when nothing of its request was. */
void sequences_asked(struct session *s, const struct facts *f);
static inline void
sequences_check(struct session *s, const struct facts *f)
{
    if (f != NULL && !f->plain)
        sequences_asked(s, f);
}
/* It is sent. */
void sequences_note(struct session *s, const struct facts *f);

/* ---- vacate.c: databases that are to be left ---- */
/* A statement with these facts is sent. */
void vacate_note(struct session *s, const struct facts *f);

/* ---- known.c: facts of texts that were seen lately, by a hash of the whole text ---- */
void known_open(struct hall *h);
void known_close(struct hall *h);
/* Held for the caller, or NULL. *KEY is for known_add(). */
const struct facts *known_find(struct hall *h, struct slice sql, uint64_t *key);
void known_add(struct hall *h, uint64_t key, const struct facts *f);
/* Start-up settings and application name of a packet with the same WORDS; false: none is known. */
bool known_startup_take(struct session *s, struct slice words);
void known_startup_add(struct session *s, struct slice words);
void known_forget_startups(struct hall *h);

/* ---- take.c, query.c, extended.c: messages of clients ---- */

enum take { TAKE_MORE, TAKE_DONE, TAKE_WAIT, TAKE_CLOSED };
struct taken {
    struct wire_frame frame;
    struct slice bytes; /* of the message, header included: what is here of it */
    struct slice body;  /* the same without header */
    struct slice ahead; /* what is here from this message on */
    bool whole;
};
size_t take_bytes(struct session *s, struct slice bytes);
/* Replies came, or will not: a client that was not read because of them is read again. */
void take_resume(struct session *s);
enum take take_query(struct session *s, const struct taken *m);
enum take take_call(struct session *s, const struct taken *m);
enum take take_parse(struct session *s, const struct taken *m);
enum take take_bind(struct session *s, const struct taken *m);
enum take take_describe(struct session *s, const struct taken *m);
enum take take_execute(struct session *s, const struct taken *m);
enum take take_close(struct session *s, const struct taken *m);
enum take take_sync(struct session *s, const struct taken *m);
enum take take_flush(struct session *s, const struct taken *m);
enum take take_copy(struct session *s, const struct taken *m);
/* Send M on as it is, the part that is not here yet too. */
void take_forward(struct session *s, const struct taken *m);
/* Facts of SQL, within this session's allowance of new shapes. */
const struct facts *take_facts(struct session *s, struct slice sql);
bool take_may_parse(struct session *s, struct slice sql);
/* A statement with these facts (NULL: unknown) goes out: may it end the transaction? */
void take_note_ending(struct session *s, const struct facts *f);
/* False with WHY: F begins a block, and pool_mode is statement. */
bool take_may_begin(const struct session *s, const struct facts *f, struct fault *why);
/* An error of ours in answer to the extended protocol: skip to Sync. */
void take_refuse(struct session *s, const struct fault *why, bool extended);

/* bound.c: PORTAL runs what has the facts F; NULL: nobody knows. */
void bound_set(struct session *s, struct slice portal, const struct facts *f);
/* Held; NULL: it leaves nothing behind, or nobody knows. */
const struct facts *bound_facts(const struct session *s, struct slice portal);
void bound_clear(struct session *s); /* portals end with their transaction */

/* here.c: ST has the name NAME from now on, and no server knows. False: it cannot be. */
bool parse_here(struct session *s, struct slice name, struct statement *st);
/* ST is what the next Execute runs. Always true. */
bool bind_here(struct session *s, struct statement *st);

/* batch.c: AHEAD starts with a Bind, and Execute of its portal follows it, at most with Describe in between. */
bool ahead_runs(struct slice ahead, struct slice portal, bool may_have_values);

/* ---- link.c: having a server ---- */

bool link_find(struct session *s);
/* A linked server that will do for the request. False: the session waits, or is gone. */
static inline bool
link_need(struct session *s)
{
    return (s->server != NULL && s->routing == NULL) || link_find(s);
}
/* SQL, which takes a server, waits for one: it is looked at when it can run. */
bool link_waits(struct session *s, struct slice sql);
/* Give the server back when nothing keeps it. */
void link_try_give_back(struct session *s);
/* The client goes: what becomes of its server. */
void link_drop(struct session *s);
/* Messages of our own; T is empty afterwards. */
void link_put(struct session *s, struct text *t);
/* The server is to forget the statement NAME; fine when it has none. What is outstanding for it. */
struct pending_entry *link_put_close(struct session *s, struct slice name, unsigned flags);
/* The Query in T is our own. It ends the server's unnamed statement, as any does. */
void link_put_query(struct session *s, struct text *t, unsigned flags);
/* Between transactions: close when the session is to go. */
void link_part(struct session *s);
/* Nothing is outstanding in either direction. */
bool link_is_quiet(const struct session *s);
void link_stop_waiting(struct session *s); /* fine when it does not wait */
extern const struct server_borrower link_borrower;
void
link_lose(struct session *s); /* its server died: it has none any more; outstanding replies are forgotten */
/* The first request since the session was quiet. */
void link_begin(struct session *s);
/* A server of its own for a replication client; welcome_server() or welcome_trouble() follows. */
void link_open_replication(struct session *s, struct slice mode);

/* ---- front.c: what goes out in front of a client's request ---- */

/* Append Parse, Bind and Execute of SQL. */
void front_put(struct text *t, struct slice sql);
/* Send MESSAGES, N such statements; FLAGS may be 0: behind what the client sent. */
void front_send(struct session *s, struct slice messages, unsigned n, unsigned flags);
/* Append what brings the linked server, which is between transactions, to the session's settings: how many
 * statements. */
unsigned front_put_settings(struct session *s, struct text *t);
bool front_settings(struct session *s); /* send that; false: nothing to do */
/* Reports NOW (held by the caller) but for what will be sent before the next statement: that is what was told.
 */
struct params *front_without_unsettled(const struct session *s, struct params *now);
/* The server reported application_name, as was expected. */
void front_reported(struct session *s);
/* It has answered and did not: the request set it to what it was before. */
void front_ended(struct session *s);
/* It is not confirmed, and nothing more may go out before it is. */
bool front_holds_back(const struct session *s);

/* ---- opening.c: a BEGIN that is kept until a statement needs a server ---- */

/* The client is in a transaction, on its server or as soon as that has read what is on its way. */
bool session_in_block(const struct session *s);
/* Each is true when it answered the message. ST may be NULL. */
bool opening_query(struct session *s, const struct facts *f, struct slice sql);
bool opening_parse(struct session *s, struct slice name, struct statement *st);
bool opening_bind(struct session *s, const struct taken *m, struct slice portal, struct statement *st);
bool opening_describe(struct session *s, uint8_t what, const struct statement *st);
bool opening_execute(struct session *s);
/* No is sure: opening_query() would not take SQL. */
bool opening_may_be(const struct session *s, struct slice sql);
/* There is one, and the server is to get the first request of its block next. */
void opening_send(struct session *s);
void opening_confirm(struct session *s); /* it is done */
void opening_again(struct session *s);   /* the request is sent to another server: that begins it, too */
void opening_unlink(struct session *s);  /* the server is gone, and with it what it began */
void opening_end(struct session *s);
/* The first request of the block was refused here: the block failed. Fine without an opening. */
void opening_fail(struct session *s);

/* ---- retry.c: a read that nobody answered is sent once more ---- */
void retry_begin(struct session *s);
void retry_note(struct session *s,
                const struct facts *f); /* a statement with these facts (NULL: unknown) is part of it */
void retry_keep(struct session *s, const struct taken *m);
void retry_answered(struct session *s, size_t n); /* the first N bytes of what was kept */
/* What is outstanding can be sent once more: it is here as a whole, and the client has no data of it. */
bool retry_may_start(const struct session *s);
bool retry_start(struct session *s);     /* the server died; false: not possible */
void retry_elsewhere(struct session *s); /* a replica refused it, and is quiet again */

/* ---- relay.c: messages of servers ---- */
size_t relay_bytes(struct session *s, struct slice bytes);

/* ---- lost.c: the server died in a transaction ---- */
void lost_server(struct session *s, const struct fault *why);
/* S is closed because of WHY: if what it waits for may have happened all the same, WHY says that instead. */
void lost_doubt(const struct session *s, struct fault *why);
/* The server refused to begin the transaction: it is lost before anything ran in it. */
void lost_opening(struct session *s, const struct fault *why);
/* A message of the client while its transaction is lost. */
enum take lost_take(struct session *s, const struct taken *m);

/* ---- hello.c, login.c, proof.c, welcome.c ---- */
size_t hello_bytes(struct session *s, struct slice bytes);
void hello_secured(struct session *s);
void hello_direct_tls(struct session *s);
bool login_begin(struct session *s, const struct startup *packet);
size_t login_bytes(struct session *s, struct slice bytes);
void login_free(struct session *s);
void welcome_start(struct session *s);
void welcome_server(struct session *s);
void welcome_trouble(struct session *s, const struct fault *why);
bool welcome_is_final(const struct fault *why);                /* another attempt would end the same */
void welcome_lost(struct session *s, const struct fault *why); /* its server died before it was told anything */
void welcome_replayed(struct session *s, const struct fault *why);

/* ---- roles.c ---- */
void roles_forget(struct hall *h);

/* ---- cancel.c ---- */
/* PID: that the client is to know as its server's; 0: a number of ours. */
void cancel_register(struct session *s, uint16_t minor, uint32_t pid);
void cancel_unregister(struct session *s);
void cancel_put_key(const struct session *s, struct text *t);
/* The key that the client has, and the same in another process. */
struct slice cancel_key_of(const struct session *s, uint32_t *pid);
void cancel_forget_client(struct session *s); /* that asked for a cancel, and is gone */
unsigned cancel_peer(uint32_t pid);           /* whose key begins with PID */
void cancel_restore(struct session *s, uint32_t pid, struct slice key);
/* False, and that is counted: N requests are under way already. */
bool cancel_has_room(struct hall *h, unsigned n);
void cancel_done(struct hall *h);

/* ---- handover.c, arrival.c ---- */
bool handover_note(struct session *s); /* it is idle: it goes, when it can (else false) */
/* Nothing is outstanding, half read or unsent. */
bool handover_is_idle(const struct session *s);
/* At the end of the turn: at those who wait, and those who may be let go. */
void handover_look_soon(struct hall *h);
/* It came with P, and may be kept here; else it is gone with this. */
struct parcel;
void handover_arrived(struct session *s, struct parcel *p, bool fine);
void handover_done(struct hall *h);

/* ---- passing.c ---- */
/* S, which was passed, ends here: its server, if it has one, hears nothing of that. */
void passing_part(struct session *s);

/* ---- console.c ---- */
void console_start(struct session *s);
size_t console_bytes(struct session *s, struct slice bytes);
void console_end(struct session *s);
bool console_is_name(struct slice database);

/* ---- timeouts.c ---- */
void timeouts_resolve(struct session *s); /* limits of its user, after login and reload */
void timeouts_query_fault(const struct session *s, struct fault *why); /* query_timeout has passed */
void timeouts_arm(struct session *s);                                  /* login, waiting, idle */
void timeouts_on_timer(struct timer *t);
void timeouts_on_tick(struct timer *t);
void timeouts_linked(struct hall *h); /* some session holds a server: keep ticking */

/* ---- audience.c, heralds.c ---- */
void audience_done(struct hall *h);
void heralds_done(struct hall *h);

/* ---- hall.c ---- */
/* Random bytes fit for keys, without a system call for each login. LEN <= 256. */
void hall_random(struct hall *h, void *out, size_t len);

/* ---- compat.c ---- */
/* WHY, or with compat = pgbouncer THEIRS with PgBouncer's SQLSTATE and text of it. */
const struct fault *compat_fault(const struct session *s, const struct fault *why, struct fault *theirs);
/* PgBouncer closes a client that is refused with WHY. */
bool compat_ends_client(const struct session *s, const struct fault *why);
/* Who a line of the log is about: client=cID, or as PgBouncer says it. */
#define COMPAT_WHO 340
const char *compat_who(const struct session *s, char out[COMPAT_WHO]);

/* ---- session.c ---- */
struct session *session_new(struct hall *h, int fd, bool is_unix);
void session_move_to(struct session *s, enum session_state next);
void session_say(struct session *s, enum wire_severity severity, const struct fault *why);
/* Who it is: one piece of memory, which is its user's. */
void session_set_names(struct session *s, struct slice user, struct slice database);
void session_send(struct session *s, const struct text *t);
struct text *session_scratch(struct session *s);
bool session_protocol_error(struct session *s, const char *what); /* always false; the session is closed */

static inline int64_t
session_now(const struct session *s)
{
    return s->hall->worker.now_us;
}

#endif
