/* SPDX-License-Identifier: ISC */
/* Rules of who may log in from where and how: PostgreSQL's pg_hba.conf and pg_ident.conf
 * (manual, chapter "Client Authentication"). An immutable, counted snapshot. Pure after parsing; any thread. */
#ifndef AUTH_HBA_H
#define AUTH_HBA_H

#include <stdbool.h>
#include <sys/socket.h>

#include "auth/outside.h"
#include "base/fault.h"
#include "base/slice.h"

enum hba_method {
    HBA_REJECT,
    HBA_TRUST,
    HBA_PASSWORD,
    HBA_MD5,
    HBA_SCRAM,
    HBA_PEER,
    HBA_CERT,
    HBA_PAM,
    HBA_LDAP,
    /* no method yet: ask again when that is known */
    HBA_NEEDS_ROLES,
    HBA_NEEDS_HOST,
    HBA_NEEDS_NAME /* of the system user at the other end; hba_decide() does not ask for it */
};

/* What the client's certificate must be, besides the method: signed by the CA, and made out to the user. */
enum hba_clientcert { HBA_CLIENTCERT_NONE, HBA_CLIENTCERT_CA, HBA_CLIENTCERT_FULL };

/* What stands after the method of a rule. */
struct hba_options {
    char *map; /* name of an ident map, or NULL */
    enum hba_clientcert clientcert;
    bool by_dn;        /* the whole name in the certificate counts, as in RFC 2253 */
    char *pam_service; /* NULL: the program's name */
    bool pam_use_hostname;
    struct outside_ldap ldap;
};

struct hba;

struct hba_ask {
    struct slice database, user;
    bool replication; /* a physical replication connection */
    bool unix_socket, tls;
    const struct sockaddr *from;  /* NULL for a Unix socket */
    const struct sockaddr *local; /* our address of that connection, for samehost; may be NULL */
    const char
        *host; /* the client's name, found by its address and with that address; "": none; NULL: unknown yet */
    const char *roles; /* that the user is a member of, itself too: "LENGTH:NAME" each, no separator; NULL:
                          unknown yet */
};

/* The rule that decided; line 0: none did. Lives as long as the snapshot. */
struct hba_found {
    int line;
    const struct hba_options *options; /* NULL with line 0 */
};

/* Types local, host, hostssl, hostnossl, hostnogssenc (as host), hostgssenc (never fits); database all,
 * sameuser, samerole, replication, names, lists, @file, /regex; user all, names, lists, @file, /regex, +role;
 * address CIDR, address + mask, all, samehost, samenet, name, .suffix; quoting, comments and continued lines as
 * in PostgreSQL; include, include_if_exists, include_dir. A /regex is a POSIX extended one with \d, \D, \s, \S,
 * \w, \W; other escapes of letters and digits are refused, since PostgreSQL reads them differently. The
 * addresses of samehost and samenet are those of the moment of parsing. FILE is for messages and is what
 * relative names of
 * @file and include are relative to. An unknown method or option, a bad line, no rule at all: NULL, WHY says
 * "FILE:LINE: ...". */
struct hba *hba_parse(struct slice text, const char *file, struct fault *why);
struct hba *hba_load(const char *file, struct fault *why);
/* Maps of system user names, for options map=. FILE may be "": then no rule may have a map. False: H is as
 * before, WHY says why. Before H is shared. */
bool hba_load_ident(struct hba *h, const char *file, struct fault *why);
bool hba_parse_ident(struct hba *h, struct slice text, const char *file, struct fault *why);
struct hba *hba_hold(struct hba *h);
void hba_drop(struct hba *h); /* NULL is fine */
/* The first rule that fits; FOUND (may be NULL) gets it. No rule: HBA_REJECT and line 0. An IPv4 client that
 * came in by an IPv6 socket (::ffff:1.2.3.4) counts as IPv4. */
enum hba_method hba_decide(const struct hba *h, const struct hba_ask *ask, struct hba_found *found);
/* May the system user SYSTEM (of a certificate or a Unix socket) be the user of ASK? MAP may be NULL: the names
 * are equal. HBA_TRUST, HBA_REJECT or HBA_NEEDS_ROLES. */
enum hba_method
hba_map_user(const struct hba *h, const char *map, const char *system, const struct hba_ask *ask);
/* Some rule has +role, samerole; or a certificate is asked for. */
bool hba_wants_roles(const struct hba *h);
bool hba_wants_certificate(const struct hba *h);

#endif
