/* SPDX-License-Identifier: ISC */
/* Names of nodes to addresses. On the control thread. */
#ifndef TOPO_LOOK_UP_PRIVATE_H
#define TOPO_LOOK_UP_PRIVATE_H

#include "net/resolve.h"

/* HOST needs no look-up: a numeric address or the folder of a Unix socket. */
bool node_host_is_plain(const char *host);

struct node_look_up;
/* ADDRESS is NULL with WHY when there is none; both valid during the call. */
typedef void look_up_on_address(void *owner, const char *address, const char *why);
struct look_up_question {
    const char *host;
    const char *last; /* the address in use, or NULL */
    bool failed;      /* it did not answer: prefer the one after it */
};
/* ON_ADDRESS is called once, unless node_look_up_forget() comes first. NULL: there is no room for it. */
struct node_look_up *node_look_up(const struct resolver *by, struct worker *w, const struct look_up_question *q,
                                  look_up_on_address *on_address, void *owner);
/* Frees itself when its mail comes. NULL is fine. */
void node_look_up_forget(struct node_look_up *l);

#endif
