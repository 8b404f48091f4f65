/* SPDX-License-Identifier: ISC */
/* One message of a server, for those who judge what becomes of it. */
#ifndef SESSION_RELAY_PRIVATE_H
#define SESSION_RELAY_PRIVATE_H

#include "choose_private.h"

/* What becomes of it. */
enum relayed { RELAY_PASS, RELAY_SWALLOW, RELAY_BROKEN, RELAY_ENDED };

struct reply {
    uint8_t type;
    struct slice bytes, body;
    bool whole;
    struct pending_entry *head; /* what it answers; NULL: nothing is outstanding */
};

/* The client did not ask for it. */
static inline bool
relay_is_ours(const struct reply *r)
{
    const struct pending_entry *e = r->head;

    return e != NULL &&
           ((e->flags & PENDING_OURS) != 0 || ((e->flags & PENDING_RESTORES) != 0 && e->n_done > 0));
}

/* The answers that come are for nobody: what is outstanding is sent once more. */
static inline bool
relay_is_void(const struct session *s)
{
    return s->routing != NULL && s->routing->again;
}

/* ---- completion.c ---- */
/* PortalSuspended: rows are still to come, perhaps for ever; what the statement does it may have done. */
void relay_suspended(struct session *s, const struct reply *r);
enum relayed relay_complete(struct session *s, const struct reply *r); /* CommandComplete, EmptyQueryResponse */
enum relayed relay_ready(struct session *s, const struct reply *r);    /* ReadyForQuery */

/* ---- failure.c ---- */
enum relayed relay_error(struct session *s, const struct reply *r); /* ErrorResponse */

#endif
