/* SPDX-License-Identifier: ISC */
/* The named statements that a server knows. */
#include "server/prepared.h"

#include <stddef.h>
#include <stdio.h>
#define HASH_FUNCTION(key, len, out) ((out) = (unsigned)*(const uint64_t *)(key)) /* ids are hashes already */
#include <uthash.h>

#include "base/mem.h"
#include "base/ring.h"

struct entry {
    struct statement_id id;
    int64_t born;
    struct ring by_use; /* most recently used first */
    UT_hash_handle hh;
};

struct prepared {
    struct entry *entries;
    struct ring by_use;
};

unsigned
statement_name(struct statement_id id, char out[STATEMENT_NAME])
{
    return (unsigned)snprintf(out, STATEMENT_NAME, "pgweir_%016llx%016llx", (unsigned long long)id.a,
                              (unsigned long long)id.b);
}

bool
statement_id_of(struct slice name, struct statement_id *id)
{
    char text[STATEMENT_NAME] = "";
    unsigned long long a, b;

    if (name.len != STATEMENT_NAME - 1)
        return false;
    memcpy(text, name.data, name.len);
    if (sscanf(text, "pgweir_%16llx%16llx", &a, &b) != 2)
        return false;
    *id = (struct statement_id){ a, b };
    return true;
}

struct prepared *
prepared_new(void)
{
    struct prepared *p = mem_new(struct prepared);

    ring_init(&p->by_use);
    return p;
}

static struct entry *
find(const struct prepared *p, struct statement_id id)
{
    struct entry *e;

    HASH_FIND(hh, p->entries, &id, sizeof(id), e);
    return e;
}

static void
forget(struct prepared *p, struct entry *e)
{
    HASH_DEL(p->entries, e);
    ring_remove(&e->by_use);
    mem_free(e);
}

void
prepared_clear(struct prepared *p)
{
    struct entry *e, *next;

    HASH_ITER(hh, p->entries, e, next)
    forget(p, e);
}

void
prepared_free(struct prepared *p)
{
    if (p == NULL)
        return;
    prepared_clear(p);
    mem_free(p);
}

/* The entry, most recently used from now on; NULL. */
static struct entry *
use(struct prepared *p, struct statement_id id)
{
    struct entry *e = find(p, id);

    if (e != NULL && p->by_use.next != &e->by_use) {
        ring_remove(&e->by_use);
        ring_insert(&p->by_use, &e->by_use);
    }
    return e;
}

int64_t
prepared_born(struct prepared *p, struct statement_id id)
{
    const struct entry *e = use(p, id);

    return e == NULL ? 0 : e->born;
}

void
prepared_add(struct prepared *p, struct statement_id id, int64_t born)
{
    struct entry *e = use(p, id);

    if (e != NULL) {
        e->born = born;
        return;
    }
    e = mem_new(struct entry);
    e->id = id;
    e->born = born;
    ring_insert(&p->by_use, &e->by_use);
    HASH_ADD(hh, p->entries, id, sizeof(id), e);
}

void
prepared_remove(struct prepared *p, struct statement_id id)
{
    struct entry *e = find(p, id);

    if (e != NULL)
        forget(p, e);
}

bool
prepared_evict(struct prepared *p, unsigned max, struct statement_id *id)
{
    struct entry *e;

    if (prepared_count(p) <= max)
        return false;
    e = container_of(ring_last(&p->by_use), struct entry, by_use);
    *id = e->id;
    forget(p, e);
    return true;
}

unsigned
prepared_count(const struct prepared *p)
{
    return HASH_COUNT(p->entries);
}
