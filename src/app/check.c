/* SPDX-License-Identifier: ISC */
/* --check, --check --connect and --dump-config: nothing is started that stays. */
#include <stdio.h>

#include "app_private.h"
#include "ask/ask.h"
#include "base/clock.h"
#include "base/log.h"

/* ---- --connect: one database after the other, and each node of its cluster, on a loop of its own ---- */

struct checking {
    struct worker control; /* first */
    const struct loaded *loaded;
    size_t at;                      /* database that is asked */
    size_t node;                    /* of all nodes, the one that is asked when the database has a cluster */
    unsigned n_primaries, n_silent; /* of the nodes of this database */
    struct ask *ask;
    unsigned n_bad;
    struct timer next; /* a connection is not freed inside its own answer */
};

/* As whom to log in: the user of the line, else who asks for secrets. */
static struct slice
user_for(const struct conf *c, const struct conf_database *d)
{
    if (d->user[0] != '\0')
        return slice_str(d->user);
    return slice_str(d->auth_user[0] != '\0' ? d->auth_user : c->general.auth_user);
}

static void
next_database(struct checking *k)
{
    k->at++;
    k->node = 0;
    k->n_primaries = k->n_silent = 0;
}

static void
on_answer(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct checking *k = owner;
    const struct conf *c = k->loaded->setup.conf;
    const struct conf_database *d = &c->databases[k->at];
    const struct conf_node *n = d->cluster[0] != '\0' ? &c->nodes[k->node] : NULL;
    bool is_replica = why == NULL && answer->field[1] != NULL && answer->field[1][0] == 't';

    printf("%s:%d: database %s: ", n != NULL ? n->file : d->file, n != NULL ? n->line : d->line, d->name);
    if (n != NULL)
        printf("node %s: ", n->name);
    if (why != NULL)
        printf("%s\n", why->message);
    else
        printf("good, PostgreSQL %s, %s\n", answer->field[0] != NULL ? answer->field[0] : "?",
               is_replica ? "replica" : "primary");
    k->n_bad += why != NULL;
    k->n_silent += why != NULL;
    k->n_primaries += why == NULL && !is_replica;
    if (n != NULL)
        k->node++;
    else
        next_database(k);
    timer_start(&k->control, &k->next, 0);
}

/* The password when it is known in clear; libpq finds others nowhere. */
static struct slice
password_for(const struct loaded *l, const struct conf_database *d, struct slice user)
{
    struct slice secret = secrets_find(l->setup.secrets, user);

    if (d->password[0] != '\0')
        return slice_str(d->password);
    return secret_kind(secret) == SECRET_PLAIN ? secret : slice_of(NULL, 0);
}

static void
ask_server(struct checking *k, const char *host, int64_t port, struct slice user)
{
    const struct conf_general *g = &k->loaded->setup.conf->general;
    const struct conf_database *d = &k->loaded->setup.conf->databases[k->at];
    char *name = slice_dup(user), *password = slice_dup(password_for(k->loaded, d, user));
    const struct ask_target target = { .host = host[0] != '\0' ? host : "/var/run/postgresql",
                                       .database = d->dbname[0] != '\0' ? d->dbname : d->name,
                                       .user = name,
                                       .password = password,
                                       .port = (uint16_t)port,
                                       .sslmode = conf_word("sslmode", g->server_tls_sslmode),
                                       .ca_file = conf_server_ca(g),
                                       .options = "-c search_path=pg_catalog" };
    const struct ask_query query = {
        .sql = "SELECT pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery()",
        .timeout_us = g->server_connect_timeout > 0 ? g->server_connect_timeout : 15 * CLOCK_S
    };

    ask_free(k->ask);
    k->ask = ask_new(&k->control, &target);
    ask_question(k->ask, &query, on_answer, k);
    mem_wipe(password, strlen(password));
    mem_free(password);
    mem_free(name);
}

/* The node of D's cluster that is to be asked next, or NULL. */
static const struct conf_node *
next_node(struct checking *k, const struct conf_database *d)
{
    const struct conf *c = k->loaded->setup.conf;

    for (; k->node < c->n_nodes; k->node++)
        if (strcmp(c->nodes[k->node].cluster, d->cluster) == 0)
            return &c->nodes[k->node];
    return NULL;
}

/* All nodes of D's cluster were asked. One that was silent may be the primary, and has been counted. */
static void
judge_cluster(struct checking *k, const struct conf_database *d)
{
    if (k->n_primaries > 1)
        printf("%s:%d: database %s: %u nodes of cluster %s are primaries, and one may be\n", d->file, d->line,
               d->name, k->n_primaries, d->cluster);
    else if (k->n_primaries == 0 && k->n_silent == 0 && d->route != CONF_ROUTE_REPLICA)
        printf("%s:%d: database %s: no node of cluster %s is the primary\n", d->file, d->line, d->name,
               d->cluster);
    else
        return;
    k->n_bad++;
}

/* False: nothing (more) to ask of database D. */
static bool
check_database(struct checking *k, const struct conf_database *d)
{
    struct slice user = user_for(k->loaded->setup.conf, d);
    const struct conf_node *n;

    if (strcmp(d->name, "*") == 0)
        return false;
    if (user.len == 0) {
        printf("%s:%d: database %s: not asked: it has neither user nor auth_user\n", d->file, d->line, d->name);
        return false;
    }
    if (d->cluster[0] == '\0') {
        ask_server(k, d->host, d->port, user);
        return true;
    }
    n = next_node(k, d);
    if (n == NULL) {
        judge_cluster(k, d);
        return false;
    }
    ask_server(k, n->host, n->port, user);
    return true;
}

static void
check_next(struct checking *k)
{
    const struct conf *c = k->loaded->setup.conf;

    for (; k->at < c->n_databases; next_database(k))
        if (check_database(k, &c->databases[k->at]))
            return;
    worker_stop(&k->control);
}

static void
on_next(struct timer *t)
{
    check_next(container_of(t, struct checking, next));
}

static int
connect_all(const struct loaded *l)
{
    struct checking *k = mem_new(struct checking);
    unsigned n_bad;

    worker_init(&k->control, WORKER_CONTROL);
    k->loaded = l;
    timer_init(&k->next, on_next);
    check_next(k);
    if (k->ask != NULL)
        worker_run(&k->control);
    ask_free(k->ask);
    worker_done(&k->control);
    n_bad = k->n_bad;
    mem_free(k);
    return n_bad > 0 ? EXIT_BAD_NODE : EXIT_ENDED;
}

/* ---- --dump-config ---- */

#define MASKED "********"

/* VALUE is the option O of ROW as it stands in a file. A secret is not shown unless SECRETS. */
static void
value_of(const struct conf_option *o, const void *row, bool secrets, struct text *value)
{
    const char *secret;

    text_clear(value);
    conf_print(o, row, value);
    if (!o->secret)
        return;
    memcpy(&secret, (const char *)row + o->offset, sizeof(secret));
    text_add_str(value, secrets || secret[0] == '\0' ? secret : MASKED);
}

/* A line of its own keeps what stands at its edges only in quotes. */
static bool
needs_quotes(struct slice value)
{
    return value.len > 0 && (value.data[0] == '\'' || slice_trim(value).len < value.len);
}

static void
dump_option(const struct conf_option *o, const void *section, bool secrets, struct text *out)
{
    struct text value = { 0 };

    value_of(o, section, secrets, &value);
    text_printf(out, "%s = ", o->name);
    if (needs_quotes(text_slice(&value)))
        text_add_quoted(out, text_slice(&value), '\'');
    else
        text_add(out, text_slice(&value));
    text_add_char(out, '\n');
    text_done(&value);
}

static void
dump_general(const struct conf *c, bool secrets, struct text *out)
{
    bool compat = c->general.compat == CONF_COMPAT_PGBOUNCER, unset;
    const struct conf_option *o;

    text_add_str(out, compat ? "[pgbouncer]\n" : "[pgweir]\n");
    for (o = conf_general_options(); o->name != NULL; o++)
        dump_option(o, &c->general, secrets, out);
    for (size_t i = 0; compat && (o = conf_pgbouncer_key(i, &unset)) != NULL; i++)
        if (conf_section_of(c, o) != &c->general)
            dump_option(o, conf_section_of(c, o), secrets, out);
}

static void
put_name(struct text *out, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-*";

    if (name[0] != '\0' && name[strspn(name, plain)] == '\0')
        text_add_str(out, name);
    else
        text_add_quoted(out, slice_str(name), '"');
}

/* What D has, and a line that says the rest may not say too. */
static const char *
skipped(const struct conf_database *d)
{
    if (d->cluster[0] != '\0')
        return d->password_file[0] != '\0' ? "port,password" : "port";
    return d->password_file[0] != '\0' ? "password" : "";
}

struct dumping {
    struct text *out;
    bool secrets;
};

/* ROW is called NAME; what is not set, and what the list SKIP has, is left out. */
static void
dump_line(const struct dumping *d, const struct conf_option *o, const char *name, const void *row,
          const char *skip)
{
    struct text value = { 0 };

    put_name(d->out, name);
    text_add_str(d->out, " =");
    for (; o->name != NULL; o++) {
        value_of(o, row, d->secrets, &value);
        if (value.len == 0 || strcmp(text_str(&value), "-1") == 0 || conf_list_has(skip, slice_str(o->name)))
            continue;
        text_printf(d->out, " %s=", o->name);
        text_add_quoted(d->out, text_slice(&value), '\'');
    }
    text_add_char(d->out, '\n');
    text_done(&value);
}

/* What is printed means the same when it is read: a database with several hosts is shown as the cluster it
 * makes. */
static void
dump(const struct conf *c, bool secrets)
{
    struct text out = { 0 };
    const struct dumping d = { &out, secrets };

    dump_general(c, secrets, &out);
    text_add_str(&out, "\n[databases]\n");
    for (size_t i = 0; i < c->n_databases; i++)
        dump_line(&d, conf_database_options(), c->databases[i].name, &c->databases[i],
                  skipped(&c->databases[i]));
    text_add_str(&out, "\n[users]\n");
    for (size_t i = 0; i < c->n_users; i++)
        dump_line(&d, conf_user_options(), c->users[i].name, &c->users[i], "");
    text_add_str(&out, "\n[nodes]\n");
    for (size_t i = 0; i < c->n_nodes; i++)
        dump_line(&d, conf_node_options(), c->nodes[i].name, &c->nodes[i], "");
    text_add_str(&out, "\n[clusters]\n");
    for (size_t i = 0; i < c->n_clusters; i++)
        dump_line(&d, conf_cluster_options(), c->clusters[i].name, &c->clusters[i], "");
    text_add_str(&out, "\n[rules]\n");
    for (size_t i = 0; i < c->n_rules; i++)
        dump_line(&d, conf_rule_options(), c->rules[i].name, &c->rules[i], "");
    text_add_str(&out, "\n[peers]\n");
    for (size_t i = 0; i < c->n_peers; i++)
        dump_line(&d, conf_peer_options(), c->peers[i].name, &c->peers[i], "");
    fwrite(out.data, 1, out.len, stdout);
    text_done(&out);
}

int
check_file(const struct options *o)
{
    struct fault why;
    struct loaded l;
    struct conf *c = conf_load(o->file, &why);
    int code = EXIT_ENDED;

    if (c == NULL || !loaded_make(&l, c, NULL, LOAD_ALL, &why)) {
        fprintf(stderr, "pgweir: %s\n", why.message);
        return EXIT_USAGE;
    }
    if (o->dump)
        dump(l.setup.conf, o->secrets);
    else if (o->connect)
        code = connect_all(&l);
    else
        printf("%s is good\n", o->file);
    loaded_done(&l);
    return code;
}
