/* SPDX-License-Identifier: ISC */
/* Options that are each legal and together are not. One function for each matter; the first
 * fault is the answer. A configuration that passes here can be started and reloaded. */
#include "check_private.h"

#include <stdlib.h>

#define MAX_DATABASE_NAME 63
#define MAX_USER_NAME     127

struct checking {
    const struct conf *c;
    const struct conf_where *where;
    struct fault *why;
};

typedef bool checker(const struct checking *k);

/* WHY is set: add where option ID was set. Always false. */
static bool
at_option(const struct checking *k, enum conf_general_id id)
{
    if (k->where[id].file != NULL)
        fault_prefix(k->why, "%s:%d", k->where[id].file, k->where[id].line);
    return false;
}

/* WHY is set: add where database D stands. Always false. */
static bool
at_database(const struct checking *k, const struct conf_database *d)
{
    return fault_prefix(k->why, "%s:%d", d->file, d->line);
}

static bool
is_set(const char *text)
{
    return text[0] != '\0';
}

static bool
is_console(const char *name)
{
    return strcmp(name, "pgweir") == 0 || strcmp(name, "pgbouncer") == 0;
}

static bool
check_listen(const struct checking *k)
{
    const struct conf_general *g = &k->c->general;

    if (is_set(g->listen_addr) || is_set(g->unix_socket_dir))
        return true;
    fault_set(k->why, "F0000", "nothing to listen on: listen_addr and unix_socket_dir are both empty");
    return at_option(k, CONF_ID_listen_addr);
}

static bool
check_hba(const struct checking *k)
{
    const struct conf_general *g = &k->c->general;

    if (g->auth_type != CONF_AUTH_HBA || is_set(g->auth_hba_file))
        return true;
    fault_set(k->why, "F0000", "auth_type = hba needs auth_hba_file");
    return at_option(k, CONF_ID_auth_type);
}

static bool
check_client_tls(const struct checking *k)
{
    const struct conf_general *g = &k->c->general;

    if (g->client_tls_sslmode == CONF_SSL_DISABLE)
        return true;
    if (!is_set(g->client_tls_key_file) || !is_set(g->client_tls_cert_file))
        fault_set(k->why, "F0000", "client_tls_sslmode needs client_tls_key_file and client_tls_cert_file");
    else if (g->client_tls_sslmode >= CONF_SSL_VERIFY_CA && !is_set(g->client_tls_ca_file))
        fault_set(k->why, "F0000", "client_tls_sslmode = verify-ca or verify-full needs client_tls_ca_file");
    else
        return true;
    return at_option(k, CONF_ID_client_tls_sslmode);
}

static bool
check_server_tls(const struct checking *k)
{
    const struct conf_general *g = &k->c->general;

    if (g->server_tls_sslmode >= CONF_SSL_VERIFY_CA && !is_set(g->server_tls_ca_file)) {
        fault_set(k->why, "F0000", "server_tls_sslmode = verify-ca or verify-full needs server_tls_ca_file");
        return at_option(k, CONF_ID_server_tls_sslmode);
    }
    if (is_set(g->server_tls_key_file) == is_set(g->server_tls_cert_file))
        return true;
    fault_set(k->why, "F0000", "server_tls_key_file and server_tls_cert_file need each other");
    return at_option(k, is_set(g->server_tls_key_file) ? CONF_ID_server_tls_key_file
                                                       : CONF_ID_server_tls_cert_file);
}

/* AUTH_DBNAME may be empty. A missing line is known only at the first login in PgBouncer, so there too. */
static bool
auth_dbname_is_fine(const struct checking *k, const char *auth_dbname)
{
    const struct conf *c = k->c;

    if (!is_set(auth_dbname))
        return true;
    if (is_console(auth_dbname))
        return fault_set(k->why, "F0000", "cannot use the reserved \"%s\" database as an auth_dbname",
                         auth_dbname);
    if (c->general.compat == CONF_COMPAT_PGBOUNCER || conf_find_database(c, slice_str(auth_dbname)) != NULL)
        return true;
    return fault_set(k->why, "F0000", "auth_dbname \"%s\" is not in [databases]", auth_dbname);
}

/* The name is sent as the query's only parameter. */
static bool
auth_query_is_fine(const struct checking *k, const char *auth_user, const char *auth_query)
{
    if (!is_set(auth_user) || strstr(auth_query, "$1") != NULL)
        return true;
    return fault_set(k->why, "F0000", "auth_user needs an auth_query with $1 for the name");
}

static bool
check_auth_query(const struct checking *k)
{
    const struct conf_general *g = &k->c->general;

    if (!auth_query_is_fine(k, g->auth_user, g->auth_query))
        return at_option(k, is_set(g->auth_query) ? CONF_ID_auth_query : CONF_ID_auth_user);
    return auth_dbname_is_fine(k, g->auth_dbname) || at_option(k, CONF_ID_auth_dbname);
}

static bool
database_is_fine(const struct checking *k, const struct conf_database *d)
{
    const struct conf_general *g = &k->c->general;
    const char *auth_user = is_set(d->auth_user) ? d->auth_user : g->auth_user;
    const char *auth_query = is_set(d->auth_query) ? d->auth_query : g->auth_query;

    if (is_console(d->name))
        return fault_set(k->why, "F0000", "database name \"%s\" is reserved for the console", d->name);
    if (strlen(d->name) > MAX_DATABASE_NAME)
        return fault_set(k->why, "F0000", "a database name has at most %d bytes", MAX_DATABASE_NAME);
    if (strchr(d->host, '=') != NULL)
        return fault_set(k->why, "F0000", "host \"%s\" looks like an option; leave host= out when it is empty",
                         d->host);
    return conf_check_cluster_of(k->c, d, k->why) && auth_query_is_fine(k, auth_user, auth_query) &&
           auth_dbname_is_fine(k, d->auth_dbname);
}

static bool
check_databases(const struct checking *k)
{
    for (size_t i = 0; i < k->c->n_databases; i++)
        if (!database_is_fine(k, &k->c->databases[i]))
            return at_database(k, &k->c->databases[i]);
    return true;
}

static bool
check_nodes(const struct checking *k)
{
    return conf_check_nodes(k->c, k->why);
}

static bool
check_clusters(const struct checking *k)
{
    return conf_check_clusters(k->c, k->why);
}

static bool
check_rules(const struct checking *k)
{
    return conf_check_rules(k->c, k->why);
}

static bool
check_users(const struct checking *k)
{
    for (size_t i = 0; i < k->c->n_users; i++) {
        const struct conf_user *u = &k->c->users[i];

        if (strlen(u->name) > MAX_USER_NAME) {
            fault_set(k->why, "F0000", "a user name has at most %d bytes", MAX_USER_NAME);
            return fault_prefix(k->why, "%s:%d", u->file, u->line);
        }
    }
    return true;
}

static bool
check_peers(const struct checking *k)
{
    for (size_t i = 0; i < k->c->n_peers; i++) {
        const struct conf_peer *p = &k->c->peers[i];
        size_t digits = strspn(p->name, "0123456789");
        long id = digits > 5 || p->name[digits] != '\0' || p->name[0] == '0' ? 0 : strtol(p->name, NULL, 10);

        if (id < 1 || id > CONF_MAX_PEER)
            fault_set(k->why, "F0000", "a peer's name is its peer_id, from 1 to %d", CONF_MAX_PEER);
        else if (!is_set(p->host))
            fault_set(k->why, "F0000", "peer %s needs a host", p->name);
        else
            continue;
        return fault_prefix(k->why, "%s:%d", p->file, p->line);
    }
    return true;
}

bool
conf_check(const struct conf *c, const struct conf_where *where, struct fault *why)
{
    static checker *const checkers[] = { check_listen,     check_hba,   check_client_tls, check_server_tls,
                                         check_auth_query, check_nodes, check_clusters,   check_databases,
                                         check_users,      check_rules, check_peers };
    const struct checking k = { c, where, why };

    for (size_t i = 0; i < sizeof(checkers) / sizeof(*checkers); i++)
        if (!checkers[i](&k))
            return false;
    return true;
}
