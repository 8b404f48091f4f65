/* SPDX-License-Identifier: ISC */
/* The configuration: an immutable, counted snapshot of one INI file and what it
 * includes. Made whole or not at all. Any thread may hold and read one.
 * Secrets (auth_file), HBA and certificates are separate snapshots, loaded by app. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "conf/rows.h"

/* [pgweir] or [pgbouncer] */
struct conf_general {
#define OPTION(name, kind, ...) conf_type_##kind name;
#include "conf/general_options.def"
#undef OPTION
};

/* What only PgBouncer has a use for */
struct conf_kept {
#define OPTION(name, kind, ...) conf_type_##kind name;
#include "conf/kept_keys.def"
#undef OPTION
};

struct conf {
    struct conf_general general;
    struct conf_kept kept;
    struct conf_database *databases; /* in file order */
    size_t n_databases;
    struct conf_user *users;
    size_t n_users;
    struct conf_node *nodes; /* in file order; those of implicit clusters too */
    size_t n_nodes;
    struct conf_cluster *clusters; /* each has nodes */
    size_t n_clusters;
    struct conf_rule *rules; /* in file order */
    size_t n_rules;
    struct conf_peer *peers;
    size_t n_peers;
    char *file;               /* absolute path of the main file */
    struct conf_private *own; /* references and indexes; for conf only */
};

/* Read FILE and what it includes. NULL: WHY has "FILE:LINE: what, and what to do"; for an
 * unknown key the nearest one. */
struct conf *conf_load(const char *file, struct fault *why);
/* The same from text; FILE is for messages. As in PgBouncer, relative paths start at the working folder. */
struct conf *conf_parse(struct slice text, const char *file, struct fault *why);
struct conf *conf_hold(struct conf *c);
void conf_drop(struct conf *c);

/* The entry for database NAME: exact, else "*", else NULL. O(1). */
const struct conf_database *conf_find_database(const struct conf *c, struct slice name);
/* Exact only. */
const struct conf_node *conf_find_node(const struct conf *c, struct slice name);
/* The cluster of D, or NULL: it has one server. A database with several hosts is a cluster of its own name. */
const struct conf_cluster *conf_cluster_of(const struct conf *c, const struct conf_database *d);
/* Exact only. */
const struct conf_user *conf_find_user(const struct conf *c, struct slice name);
/* NULL: there is none. */
const struct conf_peer *conf_find_peer(const struct conf *c, unsigned id);
/* True when NAME is in the comma separated LIST (admin_users, stats_users, ...); white space
 * around names is ignored. */
bool conf_list_has(const char *list, struct slice name);

/* A copy of C with one general option changed (SET on the console). Boot-only keys are accepted and change
 * nothing. NULL: unknown key or bad value. */
struct conf *conf_with(const struct conf *c, struct slice key, struct slice value, struct fault *why);

/* C may be what a reload puts in the place of BEFORE. False with WHY: its file has lost the general section,
 * all of whose options would fall back to their defaults. */
bool conf_follows(const struct conf *c, const struct conf *before, struct fault *why);
/* C was read while BEFORE was in force: C gets its boot-only options, and in a [pgbouncer] file what SET gave
 * those that have no default. C has no other holder yet. */
void conf_carry(struct conf *c, const struct conf *before);

/* PgBouncer's general keys in the order of its SHOW CONFIG: the row of the I-th, NULL behind the last. UNSET:
 * it has no default there. */
const struct conf_option *conf_pgbouncer_key(size_t i, bool *unset);
/* The section that O's field is in: general or kept. */
const void *conf_section_of(const struct conf *c, const struct conf_option *o);

/* The rows of each section, ending with a row whose name is NULL. */
const struct conf_option *conf_general_options(void);
const struct conf_option *conf_database_options(void);
const struct conf_option *conf_user_options(void);
const struct conf_option *conf_node_options(void);
const struct conf_option *conf_cluster_options(void);
const struct conf_option *conf_rule_options(void);
const struct conf_option *conf_peer_options(void);
/* The value of option O in G as text, as it would stand in the file; "" for secrets. */
void conf_print(const struct conf_option *o, const void *section, struct text *out);
/* etc/pgweir.ini, generated from the rows. */
void conf_sample(struct text *out);
/* The option part of pgweir.ini(5), in mdoc or man macros. */
void conf_manual(struct text *out);

/* The word for VALUE of an option of KIND that is an enum ("sslmode", "balance", ...). */
const char *conf_word(const char *kind, int value);
/* The file of authorities for libpq connections of our own to servers: NULL unless these are verified (with one
 * libpq takes "require" for "verify-ca"). */
const char *conf_server_ca(const struct conf_general *g);

#endif
