/* SPDX-License-Identifier: ISC */
/* What a hall has on its way to the other process or from there; sessions as images. */
#ifndef SESSION_HANDOVER_PRIVATE_H
#define SESSION_HANDOVER_PRIVATE_H

#include "image_private.h"
#include "session/handover.h"
#include "session_private.h"

struct handover {
    struct ring waiting;  /* by in_linked: idle sessions that are to go */
    struct ring frozen;   /* by in_hall: sent, not confirmed yet */
    struct ring sleeping; /* by in_hall: received, not woken yet */
    unsigned n_frozen;
    struct grave turn_end;
    bool due;           /* turn_end is set */
    bool heavy;         /* one of the frozen is */
    int64_t closing_us; /* since when the hall is; 0: it was not */
    struct handover_post post;
};

struct handover *handover_of(struct hall *h); /* made when new */
struct session *handover_find(struct ring *ring, uint64_t id);
/* Close our end of a session that somebody else has, or that nobody will hear of any more. */
void handover_leave(struct session *s);

/* ---- portrait.c ---- */

void portrait_write(const struct session *s, struct text *out);
/* S, which is new, becomes what IM shows. */
void portrait_read(struct session *s, const struct image *im);

#endif
