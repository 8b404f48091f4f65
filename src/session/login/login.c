/* SPDX-License-Identifier: ISC */
/* Who the client is: first the method by auth_type or hba, then the secret from the user list or auth_query,
 * then the proof. Each of the first two may have to wait for an answer from elsewhere, after which
 * login_go_on() is called. */
#include <unistd.h>

#include "base/log.h"
#include "login_private.h"

/* PgBouncer's door for operators: our own user, by Unix socket, as user pgbouncer or pgweir. */
static bool
is_owner(const struct session *s)
{
    uid_t uid;

    return console_is_name(slice_str(s->database)) &&
           (strcmp(s->user, "pgbouncer") == 0 || strcmp(s->user, "pgweir") == 0) && method_peer_uid(s, &uid) &&
           uid == geteuid();
}

/* False: nobody may log in to this database without a role of its own. */
static bool
any_is_fine(struct session *s)
{
    const struct conf_database *d = conf_find_database(s->hall->setup.conf, slice_str(s->database));
    struct fault why;

    if (d == NULL || d->user[0] != '\0' || console_is_name(slice_str(s->database)))
        return true;
    fault_set(&why, "28000", "auth_type = any needs a user for database \"%.63s\"", s->database);
    fault_hint(&why, "Set user= in its line of [databases].");
    session_close(s, &why);
    return false;
}

/* Nobody is let in by a word of others who is not known here. */
static bool
is_known(struct session *s)
{
    struct fault why;

    if (s->login->secret != NULL || s->login->owner || s->login->any)
        return true;
    fault_set(&why, "28P01", "\"trust\" authentication failed: user \"%.63s\" is not in auth_file", s->user);
    fault_hint(&why, "Add the user to auth_file, or use auth_type = any with a user in [databases].");
    session_close(s, &why);
    return false;
}

/* The secret is known, or there is none. */
void
login_with_secret(struct session *s, struct slice secret)
{
    struct login *l = s->login;

    if (secret.data != NULL)
        l->secret = slice_dup(secret);
    if (l->method != HBA_TRUST)
        proof_ask(s);
    else if (is_known(s))
        login_accept(s);
}

/* A password that others judge needs no secret; and one may be the password for the server. */
static bool
wants_secret(const struct login *l)
{
    return !l->owner && !l->any && l->method != HBA_PAM && l->method != HBA_LDAP;
}

void
login_go_on(struct session *s)
{
    struct login *l = s->login;
    struct slice secret = secrets_find(s->hall->setup.secrets, slice_str(s->user));
    struct fault why;

    l->owner = is_owner(s);
    l->any = s->hall->setup.conf->general.auth_type == CONF_AUTH_ANY;
    l->method = l->owner ? HBA_TRUST : method_choose(s, &why);
    if (l->method == HBA_REJECT)
        session_close(s, &why);
    else if (l->method == HBA_NEEDS_HOST)
        host_ask(s);
    else if (l->method == HBA_NEEDS_NAME)
        system_user_ask(s);
    else if (l->method == HBA_NEEDS_ROLES)
        roles_ask(s);
    else if (l->any && !any_is_fine(s))
        return;
    else if (secret.data != NULL || !wants_secret(l) || !login_look_up(s))
        login_with_secret(s, secret);
}

bool
login_is_waiting(const struct login *l)
{
    return l->derive != NULL || l->ask != NULL || l->outside != NULL;
}

static bool
take_identity(struct session *s, const struct startup *packet)
{
    if (packet->user.len > 127 || packet->database.len > 127 ||
        memchr(packet->user.data, '\0', packet->user.len))
        return session_protocol_error(s, "user or database name is too long");
    session_set_names(s, packet->user, packet->database);
    s->replication = packet->replication.len > 0 && !slice_is_nocase(packet->replication, "false") &&
                     !slice_is_nocase(packet->replication, "off") && !slice_is(packet->replication, "0") &&
                     !slice_is_nocase(packet->replication, "no");
    return true;
}

static void
log_login(const struct session *s)
{
    char tls[64] = "no", who[COMPAT_WHO];

    if (!s->hall->setup.conf->general.log_connections)
        return;
    if (s->client.tls != NULL)
        tls_describe(s->client.tls, tls, sizeof(tls));
    log_info("%s login attempt: db=%s user=%s tls=%s", compat_who(s, who), s->database, s->user, tls);
}

bool
login_begin(struct session *s, const struct startup *packet)
{
    struct login *l = s->login = mem_new(struct login);

    l->minor = packet->minor > 2 ? 2 : packet->minor;
    l->has_options = packet->options.len > 0;
    if (!take_identity(s, packet) || !params_take(s, packet))
        return false;
    if (s->replication)
        l->replication = slice_dup(packet->replication);
    session_move_to(s, SESSION_LOGIN);
    log_login(s);
    login_go_on(s);
    return s->state != SESSION_GONE;
}

void
login_free(struct session *s)
{
    struct login *l = s->login;

    if (l == NULL)
        return;
    if (l->derive != NULL)
        l->derive->session = NULL;
    if (l->ask != NULL)
        l->ask->session = NULL;
    if (l->outside != NULL)
        outside_forget(l->outside);
    hba_drop(l->hba);
    mem_free(l->host);
    mem_free(l->system_user);
    mem_free(l->roles);
    if (l->secret != NULL)
        mem_wipe(l->secret, strlen(l->secret));
    mem_free(l->secret);
    mem_free(l->replication);
    if (l->scram != NULL)
        scram_server_done(l->scram);
    mem_free(l->scram);
    if (l->keys != NULL)
        mem_wipe(l->keys, sizeof(*l->keys));
    mem_free(l->keys);
    mem_free(l);
    s->login = NULL;
}
