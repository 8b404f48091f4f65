/* SPDX-License-Identifier: ISC */
/* Passwords that an LDAP server judges: a simple bind, as PostgreSQL does it (manual, "LDAP Authentication").
 * Each step of the conversation has a limit on its time; for helper threads only. */
#include "auth/outside.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

void
outside_ldap_done(struct outside_ldap *l)
{
    mem_free(l->server);
    mem_free(l->scheme);
    mem_free(l->prefix);
    mem_free(l->suffix);
    mem_free(l->base_dn);
    mem_free(l->bind_dn);
    if (l->bind_password != NULL)
        mem_wipe(l->bind_password, strlen(l->bind_password));
    mem_free(l->bind_password);
    mem_free(l->attribute);
    mem_free(l->filter);
    *l = (struct outside_ldap){ 0 };
}

#ifdef HAVE_LDAP

#include <ldap.h>
#include <pthread.h>
#include <sys/time.h>

bool
outside_has_ldap(void)
{
    return true;
}

static void
set(char **field, const char *value)
{
    mem_free(*field);
    *field = value == NULL || value[0] == '\0' ? NULL : mem_strdup(value);
}

bool
outside_take_url(struct outside_ldap *l, const char *url, struct fault *why)
{
    LDAPURLDesc *d;

    if (ldap_url_parse(url, &d) != LDAP_SUCCESS)
        return fault_set(why, "F0000", "it is not an LDAP URL: ldap://HOST:PORT/BASE?ATTRIBUTE?SCOPE?FILTER");
    if (strcmp(d->lud_scheme, "ldap") != 0 && strcmp(d->lud_scheme, "ldaps") != 0) {
        ldap_free_urldesc(d);
        return fault_set(why, "F0000", "its scheme must be ldap or ldaps");
    }
    set(&l->scheme, d->lud_scheme);
    set(&l->server, d->lud_host);
    l->port = d->lud_port;
    set(&l->base_dn, d->lud_dn);
    set(&l->attribute, d->lud_attrs == NULL ? NULL : d->lud_attrs[0]);
    set(&l->filter, d->lud_filter);
    l->scope = d->lud_scope == LDAP_SCOPE_ONELEVEL ? 1 : d->lud_scope == LDAP_SCOPE_BASE ? 2 : 0;
    ldap_free_urldesc(d);
    return true;
}

struct asking {
    const struct outside_ldap *options;
    const struct outside_who *who;
    struct fault *why;
    char *urls; /* one for each of the servers */
    LDAP *link;
};

static bool
failed(const struct asking *a, const char *what, int code)
{
    bool wrong = code == LDAP_INVALID_CREDENTIALS || code == LDAP_INAPPROPRIATE_AUTH;

    return fault_set(a->why, wrong ? "28P01" : "58000", "LDAP server %.80s: %s: %.80s", a->urls, what,
                     ldap_err2string(code));
}

/* SERVERS with spaces between; PORT is "" where they have theirs. */
static char *
urls_of(const struct outside_ldap *l, const char *servers, const char *port)
{
    const char *scheme = l->scheme == NULL ? "ldap" : l->scheme, *rest = servers;
    struct text urls = { 0 };

    while (*(rest += strspn(rest, " ")) != '\0') {
        int len = (int)strcspn(rest, " ");

        text_printf(&urls, "%s%s://%.*s%s", urls.len == 0 ? "" : " ", scheme, len, rest, port);
        rest += len;
    }
    return text_take(&urls);
}

/* SRV records of the domain that the search starts at: of dc=example,dc=com those of _ldap._tcp.example.com. */
static bool
find_servers(struct asking *a)
{
    char *domain = NULL, *servers = NULL;

    if (ldap_dn2domain(a->options->base_dn, &domain) != LDAP_SUCCESS || domain == NULL || domain[0] == '\0')
        return fault_set(a->why, "58000", "LDAP: no domain can be made of ldapbasedn \"%.100s\"",
                         a->options->base_dn);
    if (ldap_domain2hostlist(domain, &servers) == LDAP_SUCCESS && servers != NULL)
        a->urls = urls_of(a->options, servers, "");
    else
        fault_set(a->why, "58000", "LDAP: DNS names no server (SRV) for \"%.100s\"", domain);
    ldap_memfree(servers);
    ldap_memfree(domain);
    return a->urls != NULL;
}

static bool
name_servers(struct asking *a)
{
    const struct outside_ldap *l = a->options;
    bool safe = l->scheme != NULL && strcmp(l->scheme, "ldaps") == 0;
    char port[24];

    if (l->server == NULL || l->server[0] == '\0')
        return find_servers(a);
    snprintf(port, sizeof(port), ":%lld", (long long)(l->port > 0 ? l->port : safe ? LDAPS_PORT : LDAP_PORT));
    a->urls = urls_of(l, l->server, port);
    return true;
}

static bool
open_link(struct asking *a)
{
    int64_t us = a->who->timeout_us;
    struct timeval limit = { us / 1000000, us % 1000000 };
    int version = LDAP_VERSION3, code = ldap_initialize(&a->link, a->urls);

    if (code != LDAP_SUCCESS)
        return failed(a, "cannot be used", code);
    ldap_set_option(a->link, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(a->link, LDAP_OPT_RESTART, LDAP_OPT_ON); /* a signal is no answer */
    if (us > 0) {
        ldap_set_option(a->link, LDAP_OPT_NETWORK_TIMEOUT, &limit);
        ldap_set_option(a->link, LDAP_OPT_TIMEOUT, &limit);
    }
    code = a->options->start_tls ? ldap_start_tls_s(a->link, NULL, NULL) : LDAP_SUCCESS;
    return code == LDAP_SUCCESS || failed(a, "no TLS", code);
}

static void
close_link(struct asking *a)
{
    if (a->link != NULL)
        ldap_unbind_ext_s(a->link, NULL, NULL);
    a->link = NULL;
}

static int
bind_as(const struct asking *a, const char *dn, const char *password)
{
    struct berval secret = { strlen(password), (char *)(uintptr_t)password };

    return ldap_sasl_bind_s(a->link, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);
}

/* The filter with each $username replaced. */
static char *
filter_of(const struct outside_ldap *l, const char *user)
{
    static const char mark[] = "$username";
    struct text out = { 0 };
    const char *rest = l->filter, *at;

    if (rest == NULL)
        return mem_printf("(%s=%s)", l->attribute == NULL ? "uid" : l->attribute, user);
    while ((at = strstr(rest, mark)) != NULL) {
        text_add(&out, slice_of(rest, (size_t)(at - rest)));
        text_add_str(&out, user);
        rest = at + sizeof(mark) - 1;
    }
    text_add_str(&out, rest);
    return text_take(&out);
}

/* The one entry that was found, as a DN for ldap_memfree(); NULL: none, or several. */
static char *
only_entry(const struct asking *a, LDAPMessage *found)
{
    if (ldap_count_entries(a->link, found) == 1)
        return ldap_get_dn(a->link, ldap_first_entry(a->link, found));
    fault_set(a->why, "28P01", "LDAP server %.80s: %d entries for user \"%.63s\"", a->urls,
              ldap_count_entries(a->link, found), a->who->user);
    return NULL;
}

static char *
search(const struct asking *a)
{
    static const int scopes[] = { LDAP_SCOPE_SUBTREE, LDAP_SCOPE_ONELEVEL, LDAP_SCOPE_BASE };
    const struct outside_ldap *l = a->options;
    char *no_attributes[] = { (char *)(uintptr_t)LDAP_NO_ATTRS, NULL };
    char *filter, *dn = NULL;
    LDAPMessage *found = NULL;
    int code =
        bind_as(a, l->bind_dn == NULL ? "" : l->bind_dn, l->bind_password == NULL ? "" : l->bind_password);

    if (code != LDAP_SUCCESS) { /* our own password, not the client's */
        failed(a, "cannot bind for the search", code);
        memcpy(a->why->sqlstate, "58000", sizeof("58000"));
        return NULL;
    }
    filter = filter_of(l, a->who->user);
    code = ldap_search_ext_s(a->link, l->base_dn, scopes[l->scope], filter, no_attributes, 0, NULL, NULL, NULL,
                             2, &found);
    if (code == LDAP_SUCCESS || code == LDAP_SIZELIMIT_EXCEEDED)
        dn = only_entry(a, found);
    else
        failed(a, "cannot search", code);
    ldap_msgfree(found);
    mem_free(filter);
    return dn;
}

/* By searching, on a link that is then closed: the user's password is tried on one that nobody is logged in on.
 */
static bool
find_and_bind(struct asking *a)
{
    char *dn = search(a);
    int code;

    if (dn == NULL)
        return false;
    close_link(a);
    if (!open_link(a)) {
        ldap_memfree(dn);
        return false;
    }
    code = bind_as(a, dn, a->who->password);
    ldap_memfree(dn);
    return code == LDAP_SUCCESS || failed(a, "cannot bind", code);
}

static bool
affix_and_bind(struct asking *a)
{
    const struct outside_ldap *l = a->options;
    char *dn = mem_printf("%s%s%s", l->prefix == NULL ? "" : l->prefix, a->who->user,
                          l->suffix == NULL ? "" : l->suffix);
    int code = bind_as(a, dn, a->who->password);

    mem_free(dn);
    return code == LDAP_SUCCESS || failed(a, "cannot bind", code);
}

/* Letters that would make another filter or DN of the name. */
static bool
is_safe(const char *user, bool in_filter)
{
    return user[0] != '\0' && strpbrk(user, in_filter ? "*()\\/" : "+,;<>=\\\"#\r\n") == NULL;
}

/* libldap makes its options ready at its first use, and threads that come meanwhile see them half done. */
static void
make_ready(void)
{
    int version;

    (void)ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

bool
outside_ask_ldap(const struct outside_ldap *l, const struct outside_who *who, struct fault *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct asking a = { .options = l, .who = who, .why = why };
    bool good;

    (void)pthread_once(&once, make_ready);
    if (who->password[0] == '\0') /* a bind without one succeeds: as nobody */
        return fault_set(why, "28P01", "the password is empty");
    if (!is_safe(who->user, l->base_dn != NULL))
        return fault_set(why, "28P01", "the user name has characters that LDAP takes for its own");
    good = name_servers(&a) && open_link(&a) && (l->base_dn != NULL ? find_and_bind(&a) : affix_and_bind(&a));
    close_link(&a);
    mem_free(a.urls);
    return good;
}

#else

bool
outside_has_ldap(void)
{
    return false;
}

bool
outside_take_url(struct outside_ldap *l, const char *url, struct fault *why)
{
    (void)l, (void)url;
    return fault_set(why, "0A000", "this pgweir was built without LDAP");
}

bool
outside_ask_ldap(const struct outside_ldap *l, const struct outside_who *who, struct fault *why)
{
    (void)l, (void)who;
    return fault_set(why, "0A000", "this pgweir was built without LDAP");
}

#endif
