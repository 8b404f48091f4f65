/* SPDX-License-Identifier: ISC */
/* What a rule of pg_hba.conf says of databases, users and addresses, and whether
 * that fits. Names never change after parsing (regexec() locks for itself); any thread. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hba_private.h"

static bool
is_keyword(const struct hba_token *t, const char *word)
{
    return !t->quoted && strcmp(t->text, word) == 0;
}

static bool
name_init(struct hba_name *name, const struct hba_token *t, bool is_user, struct fault *why)
{
    if (is_user && !t->quoted && t->text[0] == '+')
        return fault_set(why, "F0000", "members of a group (\"%s\") are not supported: name the users",
                         t->text);
    if (!is_user && (is_keyword(t, "samerole") || is_keyword(t, "samegroup")))
        return fault_set(why, "F0000", "database \"%s\" is not supported: name the databases", t->text);
    if (t->text[0] == '/') {
        name->kind = HBA_NAME_REGEX;
        return hba_regex_compile(&name->regex, t->text + 1, why);
    }
    name->kind = HBA_NAME_EXACT;
    if (is_keyword(t, "all"))
        name->kind = HBA_NAME_ALL;
    else if (!is_user && is_keyword(t, "sameuser"))
        name->kind = HBA_NAME_SAMEUSER;
    else if (!is_user && is_keyword(t, "replication"))
        name->kind = HBA_NAME_REPLICATION;
    else
        name->text = mem_strdup(t->text);
    return true;
}

bool
hba_name_add(struct hba_names *names, const struct hba_token *token, bool is_user, struct fault *why)
{
    struct hba_name name = { 0 };

    if (!name_init(&name, token, is_user, why))
        return false;
    names->items = mem_realloc(names->items, (names->n + 1) * sizeof(*names->items));
    names->items[names->n++] = name;
    return true;
}

void
hba_names_done(struct hba_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        mem_free(names->items[i].text);
        if (names->items[i].kind == HBA_NAME_REGEX)
            regfree(&names->items[i].regex);
    }
    mem_free(names->items);
    *names = (struct hba_names){ 0 };
}

static bool
name_fits(const struct hba_name *name, struct slice s)
{
    regmatch_t all = { .rm_so = 0, .rm_eo = (regoff_t)s.len };

    if (name->kind == HBA_NAME_ALL)
        return true;
    if (name->kind == HBA_NAME_EXACT)
        return slice_is(s, name->text);
    return name->kind == HBA_NAME_REGEX &&
           regexec(&name->regex, s.data == NULL ? "" : (const char *)s.data, 1, &all, REG_STARTEND) == 0;
}

bool
hba_user_fits(const struct hba_names *names, const struct hba_ask *ask)
{
    for (size_t i = 0; i < names->n; i++)
        if (name_fits(&names->items[i], ask->user))
            return true;
    return false;
}

/* A replication connection fits the keyword and nothing else, not even "all". */
bool
hba_database_fits(const struct hba_names *names, const struct hba_ask *ask)
{
    for (size_t i = 0; i < names->n; i++) {
        const struct hba_name *name = &names->items[i];

        if (ask->replication || name->kind == HBA_NAME_REPLICATION) {
            if (ask->replication && name->kind == HBA_NAME_REPLICATION)
                return true;
        } else if (name->kind == HBA_NAME_SAMEUSER) {
            if (slice_equal(ask->database, ask->user))
                return true;
        } else if (name_fits(name, ask->database)) {
            return true;
        }
    }
    return false;
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
