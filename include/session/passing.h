/* SPDX-License-Identifier: ISC */
/* Sessions whose sockets another pooler takes, as PgBouncer does with -R: it learns no more of them than the
 * rows of SHOW FDS say. On the hall's thread. */
#ifndef SESSION_PASSING_H
#define SESSION_PASSING_H

#include "session/session.h"

/* Its client is a process of our own user on this machine. */
bool session_is_ours(const struct session *s);
/* S is idle, and the other pooler can carry on: it has no state but what those rows say, or a server of its own
 * that has it, which then goes along. */
bool session_may_pass(const struct session *s);
/* What its client was told to cancel with: process id and secret. */
uint64_t session_cancel_number(const struct session *s);
/* S is suspended, and another process has its socket: should it end now, nothing is said to its client, nor to
 * its server. */
void session_pass(struct session *s);
/* H is suspended, and another process gets all sockets: nobody is accepted any more. */
void hall_pass(struct hall *h);
/* The other process is gone, or it was not meant. */
void hall_take_up(struct hall *h);

#endif
