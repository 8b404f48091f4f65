/* SPDX-License-Identifier: ISC */
/* Servers are supplied with the statements of sessions; for extended.c. S has a server. */
#ifndef SESSION_SUPPLY_PRIVATE_H
#define SESSION_SUPPLY_PRIVATE_H

#include "session_private.h"

/* The option; 0: names are passed on as they are. */
unsigned supply_most(const struct session *s);
/* The server knows what the session's name NAME stands for by a plan younger than SINCE, or will by the time it
 * reads what follows; ST is NULL when nobody knows. */
void supply_statement(struct session *s, struct slice name, struct statement *st, int64_t since);
void supply_named(struct session *s, struct statement *st, int64_t since);
/* Is there surely a plan of ST younger than SINCE? Another one goes. */
bool supply_has(struct session *s, const struct statement *st, int64_t since);
/* The Parse of ST is on its way. */
void supply_note(struct session *s, const struct statement *st);
/* Send M with the name of OLD bytes at OFFSET replaced by the server's name of ST. */
void supply_put_renamed(struct session *s, const struct taken *m, size_t offset, size_t old,
                        const struct statement *st);
/* What a server's unnamed statement is when its text was too long to be kept: this session's, and gone with the
 * link. */
struct statement_id supply_large_id(const struct session *s);

#endif
