/* SPDX-License-Identifier: ISC */
/* The parts of hba: lines of tokens (hba_token.c), regular expressions
 * (hba_regex.c), names and addresses (hba_match.c), rules (hba_parse.c), decisions (hba.c). */
#ifndef AUTH_HBA_PRIVATE_H
#define AUTH_HBA_PRIVATE_H

#include <regex.h>
#include <stdatomic.h>

#include "auth/hba.h"
#include "base/text.h"

#define HBA_MAX_DEPTH 10    /* of includes, as in PostgreSQL */
#define HBA_MAX_FILES 10000 /* opened for one snapshot: files that include each other may not run away */

/* ---- text to lines of tokens ---- */

struct hba_place {
    const char *file;
    int line;       /* where the line just read began */
    int lines;      /* read so far */
    bool one_field; /* the file of an @file: no fields in it, all its tokens are one list */
    unsigned depth;
    unsigned *files; /* opened so far, shared by all files of a snapshot */
};

struct hba_token {
    char *text;
    bool quoted;    /* began with a quote: not a keyword */
    unsigned field; /* tokens of one field form a list */
};

struct hba_line {
    struct hba_token *tokens;
    size_t n, cap;
    unsigned n_fields;
};

/* Fills WHY with "FILE:LINE: ..."; always false. */
bool hba_bad(const struct hba_place *at, struct fault *why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* TEXT holds no NUL. */
bool hba_is_text(struct slice text, const struct hba_place *at, struct fault *why);
/* Takes the next line (continued ones joined) off REST into OUT; false at the end. */
bool hba_take_line(struct slice *rest, struct hba_place *at, struct text *out);
/* Splits LINE; the files of @file are read. LINE may end up without tokens. OUT is zeroed before,
 * hba_line_done() after, also on failure. */
bool hba_split(struct slice line, const struct hba_place *at, struct hba_line *out, struct fault *why);
void hba_line_done(struct hba_line *l);
/* Opens file NAME mentioned at AT: *INNER is its place, its file name to be given to mem_free() and *TEXT to
 * file_done(). False keeps errno and leaves nothing. */
bool hba_open(const char *name, const struct hba_place *at, struct hba_place *inner, struct slice *text,
              struct fault *why);

/* ---- names and addresses ---- */

enum hba_name_kind { HBA_NAME_EXACT, HBA_NAME_ALL, HBA_NAME_SAMEUSER, HBA_NAME_REPLICATION, HBA_NAME_REGEX };

struct hba_name {
    enum hba_name_kind kind;
    char *text;    /* EXACT */
    regex_t regex; /* REGEX */
};

struct hba_names {
    struct hba_name *items;
    size_t n;
};

struct hba_ip {
    unsigned len; /* 4, 16 or 0 for none */
    uint8_t bytes[16];
};

struct hba_net {
    struct hba_ip address, mask;
};

enum hba_from { HBA_FROM_ALL, HBA_FROM_NET, HBA_FROM_SAMEHOST, HBA_FROM_SAMENET };

/* EXPRESSION is what follows the slash. On failure OUT needs no regfree(). */
bool hba_regex_compile(regex_t *out, const char *expression, struct fault *why);

/* Adds the name that TOKEN means; users know fewer keywords. */
bool hba_name_add(struct hba_names *names, const struct hba_token *token, bool is_user, struct fault *why);
void hba_names_done(struct hba_names *names);
bool hba_database_fits(const struct hba_names *names, const struct hba_ask *ask);
bool hba_user_fits(const struct hba_names *names, const struct hba_ask *ask);

struct hba_ip hba_ip_of(const struct sockaddr *address);
/* "10.0.0.0/8", or "10.0.0.0" with *LEN = -1. */
bool hba_ip_parse(const char *text, struct hba_ip *out, int *prefix_len);
struct hba_ip hba_ip_mask(unsigned len, unsigned prefix_len);
bool hba_net_has(const struct hba_net *net, const struct hba_ip *ip);

/* ---- rules ---- */

enum hba_link { HBA_LINK_LOCAL, HBA_LINK_HOST, HBA_LINK_TLS, HBA_LINK_PLAIN, HBA_LINK_NEVER };

struct hba_rule {
    int line;
    enum hba_link link;
    struct hba_names databases, users;
    enum hba_from from;
    struct hba_net net;
    enum hba_method method;
};

struct hba {
    _Atomic unsigned holds;
    struct hba_rule *rules;
    size_t n, cap;
    struct hba_net *interfaces; /* ours, for samehost and samenet */
    size_t n_interfaces;
};

void hba_rule_done(struct hba_rule *r);

#endif
