/* SPDX-License-Identifier: ISC */
/* What settings.c, set_log.c and reports.c share. */
#ifndef SESSION_SETTINGS_PRIVATE_H
#define SESSION_SETTINGS_PRIVATE_H

#include "base/ring.h"
#include "session_private.h"

enum op_kind {
    OP_SET,
    OP_RESET,
    OP_RESET_ALL,
    OP_PIN,
    OP_UNPIN,
    OP_LISTEN,
    OP_UNLISTEN,
    OP_SAVEPOINT,
    OP_LOCAL
};

struct set_op {
    enum op_kind kind;
    enum pin_reason pin;
    bool restored;       /* RESET: the server has the start-up value */
    char *name, *replay; /* replay lies in the same block */
    struct ring in_log;
};

struct set_log {
    struct ring ops; /* in the order in which they happened */
};

/* ---- set_log.c ---- */

struct set_op *set_log_add(struct session *s, enum op_kind kind, struct slice name, struct slice replay);
/* ROLLBACK TO: what came after the savepoint is gone; the savepoint stays. */
void set_log_roll_back_to(struct session *s, struct slice name);
/* RELEASE: the savepoint and those made after it are gone; what was set stays. */
void set_log_release(struct session *s, struct slice name);
/* No SET of NAME counts. */
void set_log_forget(struct session *s, struct slice name);

/* ---- settings.c ---- */

/* NAME was set by REPLAY, here and on the server. */
void settings_set_one(struct session *s, struct slice name, struct slice replay);

#endif
