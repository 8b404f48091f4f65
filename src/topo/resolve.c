/* SPDX-License-Identifier: ISC */
/* getaddrinfo(3) as a job. */
#include "resolve_private.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define MAX_ADDRESSES 16

struct resolve {
    struct job job;
    resolve_on_address *on_address; /* NULL: forgotten */
    void *owner;
    char *host, *last;
    bool failed;
    int error; /* of getaddrinfo(3) */
    char address[NI_MAXHOST];
};

bool
resolve_is_plain(const char *host)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *found;

    if (host[0] == '/' || host[0] == '@')
        return true;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

static unsigned
print_all(const struct addrinfo *found, char (*out)[NI_MAXHOST])
{
    unsigned n = 0;

    for (const struct addrinfo *a = found; a != NULL && n < MAX_ADDRESSES; a = a->ai_next)
        n += getnameinfo(a->ai_addr, a->ai_addrlen, out[n], NI_MAXHOST, NULL, 0, NI_NUMERICHOST) == 0;
    return n;
}

/* The address in use stays as long as the name has it, unless it failed. */
static void
choose(struct resolve *r, char (*all)[NI_MAXHOST], unsigned n)
{
    unsigned at = 0;

    for (unsigned i = 0; i < n && r->last != NULL; i++)
        if (strcmp(all[i], r->last) == 0)
            at = r->failed ? (i + 1) % n : i;
    memcpy(r->address, all[at], NI_MAXHOST);
}

static void
run(struct job *j)
{
    struct resolve *r = container_of(j, struct resolve, job);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char all[MAX_ADDRESSES][NI_MAXHOST];
    unsigned n = 0;

    r->error = getaddrinfo(r->host, NULL, &hints, &found);
    if (r->error == 0) {
        n = print_all(found, all);
        freeaddrinfo(found);
    }
    if (n > 0)
        choose(r, all, n);
}

static void
resolve_free(struct resolve *r)
{
    mem_free(r->host);
    mem_free(r->last);
    mem_free(r);
}

static void
on_done(struct worker *w, struct mail *m)
{
    struct resolve *r = container_of(m, struct resolve, job.done);

    (void)w;
    if (r->on_address != NULL && r->address[0] != '\0')
        r->on_address(r->owner, r->address, NULL);
    else if (r->on_address != NULL)
        r->on_address(r->owner, NULL,
                      r->job.dropped  ? "the look-up of its name was given up"
                      : r->error != 0 ? gai_strerror(r->error)
                                      : "its name has no address");
    resolve_free(r);
}

struct resolve *
node_resolve(struct helper *h, struct worker *w, const struct resolve_question *q,
             resolve_on_address *on_address, void *owner)
{
    struct resolve *r = mem_new(struct resolve);

    r->job = (struct job){ .done.deliver = on_done, .run = run, .from = w };
    r->on_address = on_address;
    r->owner = owner;
    r->host = mem_strdup(q->host);
    r->last = mem_strdup(q->last);
    r->failed = q->failed;
    if (h != NULL && helper_submit(h, &r->job))
        return r;
    resolve_free(r);
    return NULL;
}

void
resolve_forget(struct resolve *r)
{
    if (r != NULL)
        r->on_address = NULL;
}
