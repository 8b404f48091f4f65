/* SPDX-License-Identifier: ISC */
/* What a rule of pg_hba.conf says of databases, users and addresses, and whether
 * that fits. Names never change after parsing (regexec() locks for itself); any thread. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hba_private.h"

static bool
is_keyword(const struct hba_token *t, const char *keyword)
{
    return !t->quoted && strcmp(t->text, keyword) == 0;
}

static enum hba_name_kind
kind_of(const struct hba_token *t, bool is_user)
{
    static const struct {
        const char *word;
        bool of_users;
        enum hba_name_kind kind;
    } keywords[] = { { "all", true, HBA_NAME_ALL },
                     { "sameuser", false, HBA_NAME_SAMEUSER },
                     { "samerole", false, HBA_NAME_SAMEROLE },
                     { "samegroup", false, HBA_NAME_SAMEROLE },
                     { "replication", false, HBA_NAME_REPLICATION } };

    if (t->text[0] == '/')
        return HBA_NAME_REGEX;
    if (is_user && !t->quoted && t->text[0] == '+')
        return HBA_NAME_ROLE;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if ((!is_user || keywords[i].of_users) && is_keyword(t, keywords[i].word))
            return keywords[i].kind;
    return HBA_NAME_EXACT;
}

bool
hba_name_init(struct hba_name *name, const struct hba_token *t, bool is_user, struct fault *why)
{
    *name = (struct hba_name){ .kind = kind_of(t, is_user) };
    if (name->kind == HBA_NAME_REGEX)
        return hba_regex_compile(&name->regex, t->text + 1, why);
    if (name->kind == HBA_NAME_ROLE && t->text[1] == '\0')
        return fault_set(why, "F0000", "a role name must follow \"+\"");
    if (name->kind == HBA_NAME_ROLE || name->kind == HBA_NAME_EXACT)
        name->text = mem_strdup(t->text + (name->kind == HBA_NAME_ROLE));
    return true;
}

void
hba_name_done(struct hba_name *name)
{
    mem_free(name->text);
    if (name->kind == HBA_NAME_REGEX)
        regfree(&name->regex);
}

bool
hba_name_add(struct hba_names *names, const struct hba_token *token, bool is_user, struct fault *why)
{
    struct hba_name name;

    if (!hba_name_init(&name, token, is_user, why))
        return false;
    names->items = mem_realloc(names->items, (names->n + 1) * sizeof(*names->items));
    names->items[names->n++] = name;
    return true;
}

void
hba_names_done(struct hba_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        hba_name_done(&names->items[i]);
    mem_free(names->items);
    *names = (struct hba_names){ 0 };
}

/* "5:admin3:ops" has NAME? What is malformed has nothing. */
static enum hba_fit
has_role(const char *roles, struct slice name)
{
    if (roles == NULL)
        return HBA_UNKNOWN;
    while (*roles != '\0') {
        char *end;
        unsigned long len = strtoul(roles, &end, 10);

        if (*end != ':' || strlen(end + 1) < len)
            break;
        if (slice_equal(slice_of(end + 1, len), name))
            return HBA_YES;
        roles = end + 1 + len;
    }
    return HBA_NO;
}

enum hba_fit
hba_name_fits(const struct hba_name *name, struct slice s, const char *roles)
{
    regmatch_t all;

    switch (name->kind) {
    case HBA_NAME_ALL:
        return HBA_YES;
    case HBA_NAME_EXACT:
        return slice_is(s, name->text) ? HBA_YES : HBA_NO;
    case HBA_NAME_REGEX:
        return hba_regex_fits(&name->regex, s, &all, 1) ? HBA_YES : HBA_NO;
    case HBA_NAME_ROLE:
        return has_role(roles, slice_str(name->text));
    default:
        return HBA_NO;
    }
}

enum hba_fit
hba_user_fits(const struct hba_names *names, const struct hba_ask *ask)
{
    enum hba_fit fit = HBA_NO;

    for (size_t i = 0; fit == HBA_NO && i < names->n; i++)
        fit = hba_name_fits(&names->items[i], ask->user, ask->roles);
    return fit;
}

/* A replication connection fits the keyword and nothing else, not even "all". */
static enum hba_fit
database_fits(const struct hba_name *name, const struct hba_ask *ask)
{
    if (ask->replication || name->kind == HBA_NAME_REPLICATION)
        return ask->replication && name->kind == HBA_NAME_REPLICATION ? HBA_YES : HBA_NO;
    if (name->kind == HBA_NAME_SAMEUSER)
        return slice_equal(ask->database, ask->user) ? HBA_YES : HBA_NO;
    if (name->kind == HBA_NAME_SAMEROLE)
        return has_role(ask->roles, ask->database);
    return hba_name_fits(name, ask->database, ask->roles);
}

enum hba_fit
hba_database_fits(const struct hba_names *names, const struct hba_ask *ask)
{
    enum hba_fit fit = HBA_NO;

    for (size_t i = 0; fit == HBA_NO && i < names->n; i++)
        fit = database_fits(&names->items[i], ask);
    return fit;
}

/* NAME is a host name, or a ".suffix" of some. */
bool
hba_host_fits(const char *name, const char *host)
{
    size_t len = strlen(name), host_len = strlen(host);

    if (name[0] != '.')
        return strcasecmp(name, host) == 0;
    return host_len > len && strcasecmp(host + host_len - len, name) == 0;
}

struct hba_ip
hba_ip_of(const struct sockaddr *address)
{
    struct hba_ip ip = { 0 };

    if (address != NULL && address->sa_family == AF_INET) {
        ip.len = 4;
        memcpy(ip.bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address != NULL && address->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(in6);

        ip.len = mapped ? 4 : 16;
        memcpy(ip.bytes, in6->s6_addr + (mapped ? 12 : 0), ip.len);
    }
    return ip;
}

struct hba_ip
hba_ip_mask(unsigned len, unsigned prefix_len)
{
    struct hba_ip mask = { .len = len };

    for (unsigned i = 0; i < prefix_len; i++)
        mask.bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
    return mask;
}

/* 0 to 128, or -2. */
static int
parse_prefix_len(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n >= 0 && n <= 128 ? (int)n : -2;
}

bool
hba_ip_parse(const char *text, struct hba_ip *out, int *prefix_len)
{
    const char *slash = strchr(text, '/');
    size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
    char address[INET6_ADDRSTRLEN + 1];

    *out = (struct hba_ip){ 0 };
    *prefix_len = slash == NULL ? -1 : parse_prefix_len(slash + 1);
    if (len >= sizeof(address) || *prefix_len == -2)
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET, address, out->bytes) == 1)
        out->len = 4;
    else if (inet_pton(AF_INET6, address, out->bytes) == 1)
        out->len = 16;
    return out->len != 0 && *prefix_len <= (int)out->len * 8;
}

bool
hba_net_has(const struct hba_net *net, const struct hba_ip *ip)
{
    if (ip->len == 0 || ip->len != net->address.len)
        return false;
    for (unsigned i = 0; i < ip->len; i++)
        if (((ip->bytes[i] ^ net->address.bytes[i]) & net->mask.bytes[i]) != 0)
            return false;
    return true;
}
