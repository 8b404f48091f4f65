/* SPDX-License-Identifier: ISC */
/* What an admin said on the console. Pure; any thread. */
#ifndef ADMIN_COMMAND_H
#define ADMIN_COMMAND_H

#include "admin/view.h"
#include "base/fault.h"
#include "base/slice.h"

enum admin_verb {
#define COMMAND(id, ...) ADMIN_##id,
#include "admin/commands.def"
#undef COMMAND
    ADMIN_NVERBS
};

#define ADMIN_NAME  64   /* with its NUL, as PgBouncer's */
#define ADMIN_VALUE 1024 /* with its NUL */

struct admin_command {
    enum admin_verb verb;
    enum admin_view view;    /* SHOW; ADMIN_NVIEWS otherwise */
    char name[ADMIN_NAME];   /* database, option, faked setting, or column that SELECT asks for */
    char value[ADMIN_VALUE]; /* SET: the new value; FAKE: what to show; SWITCHOVER: the node, then what came of
                                it */
    bool own_version;        /* FAKE: show the caller's version instead */
    bool select;             /* FAKE: it was asked by SELECT */
    uint64_t id;             /* KILL_CLIENT */
    int where;               /* SHOW: the column that must be equal to value; -1: none */
    bool json;               /* SHOW: one column of objects */
    bool compat;             /* answer as PgBouncer does */
};

/* Read one command. False with WHY: COMPAT gives PgBouncer's texts (08P01), otherwise 42601 and what to do. */
bool admin_parse(struct slice sql, bool compat, struct admin_command *out, struct fault *why);
/* May a client of this role run C? False with WHY. */
bool admin_may(const struct admin_command *c, bool may_admin, bool compat, struct fault *why);
/* The tag of CommandComplete. */
void admin_tag(const struct admin_command *c, struct text *tag);
/* Commands that need nothing but words: append the whole answer, or say that C is not one of them. */
bool admin_put_fixed(struct text *t, const struct admin_command *c, struct slice sql, const char *version);

#endif
