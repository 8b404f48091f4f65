/* SPDX-License-Identifier: ISC */
/* Rules of who may log in from where and how: PostgreSQL's pg_hba.conf
 * (manual, chapter "Client Authentication"). An immutable, counted snapshot. Pure after parsing; any thread. */
#ifndef AUTH_HBA_H
#define AUTH_HBA_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/slice.h"

enum hba_method { HBA_REJECT, HBA_TRUST, HBA_PASSWORD, HBA_MD5, HBA_SCRAM, HBA_PEER, HBA_CERT };

struct hba;

struct hba_ask {
    struct slice database, user;
    bool replication; /* a physical replication connection */
    bool unix_socket, tls;
    const struct sockaddr *from;  /* NULL for a Unix socket */
    const struct sockaddr *local; /* our address of that connection, for samehost; may be NULL */
};

/* Types local, host, hostssl, hostnossl, hostnogssenc (as host), hostgssenc (never fits); database all,
 * sameuser, replication, names, lists, @file, /regex; user all, names, lists, @file, /regex ("+group" and
 * samerole are errors that say so); address CIDR, address + mask, all, samehost, samenet (host names are errors
 * that say so); quoting, comments and continued lines as in PostgreSQL; include, include_if_exists. Options
 * after the method are refused with a message. A /regex is a POSIX extended one with \d, \D, \s, \S, \w, \W;
 * other escapes of letters and digits are refused, since PostgreSQL reads them differently. The addresses of
 * samehost and samenet are those of the moment of parsing. FILE is for messages and is what relative names of
 * @file and include are relative to. An unknown method, a bad line, no rule at all: NULL, WHY says "FILE:LINE:
 * ...". */
struct hba *hba_parse(struct slice text, const char *file, struct fault *why);
struct hba *hba_load(const char *file, struct fault *why);
struct hba *hba_hold(struct hba *h);
void hba_drop(struct hba *h); /* NULL is fine */
/* The first rule that fits; *LINE (may be NULL) gets its line. No rule: HBA_REJECT and line 0. An IPv4 client
 * that came in by an IPv6 socket (::ffff:1.2.3.4) counts as IPv4. */
enum hba_method hba_decide(const struct hba *h, const struct hba_ask *ask, int *line);

#endif
