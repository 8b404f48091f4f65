/* SPDX-License-Identifier: ISC */
/* Addresses of TCP and Unix sockets. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

bool
net_address_numeric(struct net_address *a, const char *host, uint16_t port)
{
    memset(a, 0, sizeof(*a));
    if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(port);
        a->len = sizeof(a->v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        a->len = sizeof(a->v6);
        return true;
    }
    return false;
}

static bool
unix_address(struct net_address *a, const char *dir, const char *name, uint16_t port)
{
    bool abstract = dir[0] == '@';
    int n;

    memset(a, 0, sizeof(*a));
    a->local.sun_family = AF_UNIX;
    n = snprintf(a->local.sun_path, sizeof(a->local.sun_path), "%s/%s.%u", dir, name, port);
    if (n < 0 || (size_t)n >= sizeof(a->local.sun_path))
        return false;
    if (abstract)
        a->local.sun_path[0] = '\0';
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + (abstract ? 0 : 1));
    return true;
}

bool
net_address_unix(struct net_address *a, const char *dir, uint16_t port)
{
    return unix_address(a, dir, ".s.PGSQL", port);
}

bool
net_address_door(struct net_address *a, const char *dir, uint16_t port)
{
    return unix_address(a, dir, ".s.PGWEIR", port);
}

void
net_address_host(const struct net_address *a, char out[NET_ADDRESS_TEXT])
{
    const char *ok = NULL;

    if (a->len > 0 && a->any.sa_family == AF_INET)
        ok = inet_ntop(AF_INET, &a->v4.sin_addr, out, NET_ADDRESS_TEXT);
    else if (a->len > 0 && a->any.sa_family == AF_INET6)
        ok = inet_ntop(AF_INET6, &a->v6.sin6_addr, out, NET_ADDRESS_TEXT);
    if (ok == NULL)
        strcpy(out, a->len == 0 ? "" : "unix");
}

uint16_t
net_address_port(const struct net_address *a)
{
    if (a->len == 0 || (a->any.sa_family != AF_INET && a->any.sa_family != AF_INET6))
        return 0;
    return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

void
net_address_set_port(struct net_address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET)
        a->v4.sin_port = htons(port);
    else
        a->v6.sin6_port = htons(port);
}

void
net_address_print(const struct net_address *a, char out[NET_ADDRESS_TEXT])
{
    char host[NET_ADDRESS_TEXT];

    net_address_host(a, host);
    if (a->len > 0 && a->any.sa_family == AF_UNIX)
        snprintf(out, NET_ADDRESS_TEXT, "unix:%s", a->local.sun_path[0] ? a->local.sun_path : "@");
    else
        snprintf(out, NET_ADDRESS_TEXT, strchr(host, ':') ? "[%.100s]:%u" : "%.100s:%u", host,
                 net_address_port(a));
}

void
net_address_peer(struct net_address *a, int fd)
{
    memset(a, 0, sizeof(*a));
    a->len = sizeof(*a) - offsetof(struct net_address, any);
    if (getpeername(fd, &a->any, &a->len) == -1)
        a->len = 0;
}

void
net_address_local(struct net_address *a, int fd)
{
    memset(a, 0, sizeof(*a));
    a->len = sizeof(*a) - offsetof(struct net_address, any);
    if (getsockname(fd, &a->any, &a->len) == -1)
        a->len = 0;
}

bool
net_set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

void
net_tune(int fd, const struct tcp_options *o)
{
    if (!net_set(fd, IPPROTO_TCP, TCP_NODELAY, 1))
        return; /* a Unix socket */
    if (o->buffer > 0) {
        net_set(fd, SOL_SOCKET, SO_SNDBUF, o->buffer);
        net_set(fd, SOL_SOCKET, SO_RCVBUF, o->buffer);
    }
    if (o->keepalive) {
        net_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        if (o->idle_s > 0)
            net_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->idle_s);
        if (o->interval_s > 0)
            net_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->interval_s);
        if (o->count > 0)
            net_set(fd, IPPROTO_TCP, TCP_KEEPCNT, o->count);
    }
    if (o->user_timeout_ms > 0)
        net_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, o->user_timeout_ms);
}

/* As IPv6, so that 10.0.0.1 and ::ffff:10.0.0.1 are the same; false: neither. */
static bool
wide(const struct sockaddr *a, struct in6_addr *out)
{
    memset(out, 0, sizeof(*out));
    if (a->sa_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, sizeof(*out));
        return true;
    }
    out->s6_addr[10] = out->s6_addr[11] = 0xFF;
    memcpy(out->s6_addr + 12, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
    return a->sa_family == AF_INET;
}

static bool
has_address(const char *name, const struct in6_addr *want)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *all = NULL;
    struct in6_addr one;
    bool found = false;

    if (getaddrinfo(name, NULL, &hints, &all) != 0)
        return false;
    for (const struct addrinfo *a = all; !found && a != NULL; a = a->ai_next)
        found = wide(a->ai_addr, &one) && memcmp(&one, want, sizeof(one)) == 0;
    freeaddrinfo(all);
    return found;
}

void
net_address_name(const struct net_address *a, char *out, size_t len)
{
    struct in6_addr want;

    if (a->len == 0 || !wide(&a->any, &want) ||
        getnameinfo(&a->any, a->len, out, (socklen_t)len, NULL, 0, NI_NAMEREQD) != 0 ||
        !has_address(out, &want))
        out[0] = '\0';
}
