/* SPDX-License-Identifier: ISC */
/* The connections that listen for all sessions of a database, and those who hear them: for views and operators.
 * On the hall's thread. */
#ifndef SESSION_LISTENERS_H
#define SESSION_LISTENERS_H

#include "session/hall.h"

/* What one hall knows of the listeners of a database; a herald is in one hall only. */
struct listener_figures {
    const char *database, *encoding;
    int64_t n_clients, n_delivered, n_closed; /* of this hall's sessions */
    bool is_up;                               /* this and what follows: of a herald that is here */
    int64_t n_channels, n_heard, n_lost, remote_pid;
};
void
hall_each_listener(struct hall *h, void (*each)(void *owner, const struct listener_figures *f), void *owner);
/* RECONNECT: heralds of DATABASE (empty: all) connect anew. */
void hall_reconnect_listeners(struct hall *h, struct slice database);
/* PostgreSQL's database TARGET is to be left: those that listen for nobody go. */
void hall_vacate_listeners(struct hall *h, struct slice target);
/* The configuration or the topology changed: heralds move to where they belong now. */
void hall_move_listeners(struct hall *h);

#endif
