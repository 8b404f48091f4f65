/* SPDX-License-Identifier: ISC */
/* SASLprep (RFC 4013) the way PostgreSQL applies it to passwords. saslprep.c is
 * the only file that knows libidn. Pure; any thread. */
#ifndef AUTH_SASLPREP_PRIVATE_H
#define AUTH_SASLPREP_PRIVATE_H

#include "base/slice.h"

/* The prepared password, or its bytes unchanged when they are ASCII, not valid UTF-8 or refused by the profile,
 * as pg_saslprep() and its callers do. data is never NULL; the caller gives it to saslprep_done(). */
struct slice saslprep(struct slice password);
/* Wipes and frees. */
void saslprep_done(struct slice prepared);

#endif
