/* SPDX-License-Identifier: ISC */
/* Sockets that accept clients. A listener belongs to one worker. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/fault.h"
#include "loop/worker.h"
#include "net/address.h"

#define LISTEN_BATCH 64 /* connections taken in one turn, so that a flood does not stop the others */

struct listener;
/* FD is the caller's from then on: non-blocking, close-on-exec. */
typedef void listener_on_client(void *owner, int fd, bool is_unix);

/* A bound and listening socket, or -1 with WHY. PORT_SHARED sets SO_REUSEPORT, so that each worker has its own
 * queue; a TCP address that somebody else listens on is refused all the same. A Unix socket is its owner's
 * alone until its file gets another mode. */
int listener_socket(const struct net_address *a, int backlog, bool port_shared, struct fault *why);
/* Fails when another process listens on A, unless all share it. Leaves nothing open. */
bool listener_probe(const struct net_address *a, bool port_shared, struct fault *why);
/* Takes FD over and calls ON_CLIENT for each connection. */
struct listener *listener_new(struct worker *w, int fd, listener_on_client *on_client, void *owner);
void listener_free(struct listener *l); /* NULL is fine */
/* Options for the clients that it will accept: they inherit them. */
void listener_tune(struct listener *l, const struct tcp_options *o);
int listener_fd(const struct listener *l);
bool listener_is_unix(const struct listener *l);
/* Accept nobody for now; or again. The socket stays open. */
void listener_hold(struct listener *l, bool hold);
int listener_fd(const struct listener *l);

#endif
