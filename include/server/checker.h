/* SPDX-License-Identifier: ISC */
/* Is a server who it should be? Asked for once, at the end of its login. */
#ifndef SERVER_CHECKER_H
#define SERVER_CHECKER_H

#include "server/server.h"

struct server_checker {
    uint64_t (*position)(const struct server *s); /* in the WAL, that it has reached already; 0: not known */
    /* SAID: system identifier, in recovery (t, f), position now; false with WHY: it is of no use. */
    bool (*is_it)(const struct server *s, uint64_t position, struct slice said, struct fault *why);
};

#endif
