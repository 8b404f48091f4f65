/* SPDX-License-Identifier: ISC */
/* What was seen lately: facts of texts, by one look at a table with a seeded hash of
 * the whole text, so that a statement that comes again needs no lexer; and what start-up packets mean. Owned by
 * its hall. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"
#include "session_private.h"

#define KNOWN_TEXTS 2048 /* a power of two; the newest of two texts in one place stays */

struct known_text {
    uint64_t key; /* 64 bits of a hash that nobody outside can compute */
    const struct facts *facts;
};

#define KNOWN_STARTUPS 64   /* a power of two, as above */
#define STARTUP_WORDS  1024 /* longest packet that is kept */

struct known_startup {
    struct slice words; /* of the packet; owned */
    struct params *settings;
    char *application; /* NULL: it names none */
};

void
known_open(struct hall *h)
{
    h->known_texts = mem_zalloc(KNOWN_TEXTS * sizeof(struct known_text));
    h->startups = mem_zalloc(KNOWN_STARTUPS * sizeof(struct known_startup));
}

void
known_close(struct hall *h)
{
    known_forget_startups(h);
    mem_free(h->startups);
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

/* ---- start-up packets ---- */

static void
forget(struct known_startup *k)
{
    mem_free((void *)(uintptr_t)k->words.data);
    params_drop(k->settings);
    mem_free(k->application);
    *k = (struct known_startup){ 0 };
}

void
known_forget_startups(struct hall *h)
{
    for (unsigned i = 0; i < KNOWN_STARTUPS; i++)
        forget(&h->startups[i]);
}

static struct known_startup *
startup_slot(struct hall *h, struct slice words)
{
    return &h->startups[XXH3_64bits_withSeed(words.data, words.len, h->seed) & (KNOWN_STARTUPS - 1)];
}

bool
known_startup_take(struct session *s, struct slice words)
{
    const struct known_startup *k = startup_slot(s->hall, words);

    if (k->words.len == 0 || !slice_equal(k->words, words))
        return false;
    s->startup = params_hold(k->settings);
    s->application = mem_strdup(k->application);
    return true;
}

void
known_startup_add(struct session *s, struct slice words)
{
    struct known_startup *k = startup_slot(s->hall, words);

    if (words.len > STARTUP_WORDS)
        return;
    forget(k);
    k->words = slice_of(mem_dup(words.data, words.len), words.len);
    k->settings = params_hold(s->startup);
    k->application = mem_strdup(s->application);
}
