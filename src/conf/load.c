/* SPDX-License-Identifier: ISC */
/* From what the files say to a checked configuration: defaults first, then each entry in order. */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "check_private.h"
#include "conf/conf.h"
#include "foreign_private.h"
#include "hosts_private.h"
#include "scan_private.h"
#include "snapshot_private.h"
#include "source_private.h"

#define MAX_PASSWORD 65530

struct loading {
    struct conf *c;
    const struct conf_source *source;
    struct conf_where where[N_CONF_GENERAL];
    struct hosts *hosts;        /* of each database */
    struct text scratch, value; /* reused from entry to entry */
    struct text ports;          /* a database's port, where it is a list */
    bool has_port;              /* the line says port= */
    bool compat;                /* PgBouncer's defaults and ways */
    struct fault *why;
};

static bool
unknown_key(struct loading *l, const struct conf_option *rows, const struct conf_entry *e, struct slice key)
{
    const char *nearest = conf_option_nearest(rows, key);
    int len = key.len > 64 ? 64 : (int)key.len;
    const char *name = (const char *)key.data;

    if (e->section == CONF_GENERAL && conf_option_find(conf_kept_options(), key) != NULL)
        return fault_set(l->why, "F0000", "pgweir has no use for PgBouncer's %.*s; take it out", len, name);
    if (nearest == NULL)
        return fault_set(l->why, "F0000", "unknown option %.*s", len, name);
    return fault_set(l->why, "F0000", "unknown option %.*s; did you mean %s?", len, name, nearest);
}

/* In PgBouncer's files numbers are as it reads them, not only as we do. */
static void
read_as_pgbouncer(struct loading *l, const struct conf_entry *e, const struct conf_option *o)
{
    if (l->compat && foreign_number(o, &l->value))
        log_warning("%s:%d: %s is beyond what pgweir takes, and becomes %s", e->file, e->line, o->name,
                    text_str(&l->value));
}

/* A value of PgBouncer's that is not its default and does nothing: somebody may expect something of it. */
static bool
on_kept(struct loading *l, const struct conf_entry *e, const struct conf_option *o)
{
    struct text value = { 0 };

    if (!conf_section_set(o, &l->c->kept, text_slice(&l->value), l->why))
        return false;
    conf_print(o, &l->c->kept, &value);
    if (o->help[0] != '\0' && strcmp(text_str(&value), o->initial) != 0)
        log_warning("%s:%d: %s changes nothing: %s", e->file, e->line, o->name, o->help);
    text_done(&value);
    return true;
}

static bool
on_general(struct loading *l, const struct conf_entry *e)
{
    const struct conf_option *rows = conf_general_options();
    const struct conf_option *o = conf_general_find(slice_str(e->key), l->source->has_pgbouncer);

    if (o == NULL)
        return unknown_key(l, rows, e, slice_str(e->key));
    scan_unquote(e->value, &l->scratch);
    if (!scan_expand(text_slice(&l->scratch), &l->value, l->why))
        return false;
    read_as_pgbouncer(l, e, o);
    if (conf_section_of(l->c, o) == &l->c->kept)
        return on_kept(l, e, o);
    l->where[o - rows] = (struct conf_where){ e->file, e->line };
    l->c->own->in_file[o - rows] = true;
    return conf_section_set(o, &l->c->general, text_slice(&l->value), l->why);
}

static bool
is_port(const struct conf_option *o)
{
    return o == conf_option_find(conf_database_options(), SLICE("port"));
}

/* A database has as many ports as hosts, or one: which, is known when the line has been read. */
static bool
set_field(struct loading *l, const struct conf_option *o, void *section)
{
    struct slice value = text_slice(&l->value);

    if (!is_port(o))
        return conf_section_set(o, section, value, l->why);
    l->has_port = true;
    text_clear(&l->ports);
    if (value.len == 0 || memchr(value.data, ',', value.len) == NULL)
        return conf_section_set(o, section, value, l->why);
    text_add(&l->ports, value);
    return true;
}

/* Set fields of SECTION from a list like a connection string. */
static bool
on_list(struct loading *l, const struct conf_entry *e, const struct conf_option *rows, void *section)
{
    const char *quotes = e->section == CONF_RULES ? "'\"" : "'"; /* elsewhere " is a letter, as in PgBouncer */
    struct slice rest = e->value, key;
    enum scan_answer answer;

    while ((answer = scan_pair(&rest, quotes, &key, &l->scratch, l->why)) == SCAN_PAIR) {
        const struct conf_option *o = conf_option_find(rows, key);

        if (o == NULL)
            return unknown_key(l, rows, e, key);
        if (!scan_expand(text_slice(&l->scratch), &l->value, l->why))
            return false;
        read_as_pgbouncer(l, e, o);
        if (!set_field(l, o, section))
            return false;
    }
    return answer == SCAN_END;
}

/* password_file: its first line becomes the password. */
static bool
read_password(struct conf_database *d, struct fault *why)
{
    size_t len;
    char *text;

    if (d->password_file[0] == '\0')
        return true;
    if (d->password[0] != '\0')
        return fault_set(why, "F0000", "password and password_file exclude each other");
    text = source_read(d->password_file, MAX_PASSWORD, &len, why);
    if (text == NULL)
        return false;
    text[strcspn(text, "\r\n")] = '\0';
    mem_free(d->password);
    d->password = mem_strdup(text);
    mem_wipe(text, len);
    mem_free(text);
    return d->password[0] != '\0' || fault_set(why, "F0000", "%s has no password", d->password_file);
}

/* What a line of [databases] says as a whole. */
static bool
on_database(struct loading *l, struct conf_database *d, struct hosts *h)
{
    if (d->cluster[0] != '\0' && (d->host[0] != '\0' || l->has_port))
        return fault_set(l->why, "F0000", "cluster excludes host and port; those of its nodes are in [nodes]");
    return read_password(d, l->why) && hosts_split(h, d, text_slice(&l->ports), l->compat, l->why);
}

/* L keeps the nodes of the database AT, the newest or one that was replaced. */
static void
keep_hosts(struct loading *l, size_t at, struct hosts h, bool is_new)
{
    if (!is_new)
        hosts_done(&l->hosts[at]);
    else if ((at & (at - 1)) == 0) /* doubles at powers of two */
        l->hosts = mem_realloc(l->hosts, (at == 0 ? 1 : at * 2) * sizeof(*l->hosts));
    l->hosts[at] = h;
}

/* A row of any list; all start with name, file and line. */
union row {
    struct conf_database database;
    struct conf_user user;
    struct conf_node node;
    struct conf_cluster cluster;
    struct conf_rule rule;
    struct conf_peer peer;
};

/* A later line replaces an earlier one of the same name. */
static bool
on_line(struct loading *l, const struct conf_entry *e)
{
    const struct conf_option *options = snapshot_options(e->section);
    bool is_database = e->section == CONF_DATABASES;
    size_t before = l->c->n_databases, at;
    struct hosts h = { 0 };
    union row row;

    memset(&row, 0, sizeof(row));
    row.database.name = mem_strdup(e->key);
    row.database.file = mem_strdup(e->file);
    row.database.line = e->line;
    conf_section_init(options, &row, false);
    text_clear(&l->ports);
    l->has_port = false;
    if (!on_list(l, e, options, &row) || (is_database && !on_database(l, &row.database, &h))) {
        snapshot_row_done(e->section, &row);
        hosts_done(&h);
        return false;
    }
    at = snapshot_put(l->c, e->section, &row);
    if (is_database)
        keep_hosts(l, at, h, at == before);
    return true;
}

static bool
on_entry(struct loading *l, const struct conf_entry *e)
{
    return e->section == CONF_GENERAL ? on_general(l, e) : on_line(l, e);
}

/* Whose defaults: the section's name says, and the last line that sets the option compat overrules it. */
static bool
wants_compat(struct loading *l)
{
    bool compat = l->source->has_pgbouncer;

    for (size_t i = 0; i < l->source->n_entries; i++) {
        const struct conf_entry *e = &l->source->entries[i];

        if (e->section != CONF_GENERAL || strcmp(e->key, "compat") != 0)
            continue;
        scan_unquote(e->value, &l->scratch);
        if (scan_expand(text_slice(&l->scratch), &l->value, NULL))
            compat = slice_is_nocase(text_slice(&l->value), "pgbouncer");
    }
    return compat;
}

static char *
absolute(const char *file)
{
    char *real = realpath(file, NULL);
    char folder[PATH_MAX];

    if (real != NULL)
        return real;
    if (file[0] == '/' || getcwd(folder, sizeof(folder)) == NULL)
        return mem_strdup(file);
    return mem_printf("%s/%s", folder, file);
}

static bool
build(struct loading *l)
{
    l->compat = wants_compat(l);
    conf_section_init(conf_general_options(), &l->c->general, l->compat);
    conf_section_init(conf_kept_options(), &l->c->kept, true);
    for (size_t i = 0; i < l->source->n_entries; i++) {
        const struct conf_entry *e = &l->source->entries[i];

        if (!on_entry(l, e))
            return fault_prefix(l->why, "%s:%d", e->file, e->line);
    }
    return hosts_join(l->c, l->hosts, l->why) && conf_check(l->c, l->where, l->why);
}

struct conf *
conf_parse(struct slice text, const char *file, struct fault *why)
{
    struct conf_source source = { 0 };
    struct loading l = { .source = &source, .why = why };
    bool ok;

    if (source_scan(&source, text, file, why)) {
        l.c = snapshot_new();
        l.c->file = absolute(file);
        l.c->own->has_general = source.has_pgweir || source.has_pgbouncer;
        ok = build(&l);
        for (size_t i = 0; i < l.c->n_databases; i++)
            hosts_done(&l.hosts[i]);
        mem_free(l.hosts);
        if (!ok) {
            conf_drop(l.c);
            l.c = NULL;
        }
    }
    text_done(&l.scratch);
    text_done(&l.value);
    text_done(&l.ports);
    source_done(&source);
    return l.c;
}

struct conf *
conf_load(const char *file, struct fault *why)
{
    struct conf *c = NULL;
    size_t len;
    char *text = source_read(file, SOURCE_MAX_BYTES, &len, why);

    if (text != NULL)
        c = conf_parse(slice_of(text, len), file, why);
    mem_free(text);
    return c;
}
