/* SPDX-License-Identifier: ISC */
/* A configuration with all that it names. */
#include "setup_private.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/resolve.h"

void
loaded_done(struct loaded *l)
{
    conf_drop(l->setup.conf);
    secrets_drop(l->setup.secrets);
    hba_drop(l->setup.hba);
    tls_context_drop(l->setup.client_tls);
    tls_context_drop(l->setup.server_tls);
    mem_free(l->client_mark);
    mem_free(l->server_mark);
    *l = (struct loaded){ 0 };
}

/* PgBouncer starts with what it can read, and a reload that does not find the file keeps the users. */
static struct secrets *
secrets_as_pgbouncer(const char *file, const struct loaded *old, struct fault *why)
{
    if (old == NULL)
        return secrets_salvage(file);
    if (access(file, F_OK) == 0 || errno != ENOENT)
        return secrets_load(file, why);
    log_error("auth_file: cannot open \"%s\", users stay as they are", file);
    return secrets_hold(old->setup.secrets);
}

static bool
load_secrets(struct loaded *l, const struct loaded *old, enum loading how, struct fault *why)
{
    const char *file = l->setup.conf->general.auth_file;

    if (how == LOAD_CHANGED && strcmp(file, old->setup.conf->general.auth_file) == 0)
        l->setup.secrets = secrets_hold(old->setup.secrets);
    else if (file[0] == '\0')
        l->setup.secrets = secrets_empty();
    else if (l->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER)
        l->setup.secrets = secrets_as_pgbouncer(file, old, why);
    else
        l->setup.secrets = secrets_load(file, why);
    return l->setup.secrets != NULL;
}

/* The methods that only rules can express are rules for everybody. */
static struct hba *
rules_for_all(const struct conf_general *g, struct fault *why)
{
    struct text t = { 0 };
    struct hba *h;

    if (g->auth_type == CONF_AUTH_CERT) {
        text_add_str(&t, "hostssl all,replication all all cert");
    } else {
        const char *method = conf_word("auth_type", g->auth_type);
        const char *options = g->auth_type == CONF_AUTH_LDAP ? g->auth_ldap_options : "";

        text_printf(&t, "local all,replication all %s %s\nhost all,replication all all %s %s", method, options,
                    method, options);
    }
    h = hba_parse(text_slice(&t), g->auth_type == CONF_AUTH_LDAP ? "auth_ldap_options" : "auth_type", why);
    mem_wipe(t.data, t.len);
    text_done(&t);
    return h;
}

static bool
needs_rules(const struct conf_general *g)
{
    return g->auth_type >= CONF_AUTH_HBA;
}

static bool
same_rules(const struct conf_general *a, const struct conf_general *b)
{
    return a->auth_type == b->auth_type && strcmp(a->auth_hba_file, b->auth_hba_file) == 0 &&
           strcmp(a->auth_ident_file, b->auth_ident_file) == 0 &&
           strcmp(a->auth_ldap_options, b->auth_ldap_options) == 0;
}

static bool
somebody_asks(const struct conf *c)
{
    bool found = c->general.auth_user[0] != '\0';

    for (size_t i = 0; !found && i < c->n_databases; i++)
        found = c->databases[i].auth_user[0] != '\0';
    return found;
}

/* Rules that could never let anybody in. PgBouncer starts with such. */
static bool
check_hba(const struct loaded *l, struct fault *why)
{
    const struct conf *c = l->setup.conf;
    struct fault missing = { 0 };

    if (hba_wants_certificate(l->setup.hba) && c->general.client_tls_ca_file[0] == '\0')
        fault_set(&missing, "F0000", "rules that want a client certificate need client_tls_ca_file");
    else if (hba_wants_roles(l->setup.hba) && !somebody_asks(c))
        fault_set(&missing, "F0000",
                  "rules with +role or samerole need auth_user, as which roles are looked up");
    if (missing.message[0] == '\0')
        return true;
    if (c->general.compat == CONF_COMPAT_PGBOUNCER) {
        log_warning("%s", missing.message);
        return true;
    }
    *why = missing;
    return false;
}

static bool
load_hba(struct loaded *l, const struct loaded *old, enum loading how, struct fault *why)
{
    const struct conf_general *g = &l->setup.conf->general;

    if (!needs_rules(g))
        return true;
    if (how == LOAD_CHANGED && old->setup.hba != NULL && same_rules(g, &old->setup.conf->general)) {
        l->setup.hba = hba_hold(old->setup.hba);
        return true;
    }
    l->setup.hba = g->auth_type == CONF_AUTH_HBA ? hba_load(g->auth_hba_file, why) : rules_for_all(g, why);
    return l->setup.hba != NULL && hba_load_ident(l->setup.hba, g->auth_ident_file, why) && check_hba(l, why);
}

/* Name a file so that a change of it gives another text. */
static void
mark_file(struct text *t, const char *file)
{
    struct stat st = { 0 };

    if (file[0] != '\0' && stat(file, &st) == -1)
        st.st_size = -1;
    text_printf(t, "%s %llu %llu %lld %lld.%09ld %lld.%09ld\n", file, (unsigned long long)st.st_dev,
                (unsigned long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

static char *
mark_of(const struct tls_files *f, int sslmode)
{
    struct text t = { 0 };

    text_printf(&t, "%d %s %s %s %s %s\n", sslmode, f->protocols, f->ciphers, f->tls13_ciphers,
                f->curves != NULL ? f->curves : "", f->dh != NULL ? f->dh : "");
    mark_file(&t, f->key_file);
    mark_file(&t, f->cert_file);
    mark_file(&t, f->ca_file);
    return text_take(&t);
}

typedef struct tls_context *context_maker(const struct tls_files *f, bool verify, struct fault *why);

struct side {
    const struct tls_files *files;
    int sslmode;
    context_maker *make;
    char *old_mark;
    struct tls_context *old;
};

/* *OUT stays NULL without TLS. */
static bool
load_side(const struct side *s, struct tls_context **out, char **mark, struct fault *why)
{
    if (s->sslmode == CONF_SSL_DISABLE)
        return true;
    *mark = mark_of(s->files, s->sslmode);
    if (s->old != NULL && s->old_mark != NULL && strcmp(s->old_mark, *mark) == 0)
        *out = tls_context_hold(s->old);
    else
        *out = s->make(s->files, s->sslmode >= CONF_SSL_VERIFY_CA, why);
    return *out != NULL;
}

static bool
load_tls(struct loaded *l, const struct loaded *old, struct fault *why)
{
    const struct conf_general *g = &l->setup.conf->general;
    const struct tls_files client = { g->client_tls_key_file,  g->client_tls_cert_file, g->client_tls_ca_file,
                                      g->client_tls_protocols, g->client_tls_ciphers,   g->client_tls13_ciphers,
                                      g->client_tls_ecdhcurve, g->client_tls_dheparams };
    const struct tls_files server = { g->server_tls_key_file,
                                      g->server_tls_cert_file,
                                      g->server_tls_ca_file,
                                      g->server_tls_protocols,
                                      g->server_tls_ciphers,
                                      g->server_tls13_ciphers,
                                      NULL,
                                      NULL };
    const struct side to_client = { &client, g->client_tls_sslmode, tls_context_server,
                                    old == NULL ? NULL : old->client_mark,
                                    old == NULL ? NULL : old->setup.client_tls };
    const struct side to_server = { &server, g->server_tls_sslmode, tls_context_client,
                                    old == NULL ? NULL : old->server_mark,
                                    old == NULL ? NULL : old->setup.server_tls };

    return load_side(&to_client, &l->setup.client_tls, &l->client_mark, why) &&
           load_side(&to_server, &l->setup.server_tls, &l->server_mark, why);
}

/* Options that this program, or this machine, gives no effect. */
static void
warn_about_names(const struct conf_general *g)
{
    if (!resolve_has_cares() && (g->resolv_conf[0] != '\0' || g->dns_zone_check_period > 0))
        log_warning(
            "resolv_conf and dns_zone_check_period have no effect: this pgweir was built without c-ares");
    else if (g->resolv_conf[0] != '\0' && access(g->resolv_conf, R_OK) == -1)
        log_warning("resolv_conf: cannot read %s: %s", g->resolv_conf, strerror(errno));
}

bool
loaded_make(struct loaded *l, struct conf *conf, const struct loaded *old, enum loading how, struct fault *why)
{
    *l = (struct loaded){ .setup.conf = conf };
    warn_about_names(&conf->general);
    if (load_secrets(l, old, how, why) && load_hba(l, old, how, why) && load_tls(l, old, why))
        return true;
    loaded_done(l);
    return false;
}
