/* SPDX-License-Identifier: ISC */
/* The table of facts: by digest when that says all, by the exact text when literals matter or the parser failed
 * (what fails for a literal's sake must not spoil the digest for others). One worker owns a table and
 * everything that comes out of it. Leaves the meaning of SQL to analyse. */
#include "sql/facts.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "analyse_private.h"
#include "base/mem.h"
#include "base/ring.h"
#include "sql/digest.h"
#include "suspect_private.h"

#define uthash_malloc(len)  mem_alloc(len)
#define uthash_free(p, len) mem_free(p)
#include <uthash.h>

#define BYTES_PER_ENTRY 2048
/* One entry may not push out more than this part of the others. */
#define LARGEST_PART    16

struct entry {
    struct facts facts;
    unsigned holds;    /* the table's is one of them */
    uint64_t key[2];   /* digest, or hash of the text */
    struct slice text; /* the exact text; data is NULL when the digest says all */
    size_t bytes;
    struct ring by_use;
    UT_hash_handle hh;
};

struct facts_table {
    uint64_t seed;
    unsigned capacity;
    struct entry *entries;
    struct ring by_use; /* most recently used first */
    struct facts_stats stats;
};

/* The answers about what is not analysed. */
static const struct facts unknown = { .class = CLASS_UNKNOWN };
static const struct effect anything = { .kind = EFFECT_MAY_LEAVE };
static const struct facts suspect = { .class = CLASS_UNKNOWN, .n_effects = 1, .effects = &anything };

static bool
is_kept(const struct facts *f)
{
    return f != &unknown && f != &suspect;
}

const struct facts *
facts_unknown(void)
{
    return &suspect;
}

static const struct facts *
refuse(struct facts_table *t, struct slice sql)
{
    t->stats.refused++;
    return sql.len > DIGEST_MAX_LEN || suspect_words(sql) ? &suspect : &unknown;
}

static struct entry *
entry_of(const struct facts *f)
{
    return container_of((void *)(uintptr_t)f, struct entry, facts);
}

const struct facts *
facts_hold(const struct facts *f)
{
    if (is_kept(f))
        entry_of(f)->holds++;
    return f;
}

void
facts_drop(const struct facts *f)
{
    if (f == NULL || !is_kept(f))
        return;
    assert(entry_of(f)->holds > 0);
    if (--entry_of(f)->holds == 0)
        mem_free(entry_of(f));
}

struct facts_table *
facts_table_new(unsigned capacity, uint64_t seed)
{
    struct facts_table *t = mem_new(struct facts_table);

    t->seed = seed;
    t->capacity = capacity < 16 ? 16 : capacity;
    ring_init(&t->by_use);
    return t;
}

static void
forget(struct facts_table *t, struct entry *e)
{
    HASH_DEL(t->entries, e);
    ring_remove(&e->by_use);
    t->stats.entries--;
    t->stats.bytes -= e->bytes;
    facts_drop(&e->facts);
}

void
facts_table_free(struct facts_table *t)
{
    struct ring *last;

    if (t == NULL)
        return;
    while ((last = ring_last(&t->by_use)) != NULL)
        forget(t, container_of(last, struct entry, by_use));
    mem_free(t);
}

struct facts_stats
facts_table_stats(const struct facts_table *t)
{
    return t->stats;
}

/* The entry of KEY; of TEXT when its data is not NULL. */
static struct entry *
find(struct facts_table *t, const uint64_t key[2], struct slice text)
{
    struct entry *e = NULL;

    HASH_FIND_BYHASHVALUE(hh, t->entries, key, sizeof(e->key), (unsigned)key[0], e);
    if (e == NULL || (e->text.data == NULL) != (text.data == NULL))
        return NULL;
    if (text.data != NULL && !slice_equal(e->text, text))
        return NULL;
    if (ring_first(&t->by_use) != &e->by_use) {
        ring_remove(&e->by_use);
        ring_insert(&t->by_use, &e->by_use);
    }
    return e;
}

static size_t
bytes_of_names(const struct name_list *list)
{
    size_t bytes = list->n * sizeof(struct facts_name);

    for (unsigned i = 0; i < list->n; i++)
        bytes += list->items[i].schema.len + list->items[i].name.len;
    return bytes;
}

static size_t
bytes_of(const struct analysis *a, struct slice text)
{
    size_t bytes = sizeof(struct entry) + a->effects.n * sizeof(struct effect) + text.len;

    for (unsigned i = 0; i < a->effects.n; i++)
        bytes += a->effects.list[i].name.len + a->effects.list[i].replay.len;
    bytes += bytes_of_names(&a->names.functions) + bytes_of_names(&a->names.relations);
    return bytes + (a->show_name == NULL ? 0 : strlen(a->show_name));
}

/* Copies S to *AT and moves *AT behind it. */
static struct slice
pack(uint8_t **at, struct slice s)
{
    struct slice packed = slice_of(*at, s.len);

    if (s.len > 0)
        memcpy(*at, s.data, s.len);
    *at += s.len;
    return packed;
}

static void
pack_names(struct facts_name *out, const struct name_list *list, uint8_t **at)
{
    for (unsigned i = 0; i < list->n; i++)
        out[i] = (struct facts_name){ .schema = pack(at, list->items[i].schema),
                                      .name = pack(at, list->items[i].name) };
}

static bool
names_statements(const struct analysis *a)
{
    for (unsigned i = 0; i < a->effects.n; i++)
        if (effect_names_statement(a->effects.list[i].kind))
            return true;
    for (unsigned i = 0; i < a->names.relations.n; i++)
        if (slice_is(a->names.relations.items[i].name, "pg_prepared_statements"))
            return true;
    return false;
}

/* The slices go to where *AT points. */
static void
fill(struct facts *f, const struct analysis *a, uint8_t **at)
{
    f->class = a->class;
    f->tag = a->tag;
    f->analysed = a->analysed;
    f->transaction_block = a->transaction_block;
    f->ends_block = a->ends_block;
    f->in_steps = a->in_steps;
    f->reads_only = a->reads_only;
    f->names_complete = a->analysed && !a->names.functions.cut && !a->names.relations.cut;
    f->reads_by_grammar = a->reads_by_grammar && f->names_complete;
    f->serializable = a->mode.serializable;
    f->begin = a->mode.begin;
    f->set_transaction = a->mode.set_transaction;
    f->set_session = a->mode.set_session;
    f->has_literals = a->effects.has_literals;
    f->n_statements = a->n_statements;
    f->names_statements = names_statements(a);
    f->notifies = a->effects.notifies;
    f->plain = a->n_statements == 1 && a->class == CLASS_OTHER && !a->transaction_block && a->effects.n == 0 &&
               !f->names_statements && !f->notifies;
    f->show_name = pack(at, slice_str(a->show_name));
    memcpy(f->fields, a->names.fields, sizeof(f->fields));
}

/* Everything in one block of memory: the entry, its effects, its names, their strings, the text (data may be
 * NULL). */
static struct entry *
entry_new(const struct analysis *a, const uint64_t key[2], struct slice text)
{
    size_t bytes = bytes_of(a, text);
    struct entry *e = mem_zalloc(bytes);
    struct effect *effects = (struct effect *)(e + 1);
    struct facts_name *functions = (struct facts_name *)(effects + a->effects.n);
    struct facts_name *relations = functions + a->names.functions.n;
    uint8_t *at = (uint8_t *)(relations + a->names.relations.n);

    e->holds = 1;
    e->bytes = bytes;
    memcpy(e->key, key, sizeof(e->key));
    ring_init(&e->by_use);
    for (unsigned i = 0; i < a->effects.n; i++) {
        effects[i] = a->effects.list[i];
        effects[i].name = pack(&at, effects[i].name);
        effects[i].replay = pack(&at, effects[i].replay);
    }
    pack_names(functions, &a->names.functions, &at);
    pack_names(relations, &a->names.relations, &at);
    e->facts = (struct facts){
        .n_effects = a->effects.n,
        .effects = effects,
        .n_functions = a->names.functions.n,
        .functions = functions,
        .n_relations = a->names.relations.n,
        .relations = relations,
    };
    fill(&e->facts, a, &at);
    if (text.data != NULL)
        e->text = pack(&at, text);
    return e;
}

/* Keeps E, unless it is too large; makes room. The table's hold is a new one. */
static void
keep(struct facts_table *t, struct entry *e)
{
    size_t limit = (size_t)t->capacity * BYTES_PER_ENTRY;

    if (e->bytes > limit / LARGEST_PART)
        return;
    while (t->stats.entries >= t->capacity || t->stats.bytes + e->bytes > limit)
        forget(t, container_of(ring_last(&t->by_use), struct entry, by_use));
    e->holds++;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, t->entries, e->key, sizeof(e->key), (unsigned)e->key[0], e);
    ring_insert(&t->by_use, &e->by_use);
    t->stats.entries++;
    t->stats.bytes += e->bytes;
}

/* Parses what no entry is about. */
static const struct facts *
learn(struct facts_table *t, struct slice sql, const struct digest *d, const uint64_t text_key[2])
{
    struct analysis a;
    struct entry *e;

    analyse(sql, d->n_literals > 0, &a);
    if (!a.analysed && suspect_words(sql))
        effects_add(&a.effects, anything);
    t->stats.parses++;
    t->stats.failed += !a.analysed;
    if (a.analysed && !a.effects.has_literals)
        e = entry_new(&a, d->hash, slice_of(NULL, 0));
    else
        e = entry_new(&a, text_key, sql);
    memcpy(e->facts.digest, d->hash, sizeof(d->hash));
    analysis_done(&a);
    keep(t, e);
    return &e->facts;
}

const struct facts *
facts_of(struct facts_table *t, struct slice sql, bool may_parse, bool *parsed)
{
    struct digest d;
    struct entry *e;
    XXH128_hash_t hash;
    uint64_t text_key[2];

    if (parsed != NULL)
        *parsed = false;
    if (sql.len == 0)
        sql = SLICE("");
    if (sql.len > DIGEST_MAX_LEN) /* not even its digest: that takes a millisecond a megabyte, and more */
        return refuse(t, sql);
    digest_of(sql, t->seed, &d);
    if (d.complete && (e = find(t, d.hash, slice_of(NULL, 0))) != NULL) {
        t->stats.hits++;
        return facts_hold(&e->facts);
    }
    if (!d.safe)
        return refuse(t, sql);
    hash = XXH3_128bits_withSeed(sql.data, sql.len, ~t->seed);
    memcpy(text_key, &hash, sizeof(text_key));
    if ((e = find(t, text_key, sql)) != NULL) {
        t->stats.hits++;
        return facts_hold(&e->facts);
    }
    if (!may_parse)
        return refuse(t, sql);
    if (parsed != NULL)
        *parsed = true;
    return learn(t, sql, &d, text_key);
}
