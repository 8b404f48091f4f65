/* SPDX-License-Identifier: ISC */
/* Prepared statements: texts interned once per hall, names per session. */
#include <stddef.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
#undef HASH_FUNCTION
#define HASH_FUNCTION(key, len, out) ((out) = (unsigned)XXH3_64bits((key), (len)))
#include <uthash.h>

#include "base/mem.h"
#include "session_private.h"

/* The hall's table: the handle lives beside the statement, so that uthash stays inside this file. */
struct interned {
    UT_hash_handle hh;
    struct statement st;
    uint8_t bytes[];
};

struct name {
    UT_hash_handle hh;
    struct statement *st;
    uint32_t request; /* of the session, that defined it */
    bool doubtful;
    int64_t since; /* plans that are no younger are out of date */
    char text[];
};

struct names {
    struct name *all;
};

static struct interned *
table_of(const struct hall *h)
{
    return h->statements == NULL ? NULL : container_of(h->statements, struct interned, st);
}

static void
set_table(struct hall *h, struct interned *first)
{
    h->statements = first == NULL ? NULL : &first->st;
}

/* Literals are read, and schemas opened, when a statement is prepared: the same text is another statement where
 * they are read otherwise, or another role opens them, or others are looked into: PostgreSQL would plan anew at
 * each change of search_path, and refuse late what it refuses at Parse. */
static uint64_t
reading_of(const struct session *s, struct slice sql)
{
    static const char *const names[] = { "client_encoding", "DateStyle", "IntervalStyle",
                                         "standard_conforming_strings", "TimeZone" };
    struct slice role = settings_role(s), path = settings_current(s, SLICE("search_path"));
    uint64_t reading = s->hall->seed;

    if (role.len > 0)
        reading = XXH3_64bits_withSeed(role.data, role.len, reading);
    if (path.len > 0)
        reading = XXH3_64bits_withSeed(path.data, path.len, reading + 2);
    if (s->told == NULL || sql.len == 0 || memchr(sql.data, '\'', sql.len) == NULL)
        return reading;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct param *p = params_find(s->told, slice_str(names[i]));

        reading = p == NULL ? reading + 1 : XXH3_64bits_withSeed(p->value.data, p->value.len, reading);
    }
    return reading;
}

static struct statement_id
id_of(const struct session *s, struct slice sql, struct slice types)
{
    const struct hall *h = s->hall;
    XXH128_hash_t a = XXH3_128bits_withSeed(sql.data, sql.len, reading_of(s, sql)), b;

    if (types.len > 2) {
        b = XXH3_128bits_withSeed(types.data, types.len, h->seed + 1);
        a.low64 ^= b.low64;
        a.high64 ^= b.high64;
    }
    return (struct statement_id){ a.low64 | 1, a.high64 };
}

static struct interned *
make(struct hall *h, struct statement_id id, struct slice sql, struct slice types)
{
    struct interned *i = mem_alloc(sizeof(*i) + sql.len + 1 + types.len);

    memset(i, 0, sizeof(*i));
    i->st.id = id;
    i->st.refs = 1;
    i->st.hall = h;
    i->st.name_len = (uint8_t)statement_name(id, i->st.name);
    i->st.sql_len = (uint32_t)sql.len;
    i->st.len = (uint32_t)(sql.len + 1 + types.len);
    i->st.bytes = i->bytes;
    memcpy(i->bytes, sql.data, sql.len);
    i->bytes[sql.len] = '\0';
    memcpy(i->bytes + sql.len + 1, types.data, types.len);
    return i;
}

struct statement *
statement_intern(struct session *s, struct slice sql, struct slice types, bool may_parse, bool *parsed)
{
    struct hall *h = s->hall;
    struct statement_id id = id_of(s, sql, types);
    struct interned *table = table_of(h), *i;

    *parsed = false;
    HASH_FIND(hh, table, &id, sizeof(id), i);
    if (i != NULL)
        return statement_hold(&i->st);
    i = make(h, id, sql, types);
    i->st.facts = facts_of(h->facts, sql, may_parse, parsed);
    HASH_ADD(hh, table, st.id, sizeof(id), i);
    set_table(h, table);
    return &i->st;
}

struct statement *
statement_hold(struct statement *st)
{
    st->refs++;
    return st;
}

void
statement_drop(struct statement *st)
{
    struct interned *table, *i;

    if (st == NULL || --st->refs > 0)
        return;
    i = container_of(st, struct interned, st);
    table = table_of(st->hall);
    HASH_DEL(table, i);
    set_table(st->hall, table);
    facts_drop(st->facts);
    mem_free(i);
}

void
statement_put_parse_as(struct text *t, const struct statement *st, struct slice name)
{
    size_t start = wire_begin(t, 'P');

    wire_put_string(t, name);
    wire_put_bytes(t, slice_of(st->bytes, st->len));
    wire_end(t, start, 'P');
}

void
statement_put_parse(struct text *t, const struct statement *st, bool named)
{
    statement_put_parse_as(t, st, named ? slice_of(st->name, st->name_len) : SLICE(""));
}

/* ---- names of one session ---- */

static struct name *
find(const struct session *s, struct slice name)
{
    struct name *n = NULL;

    if (s->names != NULL)
        HASH_FIND(hh, s->names->all, name.data, name.len, n);
    return n;
}

struct statement *
prepared_names_look(const struct session *s, struct slice name, int64_t *since)
{
    struct name *n = find(s, name);

    if (n == NULL)
        return NULL;
    *since = n->since;
    return n->st;
}

struct statement *
prepared_names_find(const struct session *s, struct slice name)
{
    int64_t since;

    return prepared_names_look(s, name, &since);
}

static void
add(struct session *s, struct name *n)
{
    if (s->names == NULL)
        s->names = mem_new(struct names);
    HASH_ADD(hh, s->names->all, text, (unsigned)strlen(n->text), n);
}

void
prepared_names_add(struct session *s, struct slice name, struct statement *st)
{
    struct name *n = mem_alloc(sizeof(*n) + name.len + 1);

    memset(n, 0, sizeof(*n));
    memcpy(n->text, name.data, name.len);
    n->text[name.len] = '\0';
    n->st = statement_hold(st);
    n->request = s->n_requests;
    n->since = changes_last(s);
    add(s, n);
}

void
prepared_names_restore(struct session *s, struct name *n)
{
    if (find(s, slice_str(n->text)) == NULL)
        add(s, n);
    else
        prepared_names_forget(n);
}

static void
take_away(struct session *s, struct name *n)
{
    HASH_DEL(s->names->all, n);
    if (s->names->all != NULL)
        return;
    mem_free(s->names);
    s->names = NULL;
}

void
prepared_names_forget(struct name *n)
{
    statement_drop(n->st);
    mem_free(n);
}

static void
forget(struct session *s, struct name *n)
{
    take_away(s, n);
    prepared_names_forget(n);
}

struct name *
prepared_names_take(struct session *s, struct slice name)
{
    struct name *n = find(s, name);

    if (n != NULL)
        take_away(s, n);
    return n;
}

void
prepared_names_remove(struct session *s, struct slice name)
{
    struct name *n = find(s, name);

    if (n != NULL)
        forget(s, n);
}

/* The newest name of ST. */
static struct name *
name_of(const struct session *s, const struct statement *st)
{
    struct name *n, *next, *last = NULL;

    if (s->names == NULL)
        return NULL;
    HASH_ITER(hh, s->names->all, n, next)
    if (n->st == st)
        last = n;
    return last;
}

void
prepared_names_renew(struct session *s, const struct statement *st)
{
    struct name *n = name_of(s, st);

    if (n != NULL)
        n->since = changes_last(s);
}

const char *
prepared_names_of(const struct session *s, const struct statement *st)
{
    const struct name *n = name_of(s, st);

    return n == NULL ? NULL : n->text;
}

void
prepared_names_undo(struct session *s, const struct statement *st)
{
    struct name *n = name_of(s, st);

    if (n != NULL)
        forget(s, n);
}

void
prepared_names_clear(struct session *s)
{
    while (s->names != NULL)
        forget(s, s->names->all);
}

/* The client saw ParseComplete, and then that its request failed: it may use the name, or make it again. */
void
prepared_names_doubt(struct session *s)
{
    struct name *n, *next;

    if (s->names == NULL)
        return;
    HASH_ITER(hh, s->names->all, n, next)
    n->doubtful = n->doubtful || n->request == s->n_requests;
}

bool
prepared_names_is_free(struct session *s, struct slice name)
{
    struct name *n = find(s, name);

    if (n == NULL || !n->doubtful)
        return n == NULL;
    forget(s, n);
    return true;
}

unsigned
prepared_names_count(const struct session *s)
{
    return s->names == NULL ? 0 : HASH_COUNT(s->names->all);
}

void
prepared_names_each(const struct session *s, prepared_each *each, void *owner)
{
    struct name *n, *next;

    if (s->names == NULL)
        return;
    HASH_ITER(hh, s->names->all, n, next)
    each(owner, slice_str(n->text), n->st, n->doubtful);
}

void
session_each_prepared(const struct session *s, void (*each)(void *owner, struct slice name, struct slice sql),
                      void *owner)
{
    struct name *n, *next;

    if (s->names == NULL)
        return;
    HASH_ITER(hh, s->names->all, n, next)
    each(owner, slice_str(n->text), statement_sql(n->st));
}
