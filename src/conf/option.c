/* SPDX-License-Identifier: ISC */
/* The rows of the tables, and sections made of them. */
#include "option_private.h"

#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "kinds_private.h"

#define ROW(section, name, kind, initial, compat, low, high, when, help) \
    { #name,                                                             \
      #kind,                                                             \
      conf_parse_##kind,                                                 \
      conf_print_##kind,                                                 \
      offsetof(struct section, name),                                    \
      initial,                                                           \
      compat,                                                            \
      low,                                                               \
      high,                                                              \
      CONF_##when,                                                       \
      !__builtin_strcmp(#kind, "secret"),                                \
      help },

static const struct conf_option general_rows[] = {
#define OPTION(...) ROW(conf_general, __VA_ARGS__)
#include "conf/general_options.def"
#undef OPTION
    { .name = NULL }
};

static const struct conf_option database_rows[] = {
#define OPTION(...) ROW(conf_database, __VA_ARGS__)
#include "conf/database_options.def"
#undef OPTION
    { .name = NULL }
};

static const struct conf_option user_rows[] = {
#define OPTION(...) ROW(conf_user, __VA_ARGS__)
#include "conf/user_options.def"
#undef OPTION
    { .name = NULL }
};

static const struct conf_option node_rows[] = {
#define OPTION(...) ROW(conf_node, __VA_ARGS__)
#include "conf/node_options.def"
#undef OPTION
    { .name = NULL }
};

static const struct conf_option cluster_rows[] = {
#define OPTION(...) ROW(conf_cluster, __VA_ARGS__)
#include "conf/cluster_options.def"
#undef OPTION
    { .name = NULL }
};

static const struct conf_option rule_rows[] = {
#define OPTION(...) ROW(conf_rule, __VA_ARGS__)
#include "conf/rule_options.def"
#undef OPTION
    { .name = NULL }
};

static const struct conf_option peer_rows[] = {
#define OPTION(...) ROW(conf_peer, __VA_ARGS__)
#include "conf/peer_options.def"
#undef OPTION
    { .name = NULL }
};

static const struct conf_option kept_rows[] = {
#define OPTION(...) ROW(conf_kept, __VA_ARGS__)
#include "conf/kept_keys.def"
#undef OPTION
    { .name = NULL }
};

static const struct {
    const char *name;
    bool unset;
} pgbouncer_keys[] = {
#define DEFAULT         false
#define UNSET           true
#define KEY(name, what) { #name, what },
#include "conf/pgbouncer_keys.def"
#undef KEY
};

static const struct {
    const char *other, *name;
} spellings[] = { { "reserve_pool", "reserve_pool_size" } };

const struct conf_option *
conf_general_options(void)
{
    return general_rows;
}

const struct conf_option *
conf_database_options(void)
{
    return database_rows;
}

const struct conf_option *
conf_user_options(void)
{
    return user_rows;
}

const struct conf_option *
conf_node_options(void)
{
    return node_rows;
}

const struct conf_option *
conf_cluster_options(void)
{
    return cluster_rows;
}

const struct conf_option *
conf_rule_options(void)
{
    return rule_rows;
}

const struct conf_option *
conf_peer_options(void)
{
    return peer_rows;
}

const struct conf_option *
conf_option_find(const struct conf_option *rows, struct slice name)
{
    if (rows == database_rows)
        for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++)
            if (slice_is(name, spellings[i].other))
                name = slice_str(spellings[i].name);
    for (; rows->name != NULL; rows++)
        if (slice_is(name, rows->name))
            return rows;
    return NULL;
}

const struct conf_option *
conf_kept_options(void)
{
    return kept_rows;
}

const struct conf_option *
conf_general_find(struct slice key, bool kept)
{
    const struct conf_option *o = conf_option_find(general_rows, key);

    return o == NULL && kept ? conf_option_find(kept_rows, key) : o;
}

const struct conf_option *
conf_pgbouncer_key(size_t i, bool *unset)
{
    if (i >= sizeof(pgbouncer_keys) / sizeof(*pgbouncer_keys))
        return NULL;
    *unset = pgbouncer_keys[i].unset;
    return conf_general_find(slice_str(pgbouncer_keys[i].name), true);
}

static bool
is_kept(const struct conf_option *o)
{
    return o >= kept_rows && o < kept_rows + sizeof(kept_rows) / sizeof(*kept_rows);
}

const void *
conf_section_of(const struct conf *c, const struct conf_option *o)
{
    return is_kept(o) ? (const void *)&c->kept : &c->general;
}

static unsigned
least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many bytes must be changed, added or taken out to make B from A; both short. */
static unsigned
edits(struct slice a, struct slice b)
{
    unsigned row[65];

    assert(b.len < sizeof(row) / sizeof(*row));
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 0; i < a.len; i++) {
        unsigned diagonal = row[0]++;

        for (unsigned j = 0; j < b.len; j++) {
            unsigned above = row[j + 1];

            row[j + 1] = least(diagonal + (a.data[i] != b.data[j]), least(above, row[j]) + 1);
            diagonal = above;
        }
    }
    return row[b.len];
}

/* NAME without what people leave out, add or mix up. */
static struct slice
stem(struct slice name)
{
    static const char *const prefixes[] = { "default_", "server_", "client_", "max_", "min_" };

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
        if (slice_is(slice_head(name, strlen(prefixes[i])), prefixes[i]))
            return slice_tail(name, strlen(prefixes[i]));
    return name;
}

/* How far a name of this length may be from the one that was meant. */
static unsigned
tolerance(struct slice name)
{
    return least((unsigned)name.len / 3 + 1, 4);
}

/* The distance between NAME, of up to 64 bytes, and the name of a row; a wrong prefix counts as one edit. */
static unsigned
distance(struct slice name, struct slice row)
{
    struct slice short_name = stem(name), short_row = stem(row);
    unsigned whole = edits(name, row), part = edits(short_name, short_row);

    return short_name.len >= 4 && part < tolerance(short_name) ? least(whole, part + 1) : whole;
}

const char *
conf_option_nearest(const struct conf_option *rows, struct slice name)
{
    const char *best = NULL;
    unsigned fewest = tolerance(name) + 1;

    if (name.len > 64)
        return NULL;
    for (; rows->name != NULL; rows++) {
        unsigned n = distance(name, slice_str(rows->name));

        if (n < fewest) {
            fewest = n;
            best = rows->name;
        }
    }
    return best;
}

static void *
field_of(const struct conf_option *o, void *section)
{
    return (char *)section + o->offset;
}

bool
conf_section_set(const struct conf_option *o, void *section, struct slice value, struct fault *why)
{
    return o->parse(o, value, field_of(o, section), why);
}

void
conf_section_init(const struct conf_option *rows, void *section, bool compat)
{
    for (; rows->name != NULL; rows++) {
        const char *initial = compat && rows->compat_initial != NULL ? rows->compat_initial : rows->initial;
        bool ok = conf_section_set(rows, section, slice_str(initial), NULL);

        assert(ok); /* a row whose default it does not accept itself */
        (void)ok;
    }
}

void
conf_section_unshare(const struct conf_option *rows, void *section)
{
    for (; rows->name != NULL; rows++)
        if (conf_is_text(rows)) {
            char **text = field_of(rows, section);

            *text = mem_strdup(*text);
        }
}

void
conf_section_done(const struct conf_option *rows, void *section)
{
    for (; rows->name != NULL; rows++) {
        char **text = conf_is_text(rows) ? field_of(rows, section) : NULL;

        if (text != NULL && *text != NULL && rows->secret)
            mem_wipe(*text, strlen(*text));
        if (text != NULL)
            mem_free(*text);
    }
}

void
conf_print(const struct conf_option *o, const void *section, struct text *out)
{
    o->print(o, (const char *)section + o->offset, out);
}
