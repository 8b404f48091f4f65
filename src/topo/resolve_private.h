/* SPDX-License-Identifier: ISC */
/* Names of hosts to addresses, on a helper thread. On the control thread. */
#ifndef TOPO_RESOLVE_PRIVATE_H
#define TOPO_RESOLVE_PRIVATE_H

#include <stdbool.h>

#include "loop/helper.h"

/* HOST needs no look-up: a numeric address or the folder of a Unix socket. */
bool resolve_is_plain(const char *host);

struct resolve;
/* ADDRESS is NULL with WHY when there is none; both valid during the call. */
typedef void resolve_on_address(void *owner, const char *address, const char *why);
struct resolve_question {
    const char *host;
    const char *last; /* the address in use, or NULL */
    bool failed;      /* it did not answer: prefer the one after it */
};
/* ON_ADDRESS is called once, unless resolve_forget() comes first. NULL: the helper has no room. */
struct resolve *node_resolve(struct helper *h, struct worker *w, const struct resolve_question *q,
                             resolve_on_address *on_address, void *owner);
/* Frees itself when its mail comes. NULL is fine. */
void resolve_forget(struct resolve *r);

#endif
