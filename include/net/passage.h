/* SPDX-License-Identifier: ISC */
/* Frames, each with at most one descriptor, over a Unix stream between two processes of the same user. First
 * blocking, with a deadline; after passage_start() on a loop. */
#ifndef NET_PASSAGE_H
#define NET_PASSAGE_H

#include <sys/types.h>

#include "base/fault.h"
#include "base/slice.h"
#include "loop/worker.h"

#define PASSAGE_MAX (40u << 20) /* bytes of a frame */

/* sendmsg(2) of BYTES to a Unix socket, a copy of FD (or -1: none) beside the first of them. */
ssize_t passage_send(int to, struct slice bytes, int fd);

struct passage;
struct passage_frame {
    uint8_t type;
    struct slice body; /* valid until the next call */
    int fd;            /* the receiver's, or -1 */
};
struct passage_events {
    void (*on_frame)(struct passage *p, const struct passage_frame *f);
    /* The other side is gone, or sends what is no frame. The only thing to do with P is to free it. */
    void (*on_end)(struct passage *p);
};

/* Takes over a connected FD. */
struct passage *passage_new(int fd, void *owner);
void *passage_owner(const struct passage *p);
void passage_free(struct passage *p); /* NULL is fine; not inside on_frame */
/* Send what the socket did not take yet, blocking, while the other side reads at least once in SECONDS. The
 * last thing before passage_free(). NULL is fine. */
void passage_finish(struct passage *p, unsigned seconds);
/* FD (or -1) is taken over. */
void passage_put(struct passage *p, uint8_t type, struct slice body, int fd);
/* Frames of TYPE that the socket did not take yet. */
unsigned passage_count(const struct passage *p, uint8_t type);
/* Wait for the next frame, at most SECONDS. Before passage_start(). */
bool passage_wait(struct passage *p, unsigned seconds, struct passage_frame *f, struct fault *why);
void passage_start(struct passage *p, struct worker *w, const struct passage_events *e);

#endif
