/* SPDX-License-Identifier: ISC */
/* LISTEN of a session on its way between two processes: each notification is given by one of them, in order.
 * The new process listens first, and then notifies a channel of ours, with a word that only this session has:
 * the mark. PostgreSQL shows it to both at the same place among all others. What comes before it is of the old
 * process, which sends it along; what comes after it of the new one. On the hall's thread. */
#ifndef SESSION_CROSSING_PRIVATE_H
#define SESSION_CROSSING_PRIVATE_H

#include "image_private.h"
#include "listen_private.h"

struct parcel;

/* From the moment it is frozen or received until it goes on. */
struct crossing {
    char mark[IMAGE_MARK_LEN + 1];
    bool marked;           /* the mark was heard */
    bool missed;           /* there was no room for some, or nobody listened for a while */
    struct parcel *parcel; /* the new process: goes back when it is known whether it listens */
    bool taken;            /* the old process: the other one has the session, asleep, in */
    uint32_t their_hall;
    int64_t taken_us;
    size_t before; /* of the queue, before the mark */
};

static inline bool
crossing_is_on(const struct session *s)
{
    return s->listening != NULL && s->listening->crossing != NULL;
}

/* ---- the old process ---- */

/* What it listens to can be said in an image. */
bool crossing_may(const struct session *s);
/* Marks are heard here; else that is asked for: look again soon. */
bool crossing_is_ready(const struct session *s);
void crossing_begin(struct session *s);
/* Append what it listens to; how many names. */
unsigned crossing_put_channels(const struct session *s, struct text *t);
/* The other process listens in THEIR_HALL. */
void crossing_taken(struct session *s, uint32_t their_hall);
/* All that is ours to give is here, or is not waited for any longer: append it. */
bool crossing_take_rest(struct session *s, struct text *t);

/* ---- the new process ---- */

/* Listen as IM says; P goes back when that is known. */
void crossing_arrive(struct session *s, const struct image *im, struct parcel *p);
void crossing_answered(struct listening *l, bool ok);

/* ---- both ---- */

/* MESSAGE comes on C for one of its members. True: it is none for a client. */
bool crossing_hears(struct listening *l, const struct channel *c, struct slice message);
void crossing_keep(struct listening *l, struct slice message);
/* The connection that listens was lost meanwhile. */
void crossing_missed(struct listening *l);
/* The session goes on in this process: it gets what waited. */
void crossing_end(struct session *s);
void crossing_done(struct listening *l);

#endif
