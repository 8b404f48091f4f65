/* SPDX-License-Identifier: ISC */
/* The sockets that clients come in by: opened here, given by systemd, or by the process that we take over from.
 */
#ifndef APP_LISTEN_PRIVATE_H
#define APP_LISTEN_PRIVATE_H

#include "conf/conf.h"
#include "net/address.h"
#include "session/hall.h"

/* Sockets that others made. */
struct inherited {
    struct inherited_socket {
        int fd; /* -1: used */
        bool activated;
        struct net_address address;
    } * at;
    unsigned n;
    int door; /* -1: none */
};
/* FD is taken over. */
void inherited_add(struct inherited *i, int fd, bool activated);
/* Those that systemd passed (sd_listen_fds(3)); none is fine. */
bool inherited_activate(struct inherited *i, struct fault *why);
void inherited_done(struct inherited *i); /* closes what nobody used */

struct listening {
    struct listening_socket {
        int fd; /* -1: a hall has it */
        unsigned worker;
    } * at;
    unsigned n;
    bool deals;     /* some address has not one socket for each worker */
    bool activated; /* systemd made them */
    bool ours;      /* the files are to be removed at the end */
    int door;       /* where a process that takes over knocks; -1: nowhere */
    char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": none to remove */
    char door_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};
/* USER is who the process will be. What FROM has of the addresses of G is used, the rest is opened. */
bool listening_open(struct listening *l, const struct conf_general *g, unsigned n_workers,
                    struct inherited *from, struct fault *why);
/* Let the process's later self open the door: USER owns it. */
bool
listening_open_door(struct listening *l, const struct conf_general *g, const char *user, struct fault *why);
/* H's sockets become H's. */
void listening_give(struct listening *l, struct hall *h);
/* Closes what no hall has, removes the files. */
void listening_done(struct listening *l);

#endif
