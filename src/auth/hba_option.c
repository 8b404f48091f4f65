/* SPDX-License-Identifier: ISC */
/* The options of a rule of pg_hba.conf, and what the method needs of them. Runs while a snapshot is made. */
#include <stdlib.h>

#include "base/mem.h"
#include "hba_private.h"

#define OF(method) (1u << (method))
#define OF_PAM     OF(HBA_PAM)
#define OF_LDAP    OF(HBA_LDAP)
#define OF_NAMED   (OF(HBA_PEER) | OF(HBA_CERT))
#define OF_ANY     (~0u)

/* One option on its way to its field. */
struct taking {
    struct hba_rule *rule;
    const char *value;
    struct fault *why;
};

typedef bool option_taker(const struct taking *t, void *field);

static bool
take_text(const struct taking *t, void *field)
{
    char **at = field;

    mem_free(*at);
    *at = mem_strdup(t->value);
    return true;
}

static bool
take_flag(const struct taking *t, void *field)
{
    *(bool *)field = strcmp(t->value, "1") == 0;
    return *(bool *)field || strcmp(t->value, "0") == 0 || fault_set(t->why, "F0000", "it must be 0 or 1");
}

static bool
take_port(const struct taking *t, void *field)
{
    char *end;
    long port = strtol(t->value, &end, 10);

    *(int64_t *)field = port;
    return (*end == '\0' && port > 0 && port < 65536) || fault_set(t->why, "F0000", "it must be a port");
}

static bool
take_scheme(const struct taking *t, void *field)
{
    return strcmp(t->value, "ldap") == 0 || strcmp(t->value, "ldaps") == 0
               ? take_text(t, field)
               : fault_set(t->why, "F0000", "it must be ldap or ldaps");
}

static bool
take_cert(const struct taking *t, void *field)
{
    bool full = strcmp(t->value, "verify-full") == 0;

    if (t->rule->link != HBA_LINK_TLS)
        return fault_set(t->why, "F0000", "it is only for hostssl connections");
    if (!full && (strcmp(t->value, "verify-ca") != 0 || t->rule->method == HBA_CERT))
        return fault_set(t->why, "F0000", "it must be verify-ca or verify-full, with method cert verify-full");
    *(enum hba_clientcert *)field = full ? HBA_CLIENTCERT_FULL : HBA_CLIENTCERT_CA;
    return true;
}

static bool
take_name(const struct taking *t, void *field)
{
    if (t->rule->link != HBA_LINK_TLS)
        return fault_set(t->why, "F0000", "it is only for hostssl connections");
    *(bool *)field = strcmp(t->value, "DN") == 0;
    return *(bool *)field || strcmp(t->value, "CN") == 0 || fault_set(t->why, "F0000", "it must be CN or DN");
}

static bool
take_url(const struct taking *t, void *field)
{
    return outside_take_url(field, t->value, t->why);
}

static const struct {
    const char *name;
    unsigned of;
    option_taker *take;
    size_t offset;
} options[] = {
#define OPTION(name, of, kind, field) { name, of, take_##kind, offsetof(struct hba_options, field) },
#include "hba_options.def"
#undef OPTION
};

static bool
take_option(struct hba_rule *r, struct slice name, const char *value, struct fault *why)
{
    const struct taking t = { r, value, why };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (!slice_is(name, options[i].name))
            continue;
        if ((options[i].of & OF(r->method)) == 0)
            return fault_set(why, "F0000", "option \"%s\" is not for this method", options[i].name);
        return options[i].take(&t, (char *)&r->options + options[i].offset) ||
               fault_prefix(why, "option \"%s\"", options[i].name);
    }
    return fault_set(why, "F0000", "option \"%.*s\" is not supported", (int)(name.len > 63 ? 63 : name.len),
                     (const char *)name.data);
}

/* Either the name is put between a prefix and a suffix, or it is searched for. */
static bool
ldap_is_whole(const struct outside_ldap *l, struct fault *why)
{
    bool affixes = l->prefix != NULL || l->suffix != NULL;
    bool search = l->base_dn != NULL || l->bind_dn != NULL || l->bind_password != NULL ||
                  l->attribute != NULL || l->filter != NULL;

    if ((l->server == NULL || l->server[0] == '\0') && l->base_dn == NULL)
        return fault_set(why, "F0000",
                         "method \"ldap\" needs ldapserver, or ldapbasedn for a search at the servers in DNS");
    if (affixes == search)
        return fault_set(why, "F0000",
                         "method \"ldap\" needs either ldapprefix and ldapsuffix, or ldapbasedn for a search");
    if (search && l->base_dn == NULL)
        return fault_set(why, "F0000", "method \"ldap\" needs ldapbasedn for a search");
    if (l->attribute != NULL && l->filter != NULL)
        return fault_set(why, "F0000", "ldapsearchattribute and ldapsearchfilter exclude each other");
    if (l->start_tls && l->scheme != NULL && strcmp(l->scheme, "ldaps") == 0)
        return fault_set(why, "F0000", "ldaptls = 1 and ldapscheme = ldaps exclude each other");
    return true;
}

bool
hba_take_options(struct hba_rule *r, const struct hba_token *tokens, size_t n, const struct hba_place *at,
                 struct fault *why)
{
    for (size_t i = 0; i < n; i++) {
        const char *equal = strchr(tokens[i].text, '=');

        if (equal == NULL)
            return hba_bad(at, why, "option \"%s\" has no value: NAME=VALUE", tokens[i].text);
        if (!take_option(r, slice_of(tokens[i].text, (size_t)(equal - tokens[i].text)), equal + 1, why))
            return fault_prefix(why, "%s:%d", at->file, at->line);
    }
    if (r->method == HBA_LDAP && !ldap_is_whole(&r->options.ldap, why))
        return fault_prefix(why, "%s:%d", at->file, at->line);
    return true;
}

void
hba_options_done(struct hba_options *o)
{
    mem_free(o->map);
    mem_free(o->pam_service);
    outside_ldap_done(&o->ldap);
}
