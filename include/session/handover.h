/* SPDX-License-Identifier: ISC */
/* Sessions that move to the process that takes over. The old process freezes an idle session, sends its image
 * and its socket, and lets it go when the new one has it; whatever fails before that leaves it here. The new
 * one does nothing with a session before it was woken. All calls: on the hall's thread. */
#ifndef SESSION_HANDOVER_H
#define SESSION_HANDOVER_H

#include "session/hall.h"

#define HANDOVER_FORMAT    1          /* of images: only the same can be read */
#define HANDOVER_IMAGE_MAX (32 << 20) /* bytes; a larger session stays */

/* A session on its way: made here by the old process, and by whoever received it in the new one. */
struct parcel {
    struct mail mail;
    uint64_t id;
    unsigned hall; /* of the old process */
    int fd;
    struct text image;
};
void parcel_free(struct parcel *p); /* closes the descriptor, if it is still there */

/* The old process: send every session that can go, now and whenever one becomes idle, by mail to TO. */
void hall_hand_over(struct hall *h, struct worker *to, void (*deliver)(struct worker *w, struct mail *m));
/* Look again at those that could not go a moment ago, and close servers that nobody needs. */
void hall_hand_over_more(struct hall *h);
/* The other process has session ID. */
void hall_let_go(struct hall *h, uint64_t id);
/* It cannot have it: the session stays here until its end. */
void hall_keep(struct hall *h, uint64_t id);
/* The other process is gone: whoever was not let go goes on here, and nobody is sent any more. */
void hall_take_back(struct hall *h);
unsigned hall_n_frozen(const struct hall *h);
/* Descriptors that it listens on, for FDS with room for N; how many there are. */
unsigned hall_listener_fds(const struct hall *h, int *fds, unsigned n);
/* Stop accepting, keep the sockets; and go on. */
void hall_hold_listeners(struct hall *h, bool hold);
/* Close what is on its way, in either direction, without a word to the client. */
void hall_forget_moving(struct hall *h);

/* The new process: make P's session, asleep. P is used up unless this returns false, with WHY. */
bool hall_take_in(struct hall *h, struct parcel *p, struct fault *why);
void hall_wake(struct hall *h, uint64_t id);
/* The old process is gone: those that it did not let go are its own. */
void hall_drop_sleeping(struct hall *h);

#endif
