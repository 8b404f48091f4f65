/* SPDX-License-Identifier: ISC */
/* Taking over from a running process (-R). Both processes talk by a private Unix socket, the door, beside that
 * of the clients. The new one gets the listening sockets, starts everything, says that it is ready; then the
 * old one stops accepting and sends session after session, and ends when none is left. Until a session is
 * confirmed it is the old one's, and so are the listening sockets should the new one vanish. On the control
 * thread. */
#ifndef APP_TAKEOVER_PRIVATE_H
#define APP_TAKEOVER_PRIVATE_H

#include "base/text.h"
#include "net/passage.h"
#include "session/session.h"

#define LINK_VERSION 1

/* What they say; N: the new process, O: the old one. */
enum link_word {
    LINK_HELLO = 1, /* N: u16 version of this */
    LINK_NO,        /* O: why not */
    LINK_WELCOME,   /* O: u16 format of images, u64 next id, NOTIFY_SOCKET, WATCHDOG_USEC as strings */
    LINK_LISTENER,  /* O: with the socket: u8 flags */
    LINK_DOOR,      /* O: with the socket */
    LINK_OFFERED,   /* O: that was all */
    LINK_READY,     /* N: u32 pid, u16 format of images: it could serve */
    LINK_YOURS,     /* O: does not accept any more */
    LINK_SESSION,   /* O: with the socket: u32 hall, u64 id, image */
    LINK_TAKEN,     /* N: u32 hall, u64 id, u32 hall of the new one: it has it, asleep */
    LINK_REFUSED,   /* N: u32 hall, u64 id */
    LINK_GO,        /* O: u32 hall of the new one, u64 id, messages that it is to have first: wake it */
    LINK_CANCEL,    /* both: u8 hops, u32 pid, key */
    LINK_END,       /* N: it was asked to end: so must the old one */
    LINK_STAND_BACK /* N: was taken over itself: the old one must not go on should it vanish */
};
enum { LISTENER_ACTIVATED = 1 }; /* systemd made it */

struct app;
struct takeover {
    struct passage *younger, *elder;
    struct io door;
    struct timer poll;
    bool giving;     /* YOURS was said */
    bool formats;    /* ours and the younger's are the same: sessions can move */
    bool stand_back; /* said by the younger */
    bool hurried;    /* drain_timeout is over for those that cannot move */
    bool begun;      /* we serve; false while we wait for YOURS */
    bool ready;      /* the younger said so */
    int64_t deadline_us;
    uint64_t next_id; /* from the elder */
    unsigned next_hall;
    _Atomic int64_t n_cancels_dropped; /* that were for the other process */
    uint32_t younger_pid;
};

/* A visit of all halls that frees itself. */
struct tour {
    struct visit visit;
    struct app *app;
    void (*home)(struct tour *t);
    int *fds;
    unsigned n, room;
};
void
takeover_tour(struct app *a, void (*at_each)(struct worker *w, struct visit *v), void (*home)(struct tour *t));

/* Something for one hall, or from it. */
struct message {
    struct mail mail;
    struct app *app;
    struct cancel_ask cancel;
    uint32_t hall, new_hall;
    uint64_t id;
    bool taken;
};
void takeover_put_id(struct text *t, uint32_t hall, uint64_t id);

/* younger.c: we are the old process. */
void younger_start(struct app *a, struct passage *p);
/* elder.c: we are the new one. */
/* Before anything else: find the process that runs, get its sockets. False with WHY. No such process: true, and
 * a->takeover.elder stays NULL. */
struct inherited;
bool elder_find(struct app *a, struct inherited *got, struct fault *why);
void elder_start(struct app *a);

/* takeover.c: both. */
void takeover_start(struct app *a); /* the loop is about to run */
void takeover_stop(struct app *a);
/* A process that we took over from, or that takes over, must end with us. */
void takeover_say_end(struct app *a);
void takeover_open_door(struct app *a);
void takeover_cancel(struct app *a, struct slice body);
void takeover_elsewhere(struct hall *h, const struct cancel_ask *ask);

#endif
