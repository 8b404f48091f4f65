/* SPDX-License-Identifier: ISC */
/* The rules of a snapshot, asked. Never changed after parsing; any thread. */

#include "base/mem.h"
#include "file_private.h"
#include "hba_private.h"

struct hba *
hba_hold(struct hba *h)
{
    atomic_fetch_add_explicit(&h->holds, 1, memory_order_relaxed);
    return h;
}

void
hba_drop(struct hba *h)
{
    if (h == NULL || atomic_fetch_sub_explicit(&h->holds, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < h->n; i++)
        hba_rule_done(&h->rules[i]);
    ident_done(&h->ident);
    mem_free(h->file);
    mem_free(h->rules);
    mem_free(h->interfaces);
    mem_free(h);
}

static bool
link_fits(const struct hba_rule *r, const struct hba_ask *ask)
{
    if (ask->unix_socket)
        return r->link == HBA_LINK_LOCAL;
    switch (r->link) {
    case HBA_LINK_HOST:
        return true;
    case HBA_LINK_TLS:
        return ask->tls;
    case HBA_LINK_PLAIN:
        return !ask->tls;
    case HBA_LINK_LOCAL:
    case HBA_LINK_NEVER:
        break;
    }
    return false;
}

/* Is IP one of our addresses, or with WHOLE_NET in one of our networks? */
static bool
is_ours(const struct hba *h, const struct hba_ip *ip, bool whole_net)
{
    for (size_t i = 0; i < h->n_interfaces; i++) {
        struct hba_net net = h->interfaces[i];

        if (!whole_net)
            net.mask = hba_ip_mask(net.address.len, net.address.len * 8);
        if (hba_net_has(&net, ip))
            return true;
    }
    return false;
}

static enum hba_fit
address_fits(const struct hba *h, const struct hba_rule *r, const struct hba_ask *ask)
{
    struct hba_ip from, local;

    if (ask->unix_socket)
        return HBA_YES;
    from = hba_ip_of(ask->from);
    if (from.len == 0) /* not an address we know: no rule for it */
        return HBA_NO;
    if (r->from == HBA_FROM_ALL)
        return HBA_YES;
    if (r->from == HBA_FROM_NET)
        return hba_net_has(&r->net, &from) ? HBA_YES : HBA_NO;
    if (r->from == HBA_FROM_NAME && ask->host == NULL)
        return HBA_UNKNOWN;
    if (r->from == HBA_FROM_NAME)
        return hba_host_fits(r->host, ask->host) ? HBA_YES : HBA_NO;
    local = hba_ip_of(ask->local);
    if (local.len == from.len && memcmp(local.bytes, from.bytes, from.len) == 0)
        return HBA_YES;
    return is_ours(h, &from, r->from == HBA_FROM_SAMENET) ? HBA_YES : HBA_NO;
}

/* What is free to know is asked first. */
static enum hba_fit
names_fit(const struct hba_rule *r, const struct hba_ask *ask)
{
    enum hba_fit database = hba_database_fits(&r->databases, ask);
    enum hba_fit user = database == HBA_NO ? HBA_NO : hba_user_fits(&r->users, ask);

    return user == HBA_YES ? database : user;
}

enum hba_method
hba_decide(const struct hba *h, const struct hba_ask *ask, struct hba_found *found)
{
    struct hba_found none;

    if (found == NULL)
        found = &none;
    *found = (struct hba_found){ 0 };
    for (size_t i = 0; i < h->n; i++) {
        const struct hba_rule *r = &h->rules[i];
        enum hba_fit names = link_fits(r, ask) ? names_fit(r, ask) : HBA_NO;
        enum hba_fit address = names == HBA_NO ? HBA_NO : address_fits(h, r, ask);

        if (address == HBA_NO)
            continue;
        if (address == HBA_UNKNOWN)
            return HBA_NEEDS_HOST;
        if (names == HBA_UNKNOWN)
            return HBA_NEEDS_ROLES;
        *found = (struct hba_found){ r->line, &r->options };
        return r->method;
    }
    return HBA_REJECT;
}

enum hba_method
hba_map_user(const struct hba *h, const char *map, const char *system, const struct hba_ask *ask)
{
    if (map == NULL)
        return slice_is(ask->user, system) ? HBA_TRUST : HBA_REJECT;
    switch (ident_fits(&h->ident, map, system, ask->user, ask->roles)) {
    case HBA_YES:
        return HBA_TRUST;
    case HBA_UNKNOWN:
        return HBA_NEEDS_ROLES;
    default:
        return HBA_REJECT;
    }
}

static bool
has_kind(const struct hba_names *names, enum hba_name_kind kind)
{
    for (size_t i = 0; i < names->n; i++)
        if (names->items[i].kind == kind)
            return true;
    return false;
}

bool
hba_wants_roles(const struct hba *h)
{
    for (size_t i = 0; i < h->ident.n; i++)
        if (h->ident.lines[i].user.kind == HBA_NAME_ROLE)
            return true;
    for (size_t i = 0; i < h->n; i++)
        if (has_kind(&h->rules[i].databases, HBA_NAME_SAMEROLE) || has_kind(&h->rules[i].users, HBA_NAME_ROLE))
            return true;
    return false;
}

bool
hba_wants_certificate(const struct hba *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->rules[i].method == HBA_CERT || h->rules[i].options.clientcert != HBA_CLIENTCERT_NONE)
            return true;
    return false;
}

/* A rule whose map does not exist would never let anybody in. */
static bool
maps_exist(const struct hba *h, const struct ident *ident, const char *file, struct fault *why)
{
    for (size_t i = 0; i < h->n; i++) {
        const char *map = h->rules[i].options.map;

        if (map == NULL || ident_has_map(ident, map))
            continue;
        if (file[0] == '\0')
            fault_set(why, "F0000", "map \"%s\" needs auth_ident_file", map);
        else
            fault_set(why, "F0000", "map \"%s\" is not in %s", map, file);
        return fault_prefix(why, "%s:%d", h->file, h->rules[i].line);
    }
    return true;
}

/* IDENT is taken over. */
static bool
use_ident(struct hba *h, struct ident *ident, const char *file, struct fault *why)
{
    if (!maps_exist(h, ident, file, why)) {
        ident_done(ident);
        return false;
    }
    ident_done(&h->ident);
    h->ident = *ident;
    return true;
}

bool
hba_parse_ident(struct hba *h, struct slice text, const char *file, struct fault *why)
{
    struct ident ident;

    return ident_parse(&ident, text, file, why) && use_ident(h, &ident, file, why);
}

bool
hba_load_ident(struct hba *h, const char *file, struct fault *why)
{
    struct ident none = { 0 };
    struct slice text;
    bool good;

    if (file[0] == '\0')
        return use_ident(h, &none, file, why);
    if (!file_read(file, &text, why))
        return false;
    good = hba_parse_ident(h, text, file, why);
    file_done(text);
    return good;
}
