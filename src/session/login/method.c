/* SPDX-License-Identifier: ISC */
/* How a client has to prove who it is: auth_type, or the rules of hba with what they need to know. */
#include <sys/socket.h>

#include "login_private.h"

bool
method_peer_uid(const struct session *s, uid_t *uid)
{
    struct ucred c;
    socklen_t len = sizeof(c);

    if (!s->is_unix || getsockopt(s->client.fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == -1)
        return false;
    *uid = c.uid;
    return true;
}

/* May the one whom the certificate names log in as this user? */
static enum hba_method
map_certificate(struct session *s, const struct hba_ask *ask, const struct hba_options *o)
{
    const struct tls *t = s->client.tls;
    char name[2048];

    if (t == NULL || !(o->by_dn ? tls_peer_dn : tls_peer_name)(t, name, sizeof(name)))
        return HBA_REJECT;
    return hba_map_user(s->login->hba, o->map, name, ask);
}

/* May the system user at the other end? */
static enum hba_method
map_peer(struct session *s, const struct hba_ask *ask, const struct hba_options *o)
{
    const char *name = s->login->system_user;

    if (name == NULL)
        return HBA_NEEDS_NAME;
    return name[0] == '\0' ? HBA_REJECT : hba_map_user(s->login->hba, o->map, name, ask);
}

/* What the rule wants of the certificate besides the method. */
static enum hba_method
check_certificate(struct session *s, const struct hba_ask *ask, const struct hba_options *o, struct fault *why)
{
    enum hba_method m = HBA_TRUST;

    if (o->clientcert == HBA_CLIENTCERT_NONE)
        return HBA_TRUST;
    if (s->client.tls == NULL || !tls_has_certificate(s->client.tls)) {
        fault_set(why, "28000", "connection requires a valid client certificate");
        return HBA_REJECT;
    }
    if (o->clientcert == HBA_CLIENTCERT_FULL)
        m = map_certificate(s, ask, o);
    if (m == HBA_REJECT)
        fault_set(why, "28000", "certificate authentication failed for user \"%.63s\"", s->user);
    return m;
}

static enum hba_method
by_name(struct session *s, const struct hba_ask *ask, const struct hba_options *o, struct fault *why)
{
    bool peer = s->login->method == HBA_PEER;
    enum hba_method m = peer ? map_peer(s, ask, o) : map_certificate(s, ask, o);

    if (m == HBA_REJECT)
        fault_set(why, "28000", "%s authentication failed for user \"%.63s\"", peer ? "Peer" : "certificate",
                  s->user);
    return m;
}

static void
fault_reject(const struct session *s, int line, struct fault *why)
{
    char from[NET_ADDRESS_TEXT] = "[local]";
    struct net_address a;

    net_address_peer(&a, s->client.fd);
    if (!s->is_unix)
        net_address_host(&a, from);
    fault_set(why, "28000", "%s host \"%s\", user \"%.63s\", database \"%.63s\", %s",
              line > 0 ? "pg_hba.conf rejects connection for" : "no pg_hba.conf entry for", from, s->user,
              s->database, s->tls ? "SSL encryption" : "no encryption");
}

/* Replication of a database (logical) fits the database's rules. */
static bool
is_physical(const struct session *s)
{
    return s->replication && strcmp(s->login->replication, "database") != 0;
}

static enum hba_method
by_rules(struct session *s, struct fault *why)
{
    struct login *l = s->login;
    struct net_address from, local;
    struct hba_ask ask = { .database = slice_str(s->database),
                           .user = slice_str(s->user),
                           .replication = is_physical(s),
                           .unix_socket = s->is_unix,
                           .tls = s->tls,
                           .host = l->host,
                           .roles = l->roles };
    struct hba_found found;
    enum hba_method m;

    net_address_peer(&from, s->client.fd);
    net_address_local(&local, s->client.fd);
    ask.from = s->is_unix ? NULL : &from.any;
    ask.local = s->is_unix ? NULL : &local.any;
    l->method = hba_decide(l->hba, &ask, &found);
    l->options = found.options;
    if (l->method == HBA_REJECT)
        fault_reject(s, found.line, why);
    if (l->options == NULL || l->method == HBA_REJECT)
        return l->method;
    if (l->options->pam_use_hostname && l->host == NULL && !s->is_unix)
        return HBA_NEEDS_HOST;
    m = check_certificate(s, &ask, l->options, why);
    if (m == HBA_TRUST && (l->method == HBA_PEER || l->method == HBA_CERT))
        return by_name(s, &ask, l->options, why);
    return m == HBA_TRUST ? l->method : m;
}

enum hba_method
method_choose(struct session *s, struct fault *why)
{
    struct hall_setup *setup = &s->hall->setup;

    switch (setup->conf->general.auth_type) {
    case CONF_AUTH_ANY:
    case CONF_AUTH_TRUST:
        return HBA_TRUST;
    case CONF_AUTH_PLAIN:
        return HBA_PASSWORD;
    case CONF_AUTH_MD5:
        return HBA_MD5;
    case CONF_AUTH_SCRAM:
        return HBA_SCRAM;
    default:
        break;
    }
    if (s->login->hba == NULL && setup->hba == NULL) { /* a reload came while this client waited */
        fault_reject(s, 0, why);
        return HBA_REJECT;
    }
    if (s->login->hba == NULL) /* the same rules until it is in */
        s->login->hba = hba_hold(setup->hba);
    return by_rules(s, why);
}
