/* SPDX-License-Identifier: ISC */
/* --check, --check --connect and --dump-config: nothing is started that stays. */
#include <stdio.h>

#include "app_private.h"
#include "ask/ask.h"
#include "base/clock.h"
#include "base/log.h"

/* ---- --connect: one database after the other, on a loop of its own ---- */

struct checking {
    struct worker control; /* first */
    const struct loaded *loaded;
    size_t at; /* database that is asked */
    struct ask *ask;
    unsigned n_bad;
    struct timer next; /* a connection is not freed inside its own answer */
};

static const char *const sslmodes[] = { "disable", "allow", "prefer", "require", "verify-ca", "verify-full" };

/* As whom to log in: the user of the line, else who asks for secrets. */
static struct slice
user_for(const struct conf *c, const struct conf_database *d)
{
    if (d->user[0] != '\0')
        return slice_str(d->user);
    return slice_str(d->auth_user[0] != '\0' ? d->auth_user : c->general.auth_user);
}

static void
on_answer(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct checking *k = owner;
    const struct conf_database *d = &k->loaded->setup.conf->databases[k->at];

    if (why != NULL) {
        k->n_bad++;
        printf("%s:%d: database %s: %s\n", d->file, d->line, d->name, why->message);
    } else {
        printf("%s:%d: database %s: good, PostgreSQL %s, %s\n", d->file, d->line, d->name,
               answer->field[0] != NULL ? answer->field[0] : "?",
               answer->field[1] != NULL && answer->field[1][0] == 't' ? "replica" : "primary");
    }
    k->at++;
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
ask_database(struct checking *k, const struct conf_database *d, struct slice user)
{
    const struct conf_general *g = &k->loaded->setup.conf->general;
    char *name = slice_dup(user), *password = slice_dup(password_for(k->loaded, d, user));
    const struct ask_target target = { .host = d->host[0] != '\0' ? d->host : "/var/run/postgresql",
                                       .database = d->dbname[0] != '\0' ? d->dbname : d->name,
                                       .user = name,
                                       .password = password,
                                       .port = (uint16_t)d->port,
                                       .sslmode = sslmodes[g->server_tls_sslmode],
                                       .ca_file = g->server_tls_ca_file,
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

static void
check_next(struct checking *k)
{
    const struct conf *c = k->loaded->setup.conf;

    for (; k->at < c->n_databases; k->at++) {
        const struct conf_database *d = &c->databases[k->at];
        struct slice user = user_for(c, d);

        if (strcmp(d->name, "*") == 0)
            continue;
        if (user.len > 0) {
            ask_database(k, d, user);
            return;
        }
        printf("%s:%d: database %s: not asked: it has neither user nor auth_user\n", d->file, d->line, d->name);
    }
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

static void
dump_section(const struct conf_option *o, const void *section, const char *between, struct text *out)
{
    struct text value = { 0 };

    for (; o->name != NULL; o++) {
        text_clear(&value);
        conf_print(o, section, &value);
        if (*between == '\n')
            text_printf(out, "%s = %s\n", o->name, text_str(&value));
        else if (value.len > 0 && strcmp(text_str(&value), "-1") != 0) {
            text_printf(out, " %s=", o->name);
            text_add_quoted(out, text_slice(&value), '\'');
        }
    }
    text_done(&value);
}

static void
dump(const struct conf *c)
{
    struct text out = { 0 };

    text_add_str(&out, c->general.compat == CONF_COMPAT_PGBOUNCER ? "[pgbouncer]\n" : "[pgweir]\n");
    dump_section(conf_general_options(), &c->general, "\n", &out);
    text_add_str(&out, "\n[databases]\n");
    for (size_t i = 0; i < c->n_databases; i++) {
        text_printf(&out, "%s =", c->databases[i].name);
        dump_section(conf_database_options(), &c->databases[i], " ", &out);
        text_add_char(&out, '\n');
    }
    text_add_str(&out, "\n[users]\n");
    for (size_t i = 0; i < c->n_users; i++) {
        text_printf(&out, "%s =", c->users[i].name);
        dump_section(conf_user_options(), &c->users[i], " ", &out);
        text_add_char(&out, '\n');
    }
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
        dump(l.setup.conf);
    else if (o->connect)
        code = connect_all(&l);
    else
        printf("%s is good\n", o->file);
    loaded_done(&l);
    return code;
}
