/* SPDX-License-Identifier: ISC */
/* The published configuration: never changed, counted, freed by whoever drops it last. */
#include "snapshot_private.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "check_private.h"
#include "foreign_private.h"
#include "kinds_private.h"
#include "option_private.h"

/* Where a list stands in struct conf, and what its rows are. */
struct list {
    const struct conf_option *(*options)(void);
    size_t row;      /* size of one */
    size_t first, n; /* offsets of the array and its length */
};

#define LIST(type, array)                                                                \
    {                                                                                    \
        conf_##type##_options, sizeof(struct conf_##type), offsetof(struct conf, array), \
            offsetof(struct conf, n_##array)                                             \
    }

static const struct list lists[N_CONF_SECTIONS] = {
    [CONF_DATABASES] = LIST(database, databases),
    [CONF_USERS] = LIST(user, users),
    [CONF_NODES] = LIST(node, nodes),
    [CONF_CLUSTERS] = LIST(cluster, clusters),
    [CONF_RULES] = LIST(rule, rules),
    [CONF_PEERS] = LIST(peer, peers),
};

/* The same in every row. */
#define NAME_AT 0
#define FILE_AT offsetof(struct conf_user, file)
static_assert(FILE_AT == offsetof(struct conf_database, file) && FILE_AT == offsetof(struct conf_node, file) &&
                  FILE_AT == offsetof(struct conf_cluster, file) &&
                  FILE_AT == offsetof(struct conf_rule, file) && FILE_AT == offsetof(struct conf_peer, file),
              "rows start with name and file");

struct conf *
snapshot_new(void)
{
    struct conf *c = mem_new(struct conf);

    c->own = mem_new(struct conf_private);
    atomic_init(&c->own->holders, 1);
    return c;
}

const struct conf_option *
snapshot_options(enum conf_section section)
{
    return lists[section].options();
}

/* The array is a pointer to a struct of the list's own type: its bytes are read and written, not its value. */
static char *
first_of(const struct conf *c, const struct list *l)
{
    char *first;

    memcpy(&first, (const char *)c + l->first, sizeof(first));
    return first;
}

static void
set_first(struct conf *c, const struct list *l, char *first)
{
    memcpy((char *)c + l->first, &first, sizeof(first));
}

static size_t *
length_of(struct conf *c, const struct list *l)
{
    return (size_t *)(void *)((char *)c + l->n);
}

static struct names_rows
rows_of(const struct conf *c, const struct list *l)
{
    return (struct names_rows){ first_of(c, l), l->row };
}

static char **
text_at(void *row, size_t offset)
{
    return (char **)(void *)((char *)row + offset);
}

void
snapshot_row_done(enum conf_section section, void *row)
{
    conf_section_done(snapshot_options(section), row);
    mem_free(*text_at(row, NAME_AT));
    mem_free(*text_at(row, FILE_AT));
}

size_t
snapshot_find(const struct conf *c, enum conf_section section, struct slice name)
{
    return names_find(&c->own->names[section], rows_of(c, &lists[section]), name);
}

size_t
snapshot_put(struct conf *c, enum conf_section section, const void *row)
{
    const struct list *l = &lists[section];
    size_t *n = length_of(c, l), at = snapshot_find(c, section, slice_str(*text_at((void *)row, NAME_AT)));
    bool is_new = at == NAMES_NONE;

    if (is_new)
        at = (*n)++;
    else
        snapshot_row_done(section, first_of(c, l) + at * l->row);
    if (is_new && (at & (at - 1)) == 0) /* doubles at powers of two */
        set_first(c, l, mem_realloc(first_of(c, l), (at == 0 ? 1 : at * 2) * l->row));
    memcpy(first_of(c, l) + at * l->row, row, l->row);
    if (is_new)
        names_add(&c->own->names[section], rows_of(c, l), at);
    return at;
}

static void
list_done(struct conf *c, enum conf_section section)
{
    const struct list *l = &lists[section];

    for (size_t i = 0; i < *length_of(c, l); i++)
        snapshot_row_done(section, first_of(c, l) + i * l->row);
    mem_free(first_of(c, l));
    names_done(&c->own->names[section]);
}

static void
snapshot_free(struct conf *c)
{
    for (size_t i = 0; i < N_CONF_SECTIONS; i++)
        if (lists[i].options != NULL)
            list_done(c, i);
    conf_section_done(conf_general_options(), &c->general);
    conf_section_done(conf_kept_options(), &c->kept);
    mem_free(c->own);
    mem_free(c->file);
    mem_free(c);
}

struct conf *
conf_hold(struct conf *c)
{
    unsigned before = atomic_fetch_add_explicit(&c->own->holders, 1, memory_order_relaxed);

    assert(before > 0);
    (void)before;
    return c;
}

void
conf_drop(struct conf *c)
{
    if (c != NULL && atomic_fetch_sub_explicit(&c->own->holders, 1, memory_order_acq_rel) == 1)
        snapshot_free(c);
}

const struct conf_database *
conf_find_database(const struct conf *c, struct slice name)
{
    size_t at = snapshot_find(c, CONF_DATABASES, name);

    if (at == NAMES_NONE)
        at = snapshot_find(c, CONF_DATABASES, SLICE("*"));
    return at == NAMES_NONE ? NULL : &c->databases[at];
}

const struct conf_node *
conf_find_node(const struct conf *c, struct slice name)
{
    size_t at = snapshot_find(c, CONF_NODES, name);

    return at == NAMES_NONE ? NULL : &c->nodes[at];
}

const struct conf_cluster *
conf_cluster_of(const struct conf *c, const struct conf_database *d)
{
    size_t at = d->cluster[0] == '\0' ? NAMES_NONE : snapshot_find(c, CONF_CLUSTERS, slice_str(d->cluster));

    return at == NAMES_NONE ? NULL : &c->clusters[at];
}

const struct conf_user *
conf_find_user(const struct conf *c, struct slice name)
{
    size_t at = snapshot_find(c, CONF_USERS, name);

    return at == NAMES_NONE ? NULL : &c->users[at];
}

const struct conf_peer *
conf_find_peer(const struct conf *c, unsigned id)
{
    char name[16];
    size_t at;

    snprintf(name, sizeof(name), "%u", id);
    at = snapshot_find(c, CONF_PEERS, slice_str(name));
    return at == NAMES_NONE ? NULL : &c->peers[at];
}

bool
conf_list_has(const char *list, struct slice name)
{
    struct slice rest = slice_str(list);

    while (rest.len > 0) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);
        struct slice one = slice_head(rest, comma == NULL ? rest.len : (size_t)(comma - rest.data));

        rest = slice_tail(rest, one.len + 1);
        one = slice_trim(one);
        if (one.len > 0 && slice_equal(one, name))
            return true;
    }
    return false;
}

/* COPY is a bitwise copy: give it a list of its own. */
static void
list_unshare(struct conf *copy, enum conf_section section)
{
    const struct list *l = &lists[section];

    set_first(copy, l, mem_dup(first_of(copy, l), *length_of(copy, l) * l->row));
    for (size_t i = 0; i < *length_of(copy, l); i++) {
        void *row = first_of(copy, l) + i * l->row;

        *text_at(row, NAME_AT) = mem_strdup(*text_at(row, NAME_AT));
        *text_at(row, FILE_AT) = mem_strdup(*text_at(row, FILE_AT));
        conf_section_unshare(l->options(), row);
    }
}

static struct conf *
copy_of(const struct conf *c)
{
    struct conf *copy = snapshot_new();
    struct conf_private *own = copy->own;

    *copy = *c;
    copy->own = own;
    copy->file = mem_strdup(c->file);
    conf_section_unshare(conf_general_options(), &copy->general);
    conf_section_unshare(conf_kept_options(), &copy->kept);
    own->has_general = c->own->has_general;
    memcpy(own->in_file, c->own->in_file, sizeof(own->in_file));
    for (size_t i = 0; i < N_CONF_SECTIONS; i++)
        if (lists[i].options != NULL) {
            list_unshare(copy, i);
            names_copy(&own->names[i], &c->own->names[i]);
        }
    return copy;
}

/* Set the field of row O in TO to what it is in FROM. */
static void
copy_field(const struct conf_option *o, void *to, const void *from)
{
    struct text value = { 0 };
    bool ok;

    if (conf_is_text(o)) /* secrets are not printed */
        text_add_str(&value, *text_at((void *)(uintptr_t)from, o->offset));
    else
        conf_print(o, from, &value);
    ok = conf_section_set(o, to, text_slice(&value), NULL);
    assert(ok); /* what is printed can be read */
    (void)ok;
    text_done(&value);
}

static bool
is_boot_only(const struct conf_option *o)
{
    return o->when == CONF_RESTART;
}

bool
conf_follows(const struct conf *c, const struct conf *before, struct fault *why)
{
    return c->own->has_general || !before->own->has_general ||
           fault_set(why, "F0000",
                     "%s has no [pgweir] or [pgbouncer] section any more: is it empty, or cut off?", c->file);
}

void
conf_carry(struct conf *c, const struct conf *before)
{
    const struct conf_option *rows = conf_general_options(), *o;
    bool unset;

    for (o = rows; o->name != NULL; o++)
        if (is_boot_only(o))
            copy_field(o, &c->general, &before->general);
    for (o = conf_kept_options(); o->name != NULL; o++)
        if (is_boot_only(o))
            copy_field(o, &c->kept, &before->kept);
    if (c->general.compat != CONF_COMPAT_PGBOUNCER)
        return;
    for (size_t i = 0; (o = conf_pgbouncer_key(i, &unset)) != NULL; i++)
        if (unset && conf_section_of(c, o) == &c->general && !c->own->in_file[o - rows])
            copy_field(o, &c->general, &before->general);
}

/* Set O in COPY by a command. */
static bool
set_one(struct conf *copy, const struct conf_option *o, struct slice value, struct fault *why)
{
    struct text text = { 0 };
    bool ok;

    text_add(&text, value);
    if (copy->general.compat == CONF_COMPAT_PGBOUNCER && foreign_number(o, &text))
        log_warning("SET: %s is beyond what pgweir takes, and becomes %s", o->name, text_str(&text));
    ok = conf_section_set(o, (void *)(uintptr_t)conf_section_of(copy, o), text_slice(&text), why);
    mem_wipe(text.data, text.len);
    text_done(&text);
    return ok;
}

struct conf *
conf_with(const struct conf *c, struct slice key, struct slice value, struct fault *why)
{
    static const struct conf_where nowhere[N_CONF_GENERAL];
    bool compat = c->general.compat == CONF_COMPAT_PGBOUNCER;
    const struct conf_option *o = conf_general_find(key, compat);
    struct conf *copy;

    if (o == NULL) {
        fault_set(why, "42704", "unknown option %.*s", key.len > 64 ? 64 : (int)key.len,
                  (const char *)key.data);
        return NULL;
    }
    copy = copy_of(c);
    if (is_boot_only(o) || (set_one(copy, o, value, why) && conf_check(copy, nowhere, why)))
        return copy;
    conf_drop(copy);
    return NULL;
}
