/* SPDX-License-Identifier: ISC */
/* Questions to PostgreSQL about one user who logs in, auth_query above all: which database to ask, as whom, and
 * what the answer means. */
#include "base/log.h"
#include "login_private.h"
#include "topo/topology.h"

static const char *
first_of(const char *a, const char *b)
{
    return a[0] != '\0' ? a : b;
}

static void
ask_free(struct secret_ask *q)
{
    /* lookup_ask_free() frees the strings of its part, and the whole: it is the first member */
    lookup_ask_free(&q->ask);
}

/* PostgreSQL's own, in what libpq makes of them: "connection to server ... failed: FATAL: words". */
static const char *
words_in(const char *message)
{
    const char *level = strstr(message, " failed: "), *words = level == NULL ? NULL : strstr(level + 9, ": ");

    return words == NULL ? message : words + 2;
}

void
login_look_up_failed(struct session *s, const struct lookup_ask *a)
{
    bool own = !a->ok && strcmp(a->database, s->database) == 0;
    struct fault why;

    /* there is no such database, or it takes no connections: the client's matter */
    if (own && (strcmp(a->why.sqlstate, "3D000") == 0 || strcmp(a->why.sqlstate, "55000") == 0)) {
        fault_set(&why, a->why.sqlstate, "%s", words_in(a->why.message));
    } else {
        fault_set(&why, "57P03", "no server is available for database \"%.63s\"", s->database);
        fault_detail(&why, "auth_query failed: %s", a->ok ? "too many roles" : a->why.message);
    }
    session_close(s, &why);
}

static void
on_answer(struct worker *w, struct lookup_ask *a)
{
    struct secret_ask *q = container_of(a, struct secret_ask, ask);
    struct session *s = q->session;

    if (s != NULL) {
        s->login->ask = NULL;
        q->then(s, a);
        stream_again(&s->client);
        stream_flush(&hall_of(w)->turn);
    }
    ask_free(q);
}

/* The line of [databases] that is asked: auth_dbname, else the client's own. NULL: there is none; then the
 * session may have been closed. */
static const struct conf_database *
database_to_ask(struct session *s, const struct conf_database *own)
{
    const struct conf *conf = s->hall->setup.conf;
    const char *name =
        own == NULL ? conf->general.auth_dbname : first_of(own->auth_dbname, conf->general.auth_dbname);
    const struct conf_database *d = name[0] == '\0' ? own : conf_find_database(conf, slice_str(name));
    struct fault why;

    if (name[0] == '\0')
        return own;
    if (d == NULL) {
        log_warning("client=c%llu authentication database \"%s\" is not configured", (unsigned long long)s->id,
                    name);
        fault_set(&why, "F0000", "authentication database \"%.63s\" is not configured", name);
    } else if ((registry_flags(s->hall->registry, slice_str(name)) & DATABASE_DISABLED) != 0) {
        fault_set(&why, "57P03", "authentication database \"%.63s\" is disabled", name);
    } else {
        return d;
    }
    session_close(s, &why);
    return NULL;
}

/* Before the nodes have been looked at, and for a database with one server. */
static const char *
first_address(const struct session *s, const struct conf_database *d, const struct conf_cluster *cluster,
              uint16_t *port)
{
    const struct conf *conf = s->hall->setup.conf;

    for (size_t i = 0; cluster != NULL && i < conf->n_nodes; i++)
        if (strcmp(conf->nodes[i].cluster, cluster->name) == 0) {
            *port = (uint16_t)conf->nodes[i].port;
            return conf->nodes[i].host;
        }
    *port = (uint16_t)d->port;
    return first_of(d->host, "/var/run/postgresql");
}

/* Any node of a cluster knows the roles; the primary first. */
static const char *
where_to_ask(const struct session *s, const struct conf_database *d, uint16_t *port)
{
    const struct conf_cluster *cluster = conf_cluster_of(s->hall->setup.conf, d);
    const struct cluster *c = cluster == NULL || s->hall->topology == NULL
                                  ? NULL
                                  : topology_find(s->hall->topology, slice_str(cluster->name));
    unsigned i = 0;

    if (c == NULL || c->n_nodes == 0)
        return first_address(s, d, cluster, port);
    while (c->primary < 0 && i + 1 < c->n_nodes && !node_is_usable(&c->nodes[i], true))
        i++;
    if (c->primary >= 0)
        i = (unsigned)c->primary;
    *port = c->nodes[i].port;
    return c->nodes[i].host;
}

bool
login_ask_server(struct session *s, const char *query, void (*then)(struct session *s, struct lookup_ask *a))
{
    const struct conf_general *g = &s->hall->setup.conf->general;
    const struct conf_database *own = conf_find_database(s->hall->setup.conf, slice_str(s->database));
    const char *role = own == NULL ? g->auth_user : first_of(own->auth_user, g->auth_user);
    const struct conf_database *d = role[0] == '\0' ? NULL : database_to_ask(s, own);
    struct slice password;
    struct secret_ask *q;

    if (d == NULL)
        return false;
    q = mem_new(struct secret_ask);
    password = secrets_find(s->hall->setup.secrets, slice_str(role));
    q->session = s;
    q->then = then;
    q->ask.from = &s->hall->worker;
    q->ask.done = on_answer;
    q->ask.host = mem_strdup(where_to_ask(s, d, &q->ask.port));
    q->ask.database = mem_strdup(d->dbname[0] != '\0'        ? d->dbname
                                 : strcmp(d->name, "*") == 0 ? s->database
                                                             : d->name);
    q->ask.role = mem_strdup(role);
    q->ask.password =
        password.data != NULL && secret_kind(password) == SECRET_PLAIN ? slice_dup(password) : mem_strdup("");
    q->ask.query = mem_strdup(query);
    q->ask.user = mem_strdup(s->user);
    q->ask.timeout_us = g->server_connect_timeout;
    q->ask.sslmode = g->server_tls_sslmode;
    q->ask.ca_file = mem_strdup(g->server_tls_ca_file);
    s->login->ask = q;
    lookups_ask(s->hall->lookups, &q->ask);
    return true;
}

static void
on_secret(struct session *s, struct lookup_ask *a)
{
    struct fault why;

    if (!a->ok) {
        login_look_up_failed(s, a);
    } else if (!a->found && s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER) {
        fault_set(&why, "28P01", "no such user"); /* PgBouncer does not ask it for a password */
        session_close(s, &why);
    } else {
        login_with_secret(s, a->found ? slice_str(a->secret) : slice_of(NULL, 0));
    }
}

bool
login_look_up(struct session *s)
{
    const struct conf_general *g = &s->hall->setup.conf->general;
    const struct conf_database *own = conf_find_database(s->hall->setup.conf, slice_str(s->database));

    return login_ask_server(s, own == NULL ? g->auth_query : first_of(own->auth_query, g->auth_query),
                            on_secret) ||
           s->state == SESSION_GONE;
}
