/* SPDX-License-Identifier: ISC */
/* The snapshot: hashes of names, open addressing, two low bits for the severity. Names themselves are not kept:
 * a seeded hash of 62 bits is as good, and a statement's names are at hand when a verdict must be explained.
 * Never changed after it was published; any thread. */
#include <stdatomic.h>

#include "base/mem.h"
#include "catalog_private.h"

#define SEVERITY_MASK UINT64_C(3)
#define ABSENT        SEVERITY_MASK /* no severity */

struct catalog {
    _Atomic unsigned holders;
    uint64_t seed;
    enum severity hidden;
    uint16_t *fields; /* marks of functions that t.name may call, and that are no reads */
    unsigned n_fields;
    unsigned n_slots, n_used; /* a power of two; at most half of them */
    uint64_t slots[];         /* 0: free */
};

static struct catalog *
with_slots(uint64_t seed, unsigned n)
{
    struct catalog *c = mem_zalloc(sizeof(struct catalog) + n * sizeof(c->slots[0]));

    atomic_init(&c->holders, 1);
    c->seed = seed;
    c->n_slots = n;
    return c;
}

struct catalog *
catalog_new(uint64_t seed)
{
    return with_slots(seed, 1024);
}

struct catalog *
catalog_hold(struct catalog *c)
{
    atomic_fetch_add_explicit(&c->holders, 1, memory_order_relaxed);
    return c;
}

void
catalog_drop(struct catalog *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->holders, 1, memory_order_acq_rel) > 1)
        return;
    mem_free(c->fields);
    mem_free(c);
}

/* FNV-1a; a part ends in a byte that no name has. */
static uint64_t
hash_part(uint64_t h, struct slice part)
{
    for (size_t i = 0; i < part.len; i++)
        h = (h ^ part.data[i]) * UINT64_C(0x100000001b3);
    return (h ^ 0xff) * UINT64_C(0x100000001b3);
}

/* Its low two bits are 0, and it is not 0. */
static uint64_t
name_key(const struct catalog *c, enum name_kind kind, const struct facts_name *name)
{
    uint64_t h = hash_part(c->seed ^ (uint64_t)kind, name->schema);

    h = hash_part(h, name->name);
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    h = (h ^ h >> 33) & ~SEVERITY_MASK;
    return h == 0 ? 4 : h;
}

/* Where KEY is, or may go. */
static unsigned
slot_of(const struct catalog *c, uint64_t key)
{
    unsigned at = (unsigned)(key >> 32) & (c->n_slots - 1);

    while (c->slots[at] != 0 && (c->slots[at] & ~SEVERITY_MASK) != key)
        at = (at + 1) & (c->n_slots - 1);
    return at;
}

static void
add_key(struct catalog *c, uint64_t key, enum severity severity)
{
    uint64_t *slot = &c->slots[slot_of(c, key)];

    if (*slot == 0) {
        *slot = key | severity;
        c->n_used++;
    } else if ((*slot & SEVERITY_MASK) < severity) {
        *slot = key | severity;
    }
}

static struct catalog *
grow(struct catalog *c)
{
    struct catalog *larger = with_slots(c->seed, c->n_slots * 2);

    larger->hidden = c->hidden;
    larger->fields = c->fields;
    larger->n_fields = c->n_fields;
    for (unsigned i = 0; i < c->n_slots; i++)
        if (c->slots[i] != 0)
            add_key(larger, c->slots[i] & ~SEVERITY_MASK, (enum severity)(c->slots[i] & SEVERITY_MASK));
    mem_free(c);
    return larger;
}

void
catalog_add(struct catalog **c, enum name_kind kind, const struct facts_name *name, enum severity severity)
{
    const struct facts_name bare = { .schema = SLICE(""), .name = name->name };

    if (((*c)->n_used + 2) * 2 > (*c)->n_slots)
        *c = grow(*c);
    add_key(*c, name_key(*c, kind, name), severity);
    add_key(*c, name_key(*c, kind, &bare), severity);
}

void
catalog_add_field(struct catalog *c, struct slice function)
{
    c->fields = mem_realloc(c->fields, (c->n_fields + 1) * sizeof(c->fields[0]));
    c->fields[c->n_fields++] = facts_field_mark(function);
}

void
catalog_set_hidden(struct catalog *c, enum severity severity)
{
    if (c->hidden < severity)
        c->hidden = severity;
}

/* ---- judging ---- */

/* Without a catalog only what is surely PostgreSQL's own is known. */
static enum severity
severity_of(const struct catalog *c, enum name_kind kind, const struct facts_name *name)
{
    uint64_t found;

    if (c == NULL && kind == NAME_CALL && slice_is(name->schema, "pg_catalog"))
        return catalog_function_severity(name->schema, name->name, 'v');
    if (c == NULL)
        return SEVERITY_DOUBT;
    found = c->slots[slot_of(c, name_key(c, kind, name))];
    return found == 0 ? SEVERITY_DOUBT : (enum severity)(found & SEVERITY_MASK);
}

struct names {
    enum name_kind kind;
    const struct facts_name *items;
    unsigned n;
};

static enum severity
worst_of(const struct catalog *c, struct names names, struct slice *because)
{
    enum severity worst = SEVERITY_NONE, one;

    for (unsigned i = 0; i < names.n; i++) {
        one = severity_of(c, names.kind, &names.items[i]);
        if (one <= worst)
            continue;
        worst = one;
        *because = names.items[i].name;
    }
    return worst;
}

static bool
may_call_by_field(const struct catalog *c, const struct facts *f)
{
    for (unsigned i = 0; c != NULL && i < c->n_fields; i++)
        if (facts_may_have_field(f, c->fields[i]))
            return true;
    return false;
}

/* What SHOW tells of a replica is not what a client wants to know of its database. */
static bool
shows_server(const struct facts *f)
{
    return f->class == CLASS_SHOW &&
           (slice_is(f->show_name, "transaction_read_only") || slice_is(f->show_name, "in_hot_standby") ||
            slice_is(f->show_name, "all"));
}

enum catalog_verdict
catalog_judge(const struct catalog *c, const struct facts *f, struct slice *because)
{
    struct slice function = SLICE(""), relation = SLICE(""), ignored;
    enum severity of_functions, of_relations;

    because = because == NULL ? &ignored : because;
    *because = SLICE("");
    if (!f->reads_by_grammar)
        return f->analysed ? CATALOG_WRITE : CATALOG_DOUBT;
    if (f->class == CLASS_SHOW && !shows_server(f))
        return CATALOG_READ;
    of_functions = worst_of(c, (struct names){ NAME_CALL, f->functions, f->n_functions }, &function);
    of_relations = worst_of(c, (struct names){ NAME_RELATION, f->relations, f->n_relations }, &relation);
    *because = of_functions >= of_relations ? function : relation;
    if (of_functions == SEVERITY_WRITE || of_relations == SEVERITY_WRITE)
        return CATALOG_WRITE;
    if (of_functions == SEVERITY_DOUBT || of_relations == SEVERITY_DOUBT)
        return CATALOG_DOUBT;
    if (shows_server(f) || may_call_by_field(c, f) || (c != NULL && c->hidden != SEVERITY_NONE))
        return CATALOG_DOUBT;
    return CATALOG_READ;
}
