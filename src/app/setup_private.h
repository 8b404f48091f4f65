/* SPDX-License-Identifier: ISC */
/* A configuration with all that it names: secrets, hba, certificates. */
#ifndef APP_SETUP_PRIVATE_H
#define APP_SETUP_PRIVATE_H

#include "session/hall.h"

struct loaded {
    struct hall_setup setup;
    char *client_mark, *server_mark; /* what the TLS contexts were made of */
};

enum loading { LOAD_ALL, LOAD_CHANGED }; /* CHANGED: a file is read again only when its option changed */

/* Take CONF over and load what it names; a TLS context of OLD (may be NULL) is kept when nothing it was made of
 * changed, so that servers need not reconnect. False with WHY: *L is empty. */
bool
loaded_make(struct loaded *l, struct conf *conf, const struct loaded *old, enum loading how, struct fault *why);
void loaded_done(struct loaded *l);

#endif
