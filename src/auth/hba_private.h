/* SPDX-License-Identifier: ISC */
/* The parts of hba: lines of tokens (hba_token.c), included files (hba_include.c), regular expressions
 * (hba_regex.c), names and addresses (hba_match.c), options (hba_option.c), rules (hba_parse.c), maps of system
 * users (ident.c), decisions (hba.c). */
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
/* NAME relative to the file FROM that mentions it; for mem_free(). */
char *hba_path_of(const char *name, const char *from);
/* Opens file NAME mentioned at AT: *INNER is its place, its file name to be given to mem_free() and *TEXT to
 * file_done(). False keeps errno and leaves nothing. */
bool hba_open(const char *name, const struct hba_place *at, struct hba_place *inner, struct slice *text,
              struct fault *why);

/* ---- lines, with those of the files they include ---- */

typedef bool
hba_line_taker(void *owner, const struct hba_line *line, const struct hba_place *at, struct fault *why);
/* Gives TAKE every line that has a token and is no include. */
bool
hba_each_line(struct slice text, struct hba_place *at, hba_line_taker *take, void *owner, struct fault *why);

/* ---- names and addresses ---- */

enum hba_name_kind {
    HBA_NAME_EXACT,
    HBA_NAME_ALL,
    HBA_NAME_SAMEUSER,
    HBA_NAME_SAMEROLE,
    HBA_NAME_ROLE,
    HBA_NAME_REPLICATION,
    HBA_NAME_REGEX
};
enum hba_fit { HBA_NO, HBA_YES, HBA_UNKNOWN }; /* UNKNOWN: the user's roles, or its host, must be known first */

struct hba_name {
    enum hba_name_kind kind;
    char *text;    /* EXACT, ROLE */
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

enum hba_from { HBA_FROM_ALL, HBA_FROM_NET, HBA_FROM_SAMEHOST, HBA_FROM_SAMENET, HBA_FROM_NAME };

/* EXPRESSION is what follows the slash. On failure OUT needs no regfree(). */
bool hba_regex_compile(regex_t *out, const char *expression, struct fault *why);
bool hba_regex_fits(const regex_t *regex, struct slice s, regmatch_t *match, size_t n); /* N >= 1 */

/* The name that TOKEN means; users know other keywords than databases. */
bool hba_name_init(struct hba_name *name, const struct hba_token *token, bool is_user, struct fault *why);
void hba_name_done(struct hba_name *name);
bool hba_name_add(struct hba_names *names, const struct hba_token *token, bool is_user, struct fault *why);
void hba_names_done(struct hba_names *names);
enum hba_fit hba_name_fits(const struct hba_name *name, struct slice s, const char *roles);
enum hba_fit hba_database_fits(const struct hba_names *names, const struct hba_ask *ask);
enum hba_fit hba_user_fits(const struct hba_names *names, const struct hba_ask *ask);
bool hba_host_fits(const char *name, const char *host);

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
    char *host; /* FROM_NAME */
    enum hba_method method;
    struct hba_options options;
};

/* TOKENS are those after the method of R. */
bool hba_take_options(struct hba_rule *r, const struct hba_token *tokens, size_t n, const struct hba_place *at,
                      struct fault *why);
void hba_options_done(struct hba_options *o);

/* ---- maps of system users ---- */

struct ident_line {
    char *map;
    char *system;  /* literal, unless regex */
    bool is_regex; /* SYSTEM is one */
    regex_t regex;
    struct hba_name user; /* EXACT may hold \1 for what the regex has in its first parentheses */
};

struct ident {
    struct ident_line *lines;
    size_t n, cap;
};

bool ident_parse(struct ident *out, struct slice text, const char *file, struct fault *why);
void ident_done(struct ident *i);
bool ident_has_map(const struct ident *i, const char *map);
enum hba_fit
ident_fits(const struct ident *i, const char *map, const char *system, struct slice user, const char *roles);

struct hba {
    _Atomic unsigned holds;
    struct hba_rule *rules;
    size_t n, cap;
    struct hba_net *interfaces; /* ours, for samehost and samenet */
    size_t n_interfaces;
    char *file; /* for messages */
    struct ident ident;
};

void hba_rule_done(struct hba_rule *r);

#endif
