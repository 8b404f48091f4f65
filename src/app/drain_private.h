/* SPDX-License-Identifier: ISC */
/* How the process ends. On the control thread. */
#ifndef APP_DRAIN_PRIVATE_H
#define APP_DRAIN_PRIVATE_H

#include "loop/worker.h"

enum drain_mode {
    DRAIN_NOW,
    DRAIN_TIMED,         /* TERM: sessions end at transaction boundaries, within drain_timeout */
    DRAIN_SERVERS,       /* the same without a limit */
    DRAIN_CLIENTS,       /* clients leave when they want */
    DRAIN_CLIENTS_TIMED, /* the same within drain_timeout */
};

enum drain_stage { DRAIN_NONE, DRAIN_REFUSING, DRAIN_WAITING, DRAIN_CLOSING, DRAIN_ENDING };

struct drain {
    enum drain_stage stage;
    enum drain_mode mode;
    struct visit visit;
    struct timer timer;
    bool travelling; /* the visit is under way */
    bool hurry;      /* asked to end now meanwhile */
    unsigned left, rounds;
    int64_t deadline_us; /* 0: none */
};

struct app;
void drain_start(struct app *a, enum drain_mode mode);

#endif
