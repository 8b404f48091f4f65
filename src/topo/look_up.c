/* SPDX-License-Identifier: ISC */
/* Which address of a name a node has. */
#include "look_up_private.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct node_look_up {
    struct resolve resolve;
    look_up_on_address *on_address; /* NULL: forgotten */
    void *owner;
    char *last;
    bool failed;
};

bool
node_host_is_plain(const char *host)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *found;

    if (host[0] == '/' || host[0] == '@')
        return true;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

static bool
print(const struct net_address *a, char out[NI_MAXHOST])
{
    return getnameinfo(&a->any, a->len, out, NI_MAXHOST, NULL, 0, NI_NUMERICHOST) == 0;
}

/* The address in use stays as long as the name has it, unless it failed. */
static bool
choose(const struct node_look_up *l, char out[NI_MAXHOST])
{
    unsigned n = l->resolve.n, at = 0;

    for (unsigned i = 0; i < n && l->last != NULL; i++)
        if (print(&l->resolve.found[i], out) && strcmp(out, l->last) == 0)
            at = l->failed ? (i + 1) % n : i;
    return n > 0 && print(&l->resolve.found[at], out);
}

static void
look_up_free(struct node_look_up *l)
{
    mem_free(l->last);
    mem_free(l);
}

static void
on_done(struct worker *w, struct mail *m)
{
    struct node_look_up *l = container_of(m, struct node_look_up, resolve.job.done);
    char address[NI_MAXHOST];

    (void)w;
    if (l->on_address != NULL && choose(l, address))
        l->on_address(l->owner, address, NULL);
    else if (l->on_address != NULL)
        l->on_address(l->owner, NULL,
                      l->resolve.job.dropped ? "the look-up of its name was given up" : l->resolve.message);
    look_up_free(l);
}

struct node_look_up *
node_look_up(const struct resolver *by, struct worker *w, const struct look_up_question *q,
             look_up_on_address *on_address, void *owner)
{
    struct node_look_up *l = mem_new(struct node_look_up);

    l->resolve.job.from = w;
    l->resolve.job.done.deliver = on_done;
    snprintf(l->resolve.host, sizeof(l->resolve.host), "%s", q->host);
    l->on_address = on_address;
    l->owner = owner;
    l->last = mem_strdup(q->last);
    l->failed = q->failed;
    if (resolve_start(by, &l->resolve))
        return l;
    look_up_free(l);
    return NULL;
}

void
node_look_up_forget(struct node_look_up *l)
{
    if (l != NULL)
        l->on_address = NULL;
}
