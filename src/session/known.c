/* SPDX-License-Identifier: ISC */
/* Facts of texts that were seen lately: one look at a table by a seeded hash of
 * the whole text, so that a statement that comes again needs no lexer. Owned by its hall. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "session_private.h"

#define KNOWN_TEXTS 2048 /* a power of two; the newest of two texts in one place stays */

struct known_text {
    uint64_t key; /* 64 bits of a hash that nobody outside can compute */
    const struct facts *facts;
};

void
known_open(struct hall *h)
{
    h->known_texts = mem_zalloc(KNOWN_TEXTS * sizeof(struct known_text));
}

void
known_close(struct hall *h)
{
    for (unsigned i = 0; i < KNOWN_TEXTS; i++)
        if (h->known_texts[i].facts != NULL)
            facts_drop(h->known_texts[i].facts);
    mem_free(h->known_texts);
}

const struct facts *
known_find(struct hall *h, struct slice sql, uint64_t *key)
{
    const struct known_text *k;

    *key = XXH3_64bits_withSeed(sql.data, sql.len, h->seed);
    k = &h->known_texts[*key & (KNOWN_TEXTS - 1)];
    return k->key == *key && k->facts != NULL ? facts_hold(k->facts) : NULL;
}

void
known_add(struct hall *h, uint64_t key, const struct facts *f)
{
    struct known_text *k = &h->known_texts[key & (KNOWN_TEXTS - 1)];

    if (k->facts != NULL)
        facts_drop(k->facts);
    k->key = key;
    k->facts = facts_hold(f);
}
