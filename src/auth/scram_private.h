/* SPDX-License-Identifier: ISC */
/* What both sides of SCRAM share: the grammar of messages and the signature. */
#ifndef AUTH_SCRAM_PRIVATE_H
#define AUTH_SCRAM_PRIVATE_H

#include "auth/scram.h"

/* False, with WHY set, when M is empty, too long or holds a NUL. */
bool scram_is_message(struct slice m, struct fault *why);
/* Takes "NAME=value" and the comma after it off REST; false when REST begins with something else or ends in
 * that comma. */
bool scram_take(struct slice *rest, char name, struct slice *value);
/* The same for any attribute (RFC 5802: attr-val). */
bool scram_take_any(struct slice *rest, char *name, struct slice *value);
/* RFC 5802 "printable": 0x21 to 0x7E without a comma; at least one. */
bool scram_is_printable(struct slice s);
/* Decimal, 1 to HIGH, no sign, no leading zero. */
bool scram_iterations(struct slice s, uint32_t high, uint32_t *out);

#endif
