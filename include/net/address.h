/* SPDX-License-Identifier: ISC */
/* Addresses of TCP and Unix sockets. Pure, but for net_address_name(). */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fault.h"

struct net_address {
    socklen_t len; /* 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

#define NET_ADDRESS_TEXT 128

/* A numeric IPv4 or IPv6 address; false for names. */
bool net_address_numeric(struct net_address *a, const char *host, uint16_t port);
/* DIR/.s.PGSQL.PORT; a DIR that starts with @ is abstract. False when too long. */
bool net_address_unix(struct net_address *a, const char *dir, uint16_t port);
/* DIR/.s.PGWEIR.PORT, where a process that takes over knocks. */
bool net_address_door(struct net_address *a, const char *dir, uint16_t port);
/* "10.0.0.1", "::1" or "unix", and the port (0 for Unix sockets). */
void net_address_host(const struct net_address *a, char out[NET_ADDRESS_TEXT]);
uint16_t net_address_port(const struct net_address *a);
void net_address_set_port(struct net_address *a, uint16_t port); /* IPv4 and IPv6 */
/* "10.0.0.1:5432", "[::1]:5432", "unix:/path". */
void net_address_print(const struct net_address *a, char out[NET_ADDRESS_TEXT]);
/* The other end, or our own, of a connected socket. */
void net_address_peer(struct net_address *a, int fd);
void net_address_local(struct net_address *a, int fd);

/* SLOW (for helper threads): the name of A's host, if that name has this address; else "". LEN >= 1. */
void net_address_name(const struct net_address *a, char *out, size_t len);

struct tcp_options {
    bool keepalive;
    int idle_s, interval_s, count, user_timeout_ms, buffer; /* 0: the system's */
    int defer_accept_s;                                     /* of listeners */
};
/* setsockopt(2) with an int. */
bool net_set(int fd, int level, int name, int value);
/* TCP_NODELAY and the options; errors are ignored. */
void net_tune(int fd, const struct tcp_options *o);

#endif
