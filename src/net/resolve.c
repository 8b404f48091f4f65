/* SPDX-License-Identifier: ISC */
/* Names to addresses on a helper thread. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "resolve_private.h"

void
resolve_add(struct resolve *r, const struct sockaddr *address, socklen_t len)
{
    struct net_address *a = &r->found[r->n];

    if (r->n == RESOLVE_MAX || len > sizeof(*a) - offsetof(struct net_address, any))
        return;
    memset(a, 0, sizeof(*a));
    memcpy(&a->any, address, len);
    a->len = len;
    net_address_set_port(a, r->port);
    r->n++;
}

static void
ask_system(struct resolve *r)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list = NULL;
    int code;

    code = getaddrinfo(r->host, NULL, &hints, &list);
    snprintf(r->message, sizeof(r->message), "%s", code == 0 ? "no address" : gai_strerror(code));
    for (struct addrinfo *at = list; at != NULL; at = at->ai_next)
        resolve_add(r, at->ai_addr, at->ai_addrlen);
    if (list != NULL)
        freeaddrinfo(list);
}

static void
look_up(struct job *j)
{
    struct resolve *r = container_of(j, struct resolve, job);

    r->n = 0;
    if (atomic_load(&r->by->direct))
        cares_look_up(r);
    else
        ask_system(r);
}

bool
resolve_start(const struct resolver *by, struct resolve *r)
{
    r->by = by;
    r->job.run = look_up;
    return by->helper != NULL && helper_submit(by->helper, &r->job);
}

static void
find_serial(struct job *j)
{
    struct resolve_serial *r = container_of(j, struct resolve_serial, job);

    r->found = false;
    cares_find_serial(r);
}

bool
resolve_serial_start(const struct resolver *by, struct resolve_serial *r)
{
    r->by = by;
    r->job.run = find_serial;
    return by->helper != NULL && helper_submit(by->helper, &r->job);
}
