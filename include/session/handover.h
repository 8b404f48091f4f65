/* SPDX-License-Identifier: ISC */
/* Sessions that move to the process that takes over. The old process freezes an idle session, sends its image
 * and its socket, and lets it go when the new one has it; whatever fails before that leaves it here. The new
 * one does nothing with a session before it was woken. All calls: on the hall's thread. */
#ifndef SESSION_HANDOVER_H
#define SESSION_HANDOVER_H

#include "session/hall.h"

#define HANDOVER_FORMAT    2          /* of images: only the same can be read */
#define HANDOVER_IMAGE_MAX (32 << 20) /* bytes; a larger session stays */

/* A session on its way: made here by the old process, and by whoever received it in the new one. */
struct parcel {
    struct mail mail;
    uint64_t id;
    unsigned hall, new_hall; /* of the old process; of the new one, once it is there */
    int fd;
    struct text image;
    bool taken;                                      /* the new process's answer, brought */
    void (*bring)(struct worker *w, struct mail *m); /* to its control thread by this */
};
void parcel_free(struct parcel *p); /* closes the descriptor, if it is still there; NULL is fine */

/* Where sessions go: a parcel for each, and when it was let go another with what it has yet to be given, as
 * IMAGE. */
struct handover_post {
    struct worker *to;
    void (*session)(struct worker *w, struct mail *m);
    void (*let_go)(struct worker *w, struct mail *m);
};
/* The old process: send every session that can go, now and whenever one becomes idle. */
void hall_hand_over(struct hall *h, const struct handover_post *post);
/* Look again at those that could not go a moment ago, and close servers that nobody needs. */
void hall_hand_over_more(struct hall *h);
/* The other process has session ID, asleep, in NEW_HALL. */
void hall_let_go(struct hall *h, uint64_t id, uint32_t new_hall);
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

/* The new process: make P's session, asleep, and P goes back with the answer, now or later. */
void hall_take_in(struct hall *h, struct parcel *p);
/* The session is ours: it gets the messages REST, and goes on. */
void hall_wake(struct hall *h, uint64_t id, struct slice rest);
/* The old process is gone: those that it did not let go are its own. */
void hall_drop_sleeping(struct hall *h);

#endif
