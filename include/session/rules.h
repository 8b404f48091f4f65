/* SPDX-License-Identifier: ISC */
/* The rules of [rules], made ready to be matched. What a rule asks of the session (user, database,
 * application_name) is answered when that changes; what it asks of the statement (table, digest, regex) on the
 * first sight of a text, and remembered. Owned by a hall; no clock, no I/O. */
#ifndef SESSION_RULES_H
#define SESSION_RULES_H

#include "conf/conf.h"
#include "route/wish.h"
#include "sql/facts.h"

struct rules;

/* NULL: C has none. C is held. A rule goes on counting where the one of its name in BEFORE (may be NULL) was.
 * SEED is random: it keeps the places of texts in the memory secret. */
struct rules *rules_new(struct conf *c, const struct rules *before, uint64_t seed);
void rules_free(struct rules *r);

/* Of all rules, by their place in the file. */
#define RULE_WORDS (CONF_MAX_RULES / 64)
struct rule_set {
    uint64_t words[RULE_WORDS];
};
#define RULE_NONE (-1)

struct rule_who {
    struct slice user, database, application;
};
/* The rules that ask nothing else of the session than what it is, and name no node of another cluster. R may be
 * NULL: none. */
void rules_of_session(const struct rules *r, const struct rule_who *who, struct rule_set *out);
/* The first rule of MINE that SQL matches, or RULE_NONE. F are its facts; NULL: nothing is known of it, and
 * only rules that ask nothing of a statement match. R may be NULL. */
int rules_find(struct rules *r, const struct rule_set *mine, const struct facts *f, struct slice sql);

/* What a session has set itself, which no rule changes: a set of these. */
enum rule_own { RULE_OWN_ROUTE = 1, RULE_OWN_CONSISTENCY = 2, RULE_OWN_MAX_LAG = 4, RULE_OWN_MIN_LSN = 8 };
/* Put what RULE wishes onto W. True: it said where to. */
bool rules_apply(const struct rules *r, int rule, unsigned own, struct route_wishes *w);

const char *rules_name(const struct rules *r, int rule);
void rules_count(struct rules *r, int rule);                 /* a statement that matched it goes out */
int64_t rules_matches(const struct rules *r, unsigned rule); /* so counted; 0 for one that R does not have */

/* The digest that people see, and rules name: not seeded, so that it is the same everywhere; semicolons at its
 * end do not count. False: SQL has none, since it is too long, or a quote or comment is left open. */
bool rules_digest(struct slice sql, uint64_t out[2]);

#endif
