/* SPDX-License-Identifier: ISC */
/* Lines of tokens to rules. Runs while a snapshot is made, by one thread. */
#include <ctype.h>
#include <ifaddrs.h>

#include "base/mem.h"
#include "file_private.h"
#include "hba_private.h"

#define MAX_HOST 256

/* One line on its way to a rule. */
struct hba_cursor {
    const struct hba_line *line;
    size_t next; /* token */
    const struct hba_place *at;
    struct fault *why;
};

/* The tokens of the next field; *N is 0 for an @file without names. False at the end of the line. */
static bool
take_field(struct hba_cursor *c, unsigned field, const struct hba_token **tokens, size_t *n)
{
    *tokens = c->line->tokens + c->next;
    *n = 0;
    while (c->next < c->line->n && c->line->tokens[c->next].field == field) {
        c->next++;
        ++*n;
    }
    return field < c->line->n_fields;
}

/* The single token of field number FIELD, called WHAT; NULL with a fault otherwise. */
static const struct hba_token *
take_one(struct hba_cursor *c, unsigned field, const char *what)
{
    const struct hba_token *tokens;
    size_t n;

    if (!take_field(c, field, &tokens, &n)) {
        hba_bad(c->at, c->why, "the line ends before the %s", what);
        return NULL;
    }
    if (n != 1) {
        hba_bad(c->at, c->why, "one %s expected, not a list of %zu", what, n);
        return NULL;
    }
    return tokens;
}

static bool
parse_link(struct hba_cursor *c, struct hba_rule *r)
{
    static const struct {
        const char *name;
        enum hba_link link;
    } links[] = {
        { "local", HBA_LINK_LOCAL },     { "host", HBA_LINK_HOST },         { "hostssl", HBA_LINK_TLS },
        { "hostnossl", HBA_LINK_PLAIN }, { "hostnogssenc", HBA_LINK_HOST }, { "hostgssenc", HBA_LINK_NEVER },
    };
    const struct hba_token *t = take_one(c, 0, "connection type");

    for (size_t i = 0; t != NULL && i < sizeof(links) / sizeof(links[0]); i++)
        if (strcmp(t->text, links[i].name) == 0) {
            r->link = links[i].link;
            return true;
        }
    return t != NULL && hba_bad(c->at, c->why, "unknown connection type \"%s\"", t->text);
}

static bool
parse_names(struct hba_cursor *c, unsigned field, struct hba_names *names)
{
    const struct hba_token *tokens;
    bool is_user = field == 2;
    size_t n;

    if (!take_field(c, field, &tokens, &n))
        return hba_bad(c->at, c->why, "the line ends before the %s", is_user ? "user" : "database");
    for (size_t i = 0; i < n; i++)
        if (!hba_name_add(names, &tokens[i], is_user, c->why))
            return fault_prefix(c->why, "%s:%d", c->at->file, c->at->line);
    return true;
}

/* ::ffff:1.2.3.4: such a client is looked up as IPv4, so that a rule written this way would never fit. */
static bool
is_mapped(const struct hba_ip *ip)
{
    static const uint8_t prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF };

    return ip->len == 16 && memcmp(ip->bytes, prefix, sizeof(prefix)) == 0;
}

/* Letters, digits, "-", "_" and ".", and something else than digits and dots: an address with a slip of the pen
 * is no name. */
static bool
is_host_name(const char *text)
{
    bool letter = false;

    for (const char *c = text; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("-_.", *c) == NULL)
            return false;
        letter = letter || isalpha((unsigned char)*c);
    }
    return letter && strlen(text) < MAX_HOST;
}

/* T is an address; without a /length its mask is the next field, *FIELD. */
static bool
parse_net(struct hba_cursor *c, const struct hba_token *t, unsigned *field, struct hba_rule *r)
{
    struct hba_net *net = &r->net;
    int prefix_len, none;

    r->from = HBA_FROM_NET;
    if (!hba_ip_parse(t->text, &net->address, &prefix_len)) {
        r->from = HBA_FROM_NAME;
        r->host = mem_strdup(t->text);
        return is_host_name(t->text) ||
               hba_bad(c->at, c->why, "\"%s\" is neither an address nor a host name", t->text);
    }
    if (is_mapped(&net->address))
        return hba_bad(c->at, c->why, "\"%s\" stands for an IPv4 address: write it as one", t->text);
    if (prefix_len >= 0) {
        net->mask = hba_ip_mask(net->address.len, (unsigned)prefix_len);
        return true;
    }
    t = take_one(c, (*field)++, "mask");
    if (t == NULL)
        return false;
    if (!hba_ip_parse(t->text, &net->mask, &none) || none != -1 || net->mask.len != net->address.len)
        return hba_bad(c->at, c->why, "\"%s\" is not a mask for the address before it", t->text);
    return true;
}

static bool
parse_from(struct hba_cursor *c, unsigned *field, struct hba_rule *r)
{
    static const struct {
        const char *name;
        enum hba_from from;
    } words[] = { { "all", HBA_FROM_ALL }, { "samehost", HBA_FROM_SAMEHOST }, { "samenet", HBA_FROM_SAMENET } };
    const struct hba_token *t;

    if (r->link == HBA_LINK_LOCAL)
        return true;
    t = take_one(c, (*field)++, "address");
    if (t == NULL)
        return false;
    for (size_t i = 0; !t->quoted && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(t->text, words[i].name) == 0) {
            r->from = words[i].from;
            return true;
        }
    return parse_net(c, t, field, r);
}

/* What METHOD needs of the connection. */
static bool
check_method(struct hba_cursor *c, const struct hba_rule *r)
{
    if (r->method == HBA_PEER && r->link != HBA_LINK_LOCAL)
        return hba_bad(c->at, c->why, "method \"peer\" is only for local connections");
    if (r->method == HBA_CERT && r->link != HBA_LINK_TLS)
        return hba_bad(c->at, c->why, "method \"cert\" is only for hostssl connections");
    if (r->method == HBA_PAM && !outside_has_pam())
        return hba_bad(c->at, c->why, "method \"pam\": this pgweir was built without PAM");
    if (r->method == HBA_LDAP && !outside_has_ldap())
        return hba_bad(c->at, c->why, "method \"ldap\": this pgweir was built without LDAP");
    return true;
}

static bool
parse_method(struct hba_cursor *c, unsigned field, struct hba_rule *r)
{
    static const struct {
        const char *name;
        bool supported;
        enum hba_method method;
    } methods[] = {
#define METHOD(name, method) { name, true, method },
#define UNSUPPORTED(name)    { name, false, HBA_REJECT },
#include "hba_methods.def"
#undef METHOD
#undef UNSUPPORTED
    };
    const struct hba_token *t = take_one(c, field, "authentication method");

    for (size_t i = 0; t != NULL && i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(t->text, methods[i].name) != 0)
            continue;
        if (strcmp(t->text, "ident") == 0 && r->link == HBA_LINK_LOCAL) { /* PostgreSQL: means peer */
            r->method = HBA_PEER;
            return true;
        }
        if (!methods[i].supported)
            return hba_bad(c->at, c->why, "authentication method \"%s\" is not supported", t->text);
        r->method = methods[i].method;
        return check_method(c, r);
    }
    return t != NULL && hba_bad(c->at, c->why, "unknown authentication method \"%s\"", t->text);
}

static bool
parse_fields(struct hba_cursor *c, struct hba_rule *r)
{
    unsigned field = 3;

    if (!parse_link(c, r) || !parse_names(c, 1, &r->databases) || !parse_names(c, 2, &r->users))
        return false;
    if (!parse_from(c, &field, r) || !parse_method(c, field, r))
        return false;
    return hba_take_options(r, c->line->tokens + c->next, c->line->n - c->next, c->at, c->why);
}

void
hba_rule_done(struct hba_rule *r)
{
    hba_names_done(&r->databases);
    hba_names_done(&r->users);
    hba_options_done(&r->options);
    mem_free(r->host);
}

static bool
add_rule(void *owner, const struct hba_line *line, const struct hba_place *at, struct fault *why)
{
    struct hba *h = owner;
    struct hba_cursor c = { .line = line, .at = at, .why = why };
    struct hba_rule r = { .line = at->line };

    if (!parse_fields(&c, &r)) {
        hba_rule_done(&r);
        return false;
    }
    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 16 : h->cap * 2;
        h->rules = mem_realloc(h->rules, h->cap * sizeof(*h->rules));
    }
    h->rules[h->n++] = r;
    return true;
}

static void
add_interface(struct hba *h, const struct ifaddrs *i)
{
    struct hba_net net = { .address = hba_ip_of(i->ifa_addr), .mask = hba_ip_of(i->ifa_netmask) };

    if (net.address.len == 0)
        return;
    if (net.mask.len != net.address.len)
        net.mask = hba_ip_mask(net.address.len, net.address.len * 8);
    h->interfaces = mem_realloc(h->interfaces, (h->n_interfaces + 1) * sizeof(*h->interfaces));
    h->interfaces[h->n_interfaces++] = net;
}

static bool
read_interfaces(struct hba *h, struct fault *why)
{
    struct ifaddrs *all;
    bool wanted = false;

    for (size_t i = 0; i < h->n; i++)
        wanted = wanted || h->rules[i].from == HBA_FROM_SAMEHOST || h->rules[i].from == HBA_FROM_SAMENET;
    if (!wanted)
        return true;
    if (getifaddrs(&all) == -1)
        return fault_errno(why, "cannot list the network interfaces");
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
        add_interface(h, i);
    freeifaddrs(all);
    return true;
}

struct hba *
hba_parse(struct slice text, const char *file, struct fault *why)
{
    struct hba *h = mem_new(struct hba);
    unsigned files = 0;
    struct hba_place at = { .file = file, .files = &files };

    atomic_init(&h->holds, 1);
    h->file = mem_strdup(file);
    if (!hba_is_text(text, &at, why) || !hba_each_line(text, &at, add_rule, h, why) || !read_interfaces(h, why))
        goto fail;
    if (h->n > 0)
        return h;
    fault_set(why, "F0000", "%s: no rule is in it, so nobody could log in", file);
fail:
    hba_drop(h);
    return NULL;
}

struct hba *
hba_load(const char *file, struct fault *why)
{
    struct slice text;
    struct hba *h;

    if (!file_read(file, &text, why))
        return NULL;
    h = hba_parse(text, file, why);
    file_done(text);
    return h;
}
