/* SPDX-License-Identifier: ISC */
/* The rules of a snapshot, asked. Never changed after parsing; any thread. */

#include "base/mem.h"
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

static bool
address_fits(const struct hba *h, const struct hba_rule *r, const struct hba_ask *ask)
{
    struct hba_ip from, local;

    if (ask->unix_socket)
        return true;
    from = hba_ip_of(ask->from);
    if (from.len == 0) /* not an address we know: no rule for it */
        return false;
    if (r->from == HBA_FROM_ALL)
        return true;
    if (r->from == HBA_FROM_NET)
        return hba_net_has(&r->net, &from);
    local = hba_ip_of(ask->local);
    if (local.len == from.len && memcmp(local.bytes, from.bytes, from.len) == 0)
        return true;
    return is_ours(h, &from, r->from == HBA_FROM_SAMENET);
}

enum hba_method
hba_decide(const struct hba *h, const struct hba_ask *ask, int *line)
{
    int none;

    if (line == NULL)
        line = &none;
    for (size_t i = 0; i < h->n; i++) {
        const struct hba_rule *r = &h->rules[i];

        if (!link_fits(r, ask) || !address_fits(h, r, ask))
            continue;
        if (!hba_database_fits(&r->databases, ask) || !hba_user_fits(&r->users, ask))
            continue;
        *line = r->line;
        return r->method;
    }
    *line = 0;
    return HBA_REJECT;
}
