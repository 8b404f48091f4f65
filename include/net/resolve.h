/* SPDX-License-Identifier: ISC */
/* Names to addresses, and the serial numbers of DNS zones: questions that may take seconds, as jobs. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "loop/helper.h"
#include "net/address.h"

/* How names are looked up. Outlives the jobs of its helper. */
struct resolver {
    struct helper *helper; /* NULL: nothing can be looked up */
    char *resolv_conf;     /* which name servers; "": those of the system */
    _Atomic bool direct;   /* c-ares asks them; else getaddrinfo(3) does whatever the system does */
    _Atomic bool ending;   /* nobody wants an answer any more */
};

#define RESOLVE_MAX 8

/* The caller embeds it and fills host, port, job.from and job.done.deliver. */
struct resolve {
    struct job job;
    const struct resolver *by;
    char host[256];
    uint16_t port;
    unsigned n; /* addresses found; 0: message says why */
    struct net_address found[RESOLVE_MAX];
    char message[128];
};
/* False: there is no room for more jobs. */
bool resolve_start(const struct resolver *by, struct resolve *r);

/* The same for the SOA record of a zone. */
struct resolve_serial {
    struct job job;
    const struct resolver *by;
    char zone[256];
    bool found;
    uint32_t serial;
};
bool resolve_serial_start(const struct resolver *by, struct resolve_serial *r);

/* Was c-ares built in? Without it resolver.direct stays false, and no serial is found. */
bool resolve_has_cares(void);

#endif
