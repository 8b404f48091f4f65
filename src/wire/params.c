/* SPDX-License-Identifier: ISC */
/* Interned sets of name -> value. One worker owns a table and all its sets. */
#include "wire/params.h"

#include <assert.h>
#include <strings.h>

#include "base/mem.h"
#include "base/random.h"

#define BUCKETS 256

struct params_table {
    uint64_t seed;
    size_t sets, bytes;
    struct params *bucket[BUCKETS];
};

struct params_table *
params_table_new(void)
{
    struct params_table *t = mem_new(struct params_table);

    t->seed = random_u64();
    return t;
}

void
params_table_free(struct params_table *t)
{
    assert(t == NULL || t->sets == 0);
    mem_free(t);
}

/* FNV-1a over 64 bits, seeded: sets are few and small, and equality is checked byte by byte. */
static uint64_t
mix(uint64_t h, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.data[i]) * 0x100000001b3ULL;
    return (h ^ 0xff) * 0x100000001b3ULL;
}

static uint64_t
hash_member(const struct params_table *t, const struct param *m)
{
    uint64_t h = mix(mix(t->seed ^ 0xcbf29ce484222325ULL, m->name), m->value);

    return (h ^ h >> 29) * 0x9e3779b97f4a7c15ULL;
}

/* A set's is the sum of its members', so that a change of one costs that one. */
static uint64_t
hash_members(const struct params_table *t, const struct param *at, unsigned n)
{
    uint64_t h = t->seed;

    for (unsigned i = 0; i < n; i++)
        h += hash_member(t, &at[i]);
    return h;
}

static bool
same_members(const struct params *p, const struct param *at, unsigned n)
{
    if (p->n != n)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!slice_equal(p->at[i].name, at[i].name) || !slice_equal(p->at[i].value, at[i].value))
            return false;
    return true;
}

/* The same for names that compare equal. */
static uint64_t
mark_of(struct slice name)
{
    return UINT64_C(1) << ((name.len * 5 + (name.len == 0 ? 0 : name.data[0] | 0x20)) & 63);
}

static struct params *
copy_members(const struct param *at, unsigned n)
{
    struct params *p;
    size_t len = 0;
    uint8_t *bytes;

    for (unsigned i = 0; i < n; i++)
        len += at[i].name.len + at[i].value.len;
    p = mem_alloc(sizeof(*p) + n * sizeof(struct param) + len);
    *p = (struct params){ .refs = 1, .n = n, .len = len };
    bytes = (uint8_t *)&p->at[n];
    for (unsigned i = 0; i < n; i++) {
        struct slice *to[2] = { &p->at[i].name, &p->at[i].value };
        const struct slice *from[2] = { &at[i].name, &at[i].value };

        p->mark |= mark_of(at[i].name);
        for (int k = 0; k < 2; k++) {
            *to[k] = slice_of(bytes, from[k]->len);
            if (from[k]->len > 0)
                memcpy(bytes, from[k]->data, from[k]->len);
            bytes += from[k]->len;
        }
    }
    return p;
}

static size_t
memory(const struct params *p)
{
    return sizeof(*p) + p->n * sizeof(struct param) + p->len;
}

static struct params *
make(struct params_table *t, const struct param *at, unsigned n, uint64_t hash)
{
    struct params *p = copy_members(at, n);

    p->hash = hash;
    p->table = t;
    p->next = t->bucket[hash % BUCKETS];
    t->bucket[hash % BUCKETS] = p;
    t->sets++;
    t->bytes += memory(p);
    return p;
}

static struct params *
intern_hashed(struct params_table *t, const struct param *at, unsigned n, uint64_t hash)
{
    for (struct params *p = t->bucket[hash % BUCKETS]; p != NULL; p = p->next)
        if (p->hash == hash && same_members(p, at, n))
            return params_hold(p);
    return make(t, at, n, hash);
}

static struct params *
intern(struct params_table *t, const struct param *at, unsigned n)
{
    return intern_hashed(t, at, n, hash_members(t, at, n));
}

struct params *
params_empty(struct params_table *t)
{
    return intern(t, NULL, 0);
}

struct params *
params_hold(struct params *p)
{
    p->refs++;
    return p;
}

void
params_drop(struct params *p)
{
    struct params **link;

    if (p == NULL || --p->refs > 0)
        return;
    link = &p->table->bucket[p->hash % BUCKETS];
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    p->table->sets--;
    p->table->bytes -= memory(p);
    mem_free(p);
}

static int
compare(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int d = n == 0 ? 0 : strncasecmp((const char *)a.data, (const char *)b.data, n);

    return d != 0 ? d : (a.len > b.len) - (a.len < b.len);
}

/* Where NAME is, or would go. */
static unsigned
position(const struct params *p, struct slice name, bool *found)
{
    unsigned low = 0, high = p->n;

    *found = false;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        int d = compare(p->at[mid].name, name);

        if (d == 0) {
            *found = true;
            return mid;
        }
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct params *
params_with(struct params *p, struct slice name, struct slice value)
{
    const struct param new = { name, value };
    bool found;
    unsigned i = position(p, name, &found);
    uint64_t hash = p->hash + hash_member(p->table, &new);
    struct param *at;
    struct params *q;

    if (found && slice_equal(p->at[i].name, name) && slice_equal(p->at[i].value, value))
        return p;
    if (found)
        hash -= hash_member(p->table, &p->at[i]);
    at = mem_alloc((p->n + 1) * sizeof(*at));
    if (i > 0)
        memcpy(at, p->at, i * sizeof(*at));
    at[i] = new;
    if (p->n > i + found)
        memcpy(&at[i + 1], &p->at[i + found], (p->n - i - found) * sizeof(*at));
    q = intern_hashed(p->table, at, p->n + !found, hash);
    mem_free(at);
    params_drop(p);
    return q;
}

struct params *
params_without(struct params *p, struct slice name)
{
    bool found;
    unsigned i = position(p, name, &found);
    struct param *at;
    struct params *q;

    if (!found)
        return p;
    at = mem_alloc(p->n * sizeof(*at));
    memcpy(at, p->at, i * sizeof(*at));
    memcpy(&at[i], &p->at[i + 1], (p->n - i - 1) * sizeof(*at));
    q = intern_hashed(p->table, at, p->n - 1, p->hash - hash_member(p->table, &p->at[i]));
    mem_free(at);
    params_drop(p);
    return q;
}

bool
params_same(const struct params *a, const struct params *b)
{
    return same_members(a, b->at, b->n);
}

struct params *
params_copy(const struct params *p)
{
    return copy_members(p->at, p->n);
}

struct params *
params_import(struct params_table *t, const struct params *p)
{
    return intern(t, p->at, p->n);
}

void
params_detach(struct params **p)
{
    struct params *copy;

    if (*p == NULL)
        return;
    copy = copy_members((*p)->at, (*p)->n);
    params_drop(*p);
    *p = copy;
}

void
params_attach(struct params **p, struct params_table *t)
{
    struct params *copy = *p;

    if (copy == NULL)
        return;
    *p = intern(t, copy->at, copy->n);
    mem_free(copy);
}

const struct param *
params_find(const struct params *p, struct slice name)
{
    bool found;
    unsigned i;

    if ((p->mark & mark_of(name)) == 0)
        return NULL;
    i = position(p, name, &found);
    return found ? &p->at[i] : NULL;
}

struct slice
params_value(const struct params *p, struct slice name)
{
    const struct param *member = params_find(p, name);

    return member == NULL ? slice_of(NULL, 0) : member->value;
}

void
params_table_stats(const struct params_table *t, size_t *sets, size_t *bytes)
{
    *sets = t->sets;
    *bytes = t->bytes;
}
