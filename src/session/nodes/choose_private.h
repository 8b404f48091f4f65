/* SPDX-License-Identifier: ISC */
/* Where the requests of a session go whose database is a cluster of nodes; other sessions have no routing, and
 * most of these must not be called for them. On the session's thread. */
#ifndef SESSION_CHOOSE_PRIVATE_H
#define SESSION_CHOOSE_PRIVATE_H

#include "catalog/catalog.h"
#include "route/wish.h"
#include "session/rules.h"
#include "session_private.h"

#define MOST_NODES 32 /* of a cluster that are used */

/* The pools of one (database, user), one for each node, on this worker; made when first used, and gone with the
 * last session. */
struct siblings {
    struct siblings *next;
    unsigned n_sessions;
    char *database, *user;
    struct pool *at[MOST_NODES];   /* held; NULL: not needed yet */
    struct known_catalog *catalog; /* of DATABASE; NULL: not looked for yet */
    const struct cluster *cluster; /* what choose_cluster() found when the hall's n_views was SEEN */
    uint64_t seen;
    uint64_t chance; /* where chance stands */
    unsigned turn;   /* round robin */
};

struct routing {
    struct session *session;
    struct siblings *siblings;
    struct route_token token;
    struct route_wishes wishes;
    struct params *wishes_of; /* the settings they were read from; held, or NULL */
    bool wishes_known;        /* false: they are to be read again */
    struct ring in_held;
    int64_t looked_us;       /* when that was found last */
    int64_t held_us;         /* since when this request finds no node; 0: it does */
    int64_t failed_us;       /* since when servers could not be had for it; 0: none failed */
    int64_t behind_us;       /* since when it waits for a replica to catch up; 0: it does not */
    int64_t wait_us;         /* for how long at most it goes on to do so */
    int64_t rest_us;         /* until then it does not wait for what it has seen */
    struct pool *seen_in;    /* of the node of token.seen_us; held, or NULL */
    const struct pool *last; /* that served it, and why */
    struct pool *avoid;      /* failed under this request; held, or NULL */
    int64_t avoided_us;      /* since when */
    enum route_reason reason;
    enum begin_mode mode;       /* of the transaction that the request begins */
    struct route_wishes hinted; /* the wishes for this request, when a rule or a hint has some */
    unsigned said;              /* set of enum rule_own: what hints in it said */
    struct rule_set rules;      /* those that fit the session */
    unsigned own;               /* set of enum rule_own: what it has set itself */
    int rule;                   /* that this request matches, or RULE_NONE */
    bool rule_counted;
    bool ruled;        /* the rule says where to */
    bool is_read;      /* the request is surely a read */
    bool is_doubt;     /* it may be one */
    bool read_only;    /* it is the first one of a READ ONLY block */
    bool wrote;        /* the transaction may have written */
    bool looked;       /* it has a read in it */
    uint8_t n_vain;    /* how often it waited in vain for what it has seen */
    bool ddl;          /* the transaction changed the catalog */
    bool only_primary; /* a replica refused this request as a write, or broke it off */
    bool begins;       /* the request is BEGIN, or the first one behind it */
    bool serializable; /* so it says */
    bool has_hints;    /* hinted is what counts */
    uint32_t hash;     /* of the client address */
    const char *refusal, *sqlstate;
    bool warned;             /* of a bad hint in this request */
    bool lent;               /* the server came just now, for the request that waited for it */
    bool told;               /* the client has data of it */
    bool again;              /* a replica refused it: send it once more when the replica is ready */
    uint16_t n_told, n_skip; /* replies without data that the client has of it; those it must not get twice */
    uint64_t digest;         /* of its statement */
};

/* ---- siblings.c: the pools of a session ---- */

/* At login: give S a pool, and a routing when D is a cluster (true). */
bool choose_begin(struct session *s, const struct conf_database *d);
void choose_done(struct session *s); /* fine without a routing */
/* A reload may have made the databases of sessions clusters, or given them another route. */
void choose_reload(struct hall *h);
/* The cluster of its database as it is now; NULL: not known, or none. */
const struct cluster *choose_cluster(const struct session *s);
/* How many nodes of C are used. */
unsigned choose_n_nodes(const struct cluster *c);
/* The pool of node I of C; NULL: the configuration does not name it any more. */
struct pool *choose_pool_of(struct session *s, const struct cluster *c, unsigned i);
void choose_use_pool(struct session *s, struct pool *p);

/* ---- wishes.c: pgweir.* among the settings ---- */

/* Read them again, when they changed. */
void choose_read_settings(struct session *s);
static inline void
choose_settings(struct session *s)
{
    if (!s->routing->wishes_known || s->settings != s->routing->wishes_of)
        choose_read_settings(s);
}
/* What the settings of any session say, and nothing else. False with WHY (may be NULL): one cannot be that. */
bool choose_own_wishes(const struct session *s, struct route_wishes *out, struct fault *why);
/* What counts for it. OWN is room for it where there is no cluster. */
const struct route_wishes *choose_wishes(struct session *s, struct route_wishes *own);
/* False with WHY: F sets something of pgweir.* to what it cannot be. */
bool choose_may_set(const struct facts *f, struct fault *why);
bool choose_default_read_only(const struct session *s);
bool choose_default_serializable(const struct session *s);
/* The configuration changed. */
void choose_configure(struct hall *h);

/* ---- request.c: what the request is ---- */

/* The next request has these facts (NULL: nothing is known of it) and hints. */
void choose_request(struct session *s, const struct facts *f, struct slice sql);
/* It neither reads nor writes. */
bool choose_is_neutral(const struct facts *f);
/* The next request begins, or the rest of it behind what was kept of it. */
void choose_start(struct session *s);
/* The rule that SQL matches, and its hints. A request of several statements has its first rule of any; of
 * hints that say different things the last one counts. */
void choose_hints(struct session *s, const struct facts *f, struct slice sql);
void choose_count_rule(struct session *s); /* the request was taken */
/* STAYS: nothing in the batch leaves the transaction before it writes. */
void choose_end_batch(struct session *s, bool stays);
/* The client was told that its transaction is over. */
void choose_ended(struct session *s);

/* batch.c: the first message of an extended batch: AHEAD starts with it. The whole batch goes to one node, so
 * it is a read only when all of it is here and every statement in it is one. */
void choose_batch(struct session *s, struct slice ahead);
/* opening.c: S has an opening: what the routing was after it. */
void opening_route(struct session *s);

/* ---- choose.c: which node it goes to ---- */

/* The server that S has is good for the request; false: it must be given back first. */
bool choose_stays(struct session *s);
/* Set the pool to borrow from. False: S is held until the topology changes. */
bool choose_pool(struct session *s);
/* What link_need() found no use waiting for: the fault that the request gets; false: it waits. */
bool choose_refusal(struct session *s, struct fault *why);
/* A server of the chosen node could not be had. True: choose again, without that node. */
bool choose_another(struct session *s);
void choose_avoid(struct session *s, struct pool *p); /* NULL: none any more */
/* The pool of S is that of C's primary; C may be NULL. */
bool choose_is_primary(const struct session *s, const struct cluster *c);
/* How long a request of S is held at most, in microseconds. */
int64_t choose_patience(const struct session *s);
/* 57P03 with what is wrong with each node. */
void choose_no_node(const struct session *s, struct fault *why);
/* Where a statement would go to now. */
struct explained {
    const char *node; /* "": to none */
    const char *rule; /* that it matches, or "" */
    int64_t lag_us;   /* of the node, -1: not known, or none */
    enum route_reason reason;
};
void choose_explain(struct session *s, const struct facts *f, struct slice sql, struct explained *out);

/* ---- held.c, leave.c: no node can serve it now ---- */

struct watch;
void choose_open(struct hall *h, struct watch *w);
void choose_close(struct hall *h);
void choose_hold(struct session *s);
void choose_unhold(struct session *s); /* fine when it is not held, and without a routing */
/* Its database is, by PAUSE. */
bool choose_is_paused(const struct session *s);
/* Look at every held request again. */
void choose_again(struct hall *h);
/* The topology is a new one; who waits for a server of a primary that leaves is held instead. */
void leave_see(struct hall *h);

/* ---- refused.c: what is a read ---- */

/* Is a statement with these facts surely a read for the session's database? */
bool choose_is_read(const struct session *s, const struct facts *f);
/* The same; BECAUSE is the name that decided, or empty. */
bool choose_judge(const struct session *s, const struct facts *f, struct slice *because);
/* A replica answered the request with E before any row. True: it is sent once more, to the primary, with what
 * follows it. */
bool choose_refused(struct session *s, const struct wire_error *e);

/* ---- seen.c: what a read must see ---- */

/* Its transaction is over: what it wrote or read counts for the token. */
void seen_ended(struct session *s);
/* The token with what is known by now of C. */
void seen_resolve(struct session *s, const struct cluster *c);
/* A replica that A does not name may have what was seen soon: the request waits for that. */
bool seen_waits(struct session *s, const struct cluster *c, const struct route_answer *a);
/* The request goes to P. */
void seen_settled(struct session *s, const struct pool *p);
/* The token with what is known by now; a sample is asked for when that is not enough. */
void choose_resolve(struct session *s);

/* ---- catalogs.c: what is known of the database ---- */

/* Of S; it stays where it is. */
struct known_catalog *hall_catalog(const struct session *s);
void hall_forget_catalogs(struct hall *h);
/* The verdict on F by the newest catalog, or without one, which was asked for then. */
enum catalog_verdict known_judge(const struct known_catalog *k, const struct facts *f, struct slice *because);
/* The same, remembered: it is a read. */
bool known_is_read(struct known_catalog *k, const struct facts *f);
/* A statement completed with TAG; its transaction ended: was it one that changes catalogs? */
void known_completed(struct session *s, struct slice tag);
void known_ended(struct session *s);

/* NULL: T (may be NULL) has none of this name. */
const struct node *choose_find_node(const struct topology *t, const char *name);

/* ---- identity.c ---- */

extern const struct server_checker identity_checker;

/* ---- show.c: SHOW pgweir.x and EXPLAIN (PGWEIR), which pgweir answers itself ---- */

/* Each is true when it did. ST may be NULL. */
bool show_query(struct session *s, const struct facts *f, struct slice sql);
bool show_parse(struct session *s, struct slice name, struct statement *st);
bool show_bind(struct session *s, const struct taken *m, struct slice portal, struct statement *st);
bool show_describe(struct session *s, uint8_t what, const struct statement *st);
bool show_execute(struct session *s);

#endif
