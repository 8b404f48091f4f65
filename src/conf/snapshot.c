/* SPDX-License-Identifier: ISC */
/* The published configuration: never changed, counted, freed by whoever drops it last. */
#include "snapshot_private.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "check_private.h"
#include "option_private.h"

struct conf *
snapshot_new(void)
{
    struct conf *c = mem_new(struct conf);

    c->own = mem_new(struct conf_private);
    atomic_init(&c->own->holders, 1);
    return c;
}

void
snapshot_done_database(struct conf_database *d)
{
    conf_section_done(conf_database_options(), d);
    mem_free(d->name);
    mem_free(d->file);
}

void
snapshot_done_user(struct conf_user *u)
{
    conf_section_done(conf_user_options(), u);
    mem_free(u->name);
    mem_free(u->file);
}

static void
snapshot_free(struct conf *c)
{
    for (size_t i = 0; i < c->n_databases; i++)
        snapshot_done_database(&c->databases[i]);
    for (size_t i = 0; i < c->n_users; i++)
        snapshot_done_user(&c->users[i]);
    mem_free(c->databases);
    mem_free(c->users);
    conf_section_done(conf_general_options(), &c->general);
    names_done(&c->own->databases);
    names_done(&c->own->users);
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
    size_t at = names_find(&c->own->databases, names_rows(c->databases), name);

    if (at == NAMES_NONE)
        at = names_find(&c->own->databases, names_rows(c->databases), SLICE("*"));
    return at == NAMES_NONE ? NULL : &c->databases[at];
}

const struct conf_user *
conf_find_user(const struct conf *c, struct slice name)
{
    size_t at = names_find(&c->own->users, names_rows(c->users), name);

    return at == NAMES_NONE ? NULL : &c->users[at];
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

static struct conf *
copy_of(const struct conf *c)
{
    struct conf *copy = snapshot_new();
    struct conf_private *own = copy->own;

    *copy = *c;
    copy->own = own;
    copy->file = mem_strdup(c->file);
    conf_section_unshare(conf_general_options(), &copy->general);
    copy->databases = mem_dup(c->databases, c->n_databases * sizeof(*c->databases));
    for (size_t i = 0; i < c->n_databases; i++) {
        copy->databases[i].name = mem_strdup(c->databases[i].name);
        copy->databases[i].file = mem_strdup(c->databases[i].file);
        conf_section_unshare(conf_database_options(), &copy->databases[i]);
    }
    copy->users = mem_dup(c->users, c->n_users * sizeof(*c->users));
    for (size_t i = 0; i < c->n_users; i++) {
        copy->users[i].name = mem_strdup(c->users[i].name);
        copy->users[i].file = mem_strdup(c->users[i].file);
        conf_section_unshare(conf_user_options(), &copy->users[i]);
    }
    names_copy(&own->databases, &c->own->databases);
    names_copy(&own->users, &c->own->users);
    return copy;
}

struct conf *
conf_with(const struct conf *c, struct slice key, struct slice value, struct fault *why)
{
    static const struct conf_where nowhere[N_CONF_GENERAL];
    const struct conf_option *o = conf_option_find(conf_general_options(), key);
    bool compat = c->general.compat == CONF_COMPAT_PGBOUNCER;
    struct conf *copy;

    if (o == NULL && !(compat && conf_is_ignored(CONF_GENERAL, key))) {
        fault_set(why, "42704", "unknown option %.*s", key.len > 64 ? 64 : (int)key.len,
                  (const char *)key.data);
        return NULL;
    }
    copy = copy_of(c);
    if (o == NULL || o->when == CONF_RESTART)
        return copy;
    if (conf_section_set(o, &copy->general, value, why) && conf_check(copy, nowhere, why))
        return copy;
    conf_drop(copy);
    return NULL;
}
