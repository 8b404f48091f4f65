/* SPDX-License-Identifier: ISC */
/* Rows by name. Clients choose what is looked up, but only the file chooses what is in the table,
 * so an unseeded hash is enough. */
#include "names_private.h"

#include <assert.h>

#include "base/mem.h"

/* FNV-1a */
static uint64_t
digest(struct slice s)
{
    uint64_t h = 14695981039346656037ULL;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.data[i]) * 1099511628211ULL;
    return h ^ h >> 32;
}

static struct slice
name_at(struct names_rows rows, size_t at)
{
    const char *const *name = (const void *)((const char *)rows.first + at * rows.size);

    return slice_str(*name);
}

/* The slot that holds NAME, or the free one where it would go. */
static uint32_t *
slot_of(const struct names *t, struct names_rows rows, struct slice name)
{
    size_t i = digest(name) & (t->cap - 1);

    while (t->slots[i] != 0 && !slice_equal(name_at(rows, t->slots[i] - 1), name))
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

size_t
names_find(const struct names *t, struct names_rows rows, struct slice name)
{
    uint32_t at = t->cap == 0 ? 0 : *slot_of(t, rows, name);

    return at == 0 ? NAMES_NONE : at - 1;
}

/* At most half full, so that a miss ends soon. */
static void
grow(struct names *t, struct names_rows rows)
{
    struct names wider = { .n = t->n, .cap = t->cap == 0 ? 16 : t->cap * 2 };

    wider.slots = mem_zalloc(wider.cap * sizeof(*wider.slots));
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i] != 0)
            *slot_of(&wider, rows, name_at(rows, t->slots[i] - 1)) = t->slots[i];
    mem_free(t->slots);
    *t = wider;
}

void
names_add(struct names *t, struct names_rows rows, size_t at)
{
    uint32_t *slot;

    assert(at < UINT32_MAX);
    if (t->n * 2 >= t->cap)
        grow(t, rows);
    slot = slot_of(t, rows, name_at(rows, at));
    assert(*slot == 0);
    *slot = (uint32_t)at + 1;
    t->n++;
}

void
names_copy(struct names *to, const struct names *from)
{
    *to = *from;
    if (from->slots != NULL)
        to->slots = mem_dup(from->slots, from->cap * sizeof(*from->slots));
}

void
names_done(struct names *t)
{
    mem_free(t->slots);
    *t = (struct names){ 0 };
}
