/* SPDX-License-Identifier: ISC */
/* Cancel requests that another instance must have: its peer_id stands in the key, as PgBouncer writes it there.
 * All of them go out from the first hall, so that the limit of each peer holds over all workers. */
#ifndef SESSION_PEERS_H
#define SESSION_PEERS_H

#include "session/session.h"

/* A for another peer than us is passed on: true, and DONE comes back to H when the peer has carried it out, or
 * will not. Any hall. */
bool peers_pass_on(struct hall *h, const struct cancel_ask *a, struct mail *done);
void peers_done(struct hall *h);

/* What is under way for one peer. */
struct peer_counts {
    unsigned waiting, connecting, sent;
};
void peers_count(const struct hall *h, unsigned peer, struct peer_counts *out);

/* Before any hall ends: cancel requests that are carried out are given up, which halls that wait for them hear
 * by mail, and nothing is listened to any more, which they would. */
void hall_end_errands(struct hall *h);

#endif
