/* SPDX-License-Identifier: ISC */
/* The first packet of a connection (manual, "Message Formats": StartupMessage,
 * SSLRequest, GSSENCRequest, CancelRequest) and its options. Pure. */
#ifndef WIRE_STARTUP_H
#define WIRE_STARTUP_H

#include "base/fault.h"
#include "base/text.h"
#include "wire/message.h"

enum startup_kind { STARTUP_SSL, STARTUP_GSS, STARTUP_CANCEL, STARTUP_LOGIN };

#define STARTUP_MAX_LEN    10000 /* PostgreSQL's own limit */
#define STARTUP_MAX_PARAMS 64
#define STARTUP_MAX_KEY    256 /* bytes of a cancel key */

struct startup_param {
    struct slice name, value;
};

struct startup {
    enum startup_kind kind;
    uint16_t minor;        /* of version 3 */
    bool unknown_options;  /* some _pq_. option is there that we do not know */
    struct slice words;    /* LOGIN: all names and values, as they came */
    uint32_t pid;          /* CANCEL */
    struct slice key;      /* CANCEL: 4 to STARTUP_MAX_KEY bytes */
    struct slice user;     /* LOGIN: all are views into the packet */
    struct slice database; /* the user's name when not given */
    struct slice options;
    struct slice replication; /* empty when not given */
    unsigned n_params;        /* what is left, in order, without the four above and _pq_. options */
    struct startup_param params[STARTUP_MAX_PARAMS];
};

/* Read one packet from BYTES: MORE, a whole packet (*LEN is its length), or BAD with WHY. The length is checked
 * before the body is there. */
enum wire_answer startup_read(struct slice bytes, struct startup *out, size_t *len, struct fault *why);

/* Split `options` (-c name=value, --name=value, -cname=value; backslash escapes) and call ON_SETTING for each.
 * Names come with '-' turned to '_'. False with WHY: something else is in it. COPY is scratch space for
 * unescaped text, cleared first. */
typedef void startup_on_setting(void *owner, struct slice name, struct slice value);
bool startup_options(struct slice options, struct text *copy, startup_on_setting *on_setting, void *owner,
                     struct fault *why);

/* A whole CancelRequest. */
void startup_put_cancel(struct text *t, uint32_t pid, struct slice key);

/* NegotiateProtocolVersion: newest minor version and the _pq_. options of PACKET that are not known. */
void startup_put_negotiate(struct text *t, uint16_t minor, struct slice packet);

#endif
