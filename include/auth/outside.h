/* SPDX-License-Identifier: ISC */
/* Passwords that others judge: PAM and LDAP servers. The functions marked SLOW block for as long as these like:
 * for helper threads. Which of the two were built in, depends on the libraries that were there. */
#ifndef AUTH_OUTSIDE_H
#define AUTH_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

/* As in pg_hba.conf. Texts are NULL when they are not set. */
struct outside_ldap {
    char *server; /* one or several, with spaces; NULL or "": those that DNS names for base_dn */
    char *scheme; /* ldap or ldaps */
    char *prefix, *suffix;
    char *base_dn, *bind_dn, *bind_password, *attribute, *filter;
    int64_t port; /* 0: as the scheme */
    int scope;    /* 0: subtree; else as in a URL: 1 one, 2 base */
    bool start_tls;
};

struct outside_who {
    const char *user, *password;
    const char *from;   /* address or name of the client, or "[local]" */
    int64_t timeout_us; /* of each step of a conversation by network; 0: the library's own */
};

bool outside_has_pam(void);
bool outside_has_ldap(void);
/* SLOW. False: WHY has 28P01 when the password is wrong, and something else when nobody could say. */
bool outside_ask_pam(const char *service, const struct outside_who *who, struct fault *why);
bool outside_ask_ldap(const struct outside_ldap *l, const struct outside_who *who, struct fault *why);
/* Takes scheme, server, port, base_dn, attribute, scope and filter out of URL. */
bool outside_take_url(struct outside_ldap *l, const char *url, struct fault *why);
void outside_ldap_done(struct outside_ldap *l);

#endif
