/* SPDX-License-Identifier: ISC */
/* LISTEN without a server of one's own. For each database, and client_encoding in it, one connection listens to
 * everything that any session listens to: the herald (herald.c), in one of the halls. It sends what it hears to
 * the halls that want it by mail; each keeps which of its sessions listens to which channel (audience.c), and
 * hands it to them when they may have it (listen.c). */
#ifndef SESSION_LISTEN_PRIVATE_H
#define SESSION_LISTEN_PRIVATE_H

#include "choose_private.h"
#include "image_private.h"
#include "session/listeners.h"

/* ---- audience.c: who of this hall listens to what. Owned by the hall ---- */

struct audience {
    struct audience *next;
    struct hall *hall;
    char *database, *encoding;
    struct worker *herald;    /* where its herald is */
    struct channel *channels; /* by name */
    struct ring unused;       /* channels that nobody listens to any more, longest unused first */
    struct ring hopeful;      /* sessions whose LISTEN may be about to commit */
    struct ring slow;         /* sessions that must go: they do not read */
    struct ring listeners;    /* sessions, each with its first channel here */
    unsigned n_unused;
    struct timer sweep;
    int64_t n_delivered, n_closed;
};

struct channel {
    struct audience *audience;
    struct ring members; /* in_channel of struct member */
    struct ring in_unused;
    int64_t unused_us;
    bool known;       /* the herald listens to it for this hall */
    unsigned n_asked; /* questions about it that are under way */
    UT_hash_handle hh;
    char name[];
};

/* One session that listens to one channel. */
struct member {
    struct ring in_channel, in_session;
    struct channel *channel;
    struct listening *listening;
};

/* What a session needs once it listens, or wants to. */
struct listening {
    struct session *session;
    struct ring members; /* in_session */
    struct ring in_audience, in_hopeful, in_slow;
    unsigned n_members;
    struct listen_ask *ask;    /* under way: its LISTEN waits for the answer */
    unsigned n_granted;        /* LISTENs of that message that may go out */
    int64_t asked_lent_us;     /* when the server was lent that it had when it asked last; 0: it had none */
    struct fault *refusal;     /* for the LISTEN that waited */
    bool owes_ready;           /* its transaction is over, and the client does not know */
    int64_t signed_lent_us;    /* when the server was lent whose notifications are known to be its; 0: none */
    struct crossing *crossing; /* NULL: it is not on its way to another process, or from there */
    struct text queue, early;  /* messages for it: later, since it is busy; once its LISTEN has committed */
};

struct audience *audience_of(struct hall *h, const char *database, struct slice encoding);
struct channel *audience_channel(struct audience *a, struct slice name); /* made when new */
void audiences_forget_unused(struct hall *h); /* now: channels that are kept for a while without need */
/* Ask the herald to listen to C for S; WAITS (may be NULL) waits for the answer. When that is crossing, C is
 * for marks and gets its mark. */
void channel_ask(struct channel *c, const struct session *s, struct listening *waits, int64_t patience_us);
/* The herald that is there is to know whose the notifications of the server PID are: those of the session that
 * was told the process id TOLD, or of nobody (0). When it answers it has heard what was sent before it was
 * asked, and goes by it. WAITS may be NULL. */
void audience_sign(struct audience *a, struct listening *waits, uint32_t pid, uint32_t told);
void channel_join(struct channel *c, struct listening *l); /* L is none of its members */
void channel_leave(struct member *m);
struct member *listening_find(const struct listening *l, struct slice name);

/* ---- listen.c, for audience.c and crossing.c ---- */

struct listening *listen_make(struct session *s); /* its own, new or not */
struct audience *listen_audience(const struct session *s);
bool listen_has_room(const struct listening *l);
/* A notice: notifications may have been missed. */
void listen_put_missed(struct text *t);

/* Give L the message (notification or notice) as soon as it may have it. False: it has too many unread. */
bool listen_deliver(struct listening *l, struct slice message);
bool listen_keep_early(struct listening *l, struct slice message);
/* The herald has answered A, for which L waits. It listens now, and whatever was committed before A was sent
 * has been heard before. */
void listen_answered(struct listening *l, const struct listen_ask *a);

/* ---- mail ---- */

/* From a hall to the herald, and back when it is a question. */
struct listen_ask {
    struct mail mail;
    struct ring entry; /* of the herald's lists */
    struct worker *from;
    struct channel *channel; /* of FROM's hall: touched there only; NULL: about none, */
    struct listening *waits; /* and so this, NULL when it is gone */
    char *database, *encoding, *user;
    struct credential *credential; /* held, or NULL */
    int64_t patience_us, due_us;
    _Atomic bool holds;            /* who waits has a server, and PAUSE waits for that one */
    bool drop;                     /* nobody there wants it any more; not answered */
    char mark[IMAGE_MARK_LEN + 1]; /* not empty: to be notified there instead */
    uint32_t pid, told;            /* PID not 0: see audience_sign() */
    bool ok;
    struct fault why;
    char name[];
};
void listen_ask_free(struct listen_ask *a);
void herald_hear(struct worker *w, struct mail *m);     /* at the herald's hall */
void audience_answer(struct worker *w, struct mail *m); /* back home */

/* From the herald to a hall. */
struct listen_news {
    struct mail mail;
    bool missed; /* some may be missing before these */
    char *database, *encoding;
    struct text messages; /* NotificationResponses, whole */
};
void audience_news(struct worker *w, struct mail *m);

/* ---- bylines.c: as whom the sender of a notification is known; pure ---- */

struct byline;
uint32_t bylines_find(const struct byline *all, uint32_t pid);      /* PID when nothing else was said */
void bylines_set(struct byline **all, uint32_t pid, uint32_t told); /* TOLD 0: nothing else any more */
void bylines_done(struct byline **all);

/* ---- topics.c: what the halls want to hear; pure ---- */

#define MOST_HALLS 256 /* as option workers allows */
struct topic {
    UT_hash_handle hh;
    uint64_t halls[MOST_HALLS / 64]; /* that want it */
    char name[];
};
struct topics {
    struct topic *by_name;
    unsigned n, n_of_hall[MOST_HALLS];
};
void topics_want(struct topics *t, const char *name, uint32_t hall);
/* True: nobody wants NAME any more who did. */
bool topics_drop(struct topics *t, const char *name, uint32_t hall);
void topics_done(struct topics *t);
/* SQL that listens to all of them; empty for none. */
void topics_put_listen(const struct topics *t, struct text *sql);

#endif
