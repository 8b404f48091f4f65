/* SPDX-License-Identifier: ISC */
/* Figures by name. */
#include "gather_private.h"

#include <uthash.h>

#include "base/mem.h"
#include "base/text.h"

struct entry {
    struct tally tally; /* first */
    char *key;          /* first, NUL, second */
    UT_hash_handle hh;
};

void
gather_init(struct gather *g)
{
    *g = (struct gather){ 0 };
    g->last = &g->first;
}

void
gather_done(struct gather *g)
{
    struct entry *all = g->index, *e, *next;

    HASH_ITER(hh, all, e, next)
    {
        HASH_DEL(all, e);
        mem_free(e->key);
        mem_free(e);
    }
    *g = (struct gather){ 0 };
}

static struct entry *
make(struct gather *g, struct text *key, size_t first_len)
{
    struct entry *all = g->index, *e = mem_new(struct entry);
    size_t len = key->len;

    e->key = text_take(key);
    e->tally.first = slice_of(e->key, first_len);
    e->tally.second = slice_of(e->key + first_len + 1, len - first_len - 1);
    HASH_ADD_KEYPTR(hh, all, e->key, len, e);
    g->index = all;
    *g->last = &e->tally;
    g->last = &e->tally.next;
    return e;
}

struct tally *
gather_at(struct gather *g, struct slice first, struct slice second)
{
    struct entry *all = g->index, *e;
    struct text key = { 0 };

    text_add(&key, first);
    text_add_char(&key, '\0');
    text_add(&key, second);
    HASH_FIND(hh, all, key.data, key.len, e);
    if (e == NULL)
        e = make(g, &key, first.len);
    text_done(&key);
    return &e->tally;
}
