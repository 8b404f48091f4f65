/* SPDX-License-Identifier: ISC */
/* Whose the notifications of a server are while a session notifies there. Pure. */
#include <uthash.h>

#include "base/mem.h"
#include "listen_private.h"

struct byline {
    uint32_t pid, told;
    UT_hash_handle hh;
};

uint32_t
bylines_find(const struct byline *all, uint32_t pid)
{
    struct byline *b;

    HASH_FIND(hh, all, &pid, sizeof(pid), b);
    return b == NULL ? pid : b->told;
}

void
bylines_set(struct byline **all, uint32_t pid, uint32_t told)
{
    struct byline *b;

    HASH_FIND(hh, *all, &pid, sizeof(pid), b);
    if (b != NULL) {
        HASH_DEL(*all, b);
        mem_free(b);
    }
    if (told == 0)
        return;
    b = mem_new(struct byline);
    b->pid = pid;
    b->told = told;
    HASH_ADD(hh, *all, pid, sizeof(pid), b);
}

void
bylines_done(struct byline **all)
{
    struct byline *b, *next;

    HASH_ITER(hh, *all, b, next)
    {
        HASH_DEL(*all, b);
        mem_free(b);
    }
}
