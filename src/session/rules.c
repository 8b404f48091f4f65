/* SPDX-License-Identifier: ISC */
/* Which rule of [rules] a statement matches. Without rules that costs a look at a NULL pointer; a text that was
 * seen lately costs one place of a table, which holds the rules it matches whoever sends it. */
#define XXH_INLINE_ALL
#include "session/rules.h"

#include <assert.h>
#include <regex.h>
#include <stdlib.h>
#include <strings.h>
#include <xxhash.h>

#include "base/mem.h"
#include "sql/digest.h"

#define SEEN       1024 /* a power of two; the newest of two texts in one place stays */
#define REGEX_TEXT 4096 /* bytes of a text that regular expressions see */

struct rule {
    const struct conf_rule *conf;
    struct slice schema, table; /* of conf's text; no table: any statement */
    uint64_t digest[2];
    regex_t regex;
    bool has_digest, has_regex;
    int64_t matches;
};

/* A text or digest, and the rules whose conditions of a statement it fulfils. */
struct seen {
    uint64_t key;
    bool used;
    struct rule_set set;
};

struct rules {
    struct conf *conf; /* held */
    uint64_t seed;
    bool by_table, by_digest, by_regex; /* some rule asks for that */
    struct rule_set plain;              /* those that ask nothing of a statement */
    struct seen *seen;                  /* NULL until it is needed */
    unsigned n;
    struct rule at[];
};

static void
set_add(struct rule_set *s, unsigned i)
{
    s->words[i / 64] |= UINT64_C(1) << i % 64;
}

static bool
set_is_empty(const struct rule_set *s)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < RULE_WORDS; i++)
        any |= s->words[i];
    return any == 0;
}

/* The first member of both. */
static int
first_of(const struct rule_set *a, const struct rule_set *b)
{
    for (unsigned i = 0; i < RULE_WORDS; i++)
        if ((a->words[i] & b->words[i]) != 0)
            return (int)(i * 64) + __builtin_ctzll(a->words[i] & b->words[i]);
    return RULE_NONE;
}

/* ---- making them ready ---- */

static uint64_t
half_digest(const char *digits)
{
    char half[17] = { 0 };

    memcpy(half, digits, 16);
    return strtoull(half, NULL, 16);
}

static void
prepare(struct rule *u, const struct conf_rule *c)
{
    const char *dot = strchr(c->table, '.');

    u->conf = c;
    u->schema = dot == NULL ? SLICE("") : slice_of(c->table, (size_t)(dot - c->table));
    u->table = slice_str(dot == NULL ? c->table : dot + 1);
    u->has_digest = c->digest[0] != '\0';
    if (u->has_digest) {
        u->digest[0] = half_digest(c->digest);
        u->digest[1] = half_digest(c->digest + 16);
    }
    u->has_regex = c->regex[0] != '\0';
    if (u->has_regex && regcomp(&u->regex, c->regex, CONF_RULE_REGEX) != 0)
        abort(); /* it compiled when the configuration was read: there is no memory */
}

static int64_t
counted(const struct rules *before, const char *name)
{
    for (unsigned i = 0; before != NULL && i < before->n; i++)
        if (strcmp(before->at[i].conf->name, name) == 0)
            return before->at[i].matches;
    return 0;
}

struct rules *
rules_new(struct conf *c, const struct rules *before, uint64_t seed)
{
    struct rules *r;

    if (c->n_rules == 0)
        return NULL;
    assert(c->n_rules <= CONF_MAX_RULES);
    r = mem_zalloc(sizeof(*r) + c->n_rules * sizeof(r->at[0]));
    r->conf = conf_hold(c);
    r->seed = seed;
    r->n = (unsigned)c->n_rules;
    for (unsigned i = 0; i < r->n; i++) {
        struct rule *u = &r->at[i];

        prepare(u, &c->rules[i]);
        u->matches = counted(before, u->conf->name);
        r->by_table |= u->table.len > 0;
        r->by_digest |= u->has_digest;
        r->by_regex |= u->has_regex;
        if (u->table.len == 0 && !u->has_digest && !u->has_regex)
            set_add(&r->plain, i);
    }
    return r;
}

void
rules_free(struct rules *r)
{
    if (r == NULL)
        return;
    for (unsigned i = 0; i < r->n; i++)
        if (r->at[i].has_regex)
            regfree(&r->at[i].regex);
    conf_drop(r->conf);
    mem_free(r->seen);
    mem_free(r);
}

/* ---- the session ---- */

static bool
fits(const char *wanted, struct slice is)
{
    return wanted[0] == '\0' || slice_is(is, wanted);
}

/* A node of another cluster than the session's is not for it. */
static bool
can_serve(const struct conf *c, const char *node, const struct conf_cluster *k)
{
    const struct conf_node *n = conf_find_node(c, slice_str(node));

    return node[0] == '\0' || (n != NULL && k != NULL && strcmp(n->cluster, k->name) == 0);
}

void
rules_of_session(const struct rules *r, const struct rule_who *who, struct rule_set *out)
{
    const struct conf_database *d = r == NULL ? NULL : conf_find_database(r->conf, who->database);
    const struct conf_cluster *k = d == NULL ? NULL : conf_cluster_of(r->conf, d);

    *out = (struct rule_set){ { 0 } };
    for (unsigned i = 0; r != NULL && i < r->n; i++) {
        const struct conf_rule *c = r->at[i].conf;

        if (fits(c->user, who->user) && fits(c->database, who->database) &&
            fits(c->application_name, who->application) && can_serve(r->conf, c->node, k))
            set_add(out, i);
    }
}

/* ---- the statement ---- */

static bool
same_name(struct slice a, struct slice b)
{
    return a.len == b.len && strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

/* A name without a schema may stand for one of any. */
static bool
names_table(const struct rule *u, const struct facts *f)
{
    for (unsigned i = 0; i < f->n_relations; i++) {
        const struct facts_name *n = &f->relations[i];

        if (same_name(n->name, u->table) &&
            (u->schema.len == 0 || n->schema.len == 0 || same_name(n->schema, u->schema)))
            return true;
    }
    return false;
}

bool
rules_digest(struct slice sql, uint64_t out[2])
{
    struct digest d;

    if (sql.len > DIGEST_MAX_LEN)
        return false;
    for (sql = slice_trim(sql); sql.len > 0 && sql.data[sql.len - 1] == ';';)
        sql = slice_trim(slice_head(sql, sql.len - 1));
    digest_of(sql, 0, &d);
    memcpy(out, d.hash, sizeof(d.hash));
    return d.complete;
}

/* A statement as rules see it. */
struct looked {
    const struct facts *facts;
    uint64_t digest[2];
    bool has_digest;
    char *text; /* NULL: no rule asks */
};

static bool
matches(const struct rule *u, const struct looked *l)
{
    return (u->table.len == 0 || names_table(u, l->facts)) &&
           (!u->has_digest || (l->has_digest && memcmp(u->digest, l->digest, sizeof(u->digest)) == 0)) &&
           (!u->has_regex || regexec(&u->regex, l->text, 0, NULL, 0) == 0);
}

static void
look(const struct rules *r, const struct facts *f, struct slice sql, struct rule_set *out)
{
    struct looked l = { .facts = f };

    l.has_digest = r->by_digest && rules_digest(sql, l.digest);
    if (r->by_regex)
        l.text = slice_dup(slice_head(slice_trim(sql), REGEX_TEXT));
    *out = (struct rule_set){ { 0 } };
    for (unsigned i = 0; i < r->n; i++)
        if (matches(&r->at[i], &l))
            set_add(out, i);
    mem_free(l.text);
}

/* What the answer depends on. Facts of a text that the parser has not seen may change. */
static uint64_t
key_of(const struct rules *r, const struct facts *f, struct slice sql)
{
    uint64_t seed = f->analysed ? r->seed : ~r->seed;

    if (f->analysed && !r->by_regex)
        return f->digest[0] ^ f->digest[1];
    if (sql.len > DIGEST_MAX_LEN) { /* neither its digest nor its tables are known */
        sql = slice_head(slice_trim(sql), REGEX_TEXT);
        seed++;
    }
    return XXH3_64bits_withSeed(sql.data, sql.len, seed);
}

int
rules_find(struct rules *r, const struct rule_set *mine, const struct facts *f, struct slice sql)
{
    struct seen *s;
    uint64_t key;

    if (r == NULL || set_is_empty(mine))
        return RULE_NONE;
    if (f == NULL || (!r->by_table && !r->by_digest && !r->by_regex))
        return first_of(mine, &r->plain);
    if (r->seen == NULL)
        r->seen = mem_zalloc(SEEN * sizeof(*r->seen));
    key = key_of(r, f, sql);
    s = &r->seen[key & (SEEN - 1)];
    if (!s->used || s->key != key) {
        look(r, f, sql, &s->set);
        s->key = key;
        s->used = true;
    }
    return first_of(mine, &s->set);
}

/* ---- what it wishes ---- */

static bool
apply_route(const struct conf_rule *c, struct route_wishes *w)
{
    static const enum route_wish wish[] = { [CONF_ROUTE_AUTO] = ROUTE_AUTO,
                                            [CONF_ROUTE_PRIMARY] = ROUTE_PRIMARY,
                                            [CONF_ROUTE_REPLICA] = ROUTE_REPLICA,
                                            [CONF_ROUTE_PREFER_REPLICA] = ROUTE_PREFER_REPLICA };

    if (c->route < 0 && c->node[0] == '\0')
        return false;
    w->wish = c->route < 0 ? ROUTE_NODE : wish[c->route];
    memset(w->node, 0, sizeof(w->node));
    memcpy(w->node, c->node, strlen(c->node)); /* a node's name is short enough */
    return true;
}

bool
rules_apply(const struct rules *r, int rule, unsigned own, struct route_wishes *w)
{
    const struct conf_rule *c = r->at[rule].conf;

    if ((own & RULE_OWN_CONSISTENCY) == 0 && c->consistency >= 0)
        w->consistency = c->consistency;
    if ((own & RULE_OWN_MAX_LAG) == 0 && c->max_lag >= 0)
        w->max_lag_us = c->max_lag;
    return (own & RULE_OWN_ROUTE) == 0 && apply_route(c, w);
}

const char *
rules_name(const struct rules *r, int rule)
{
    return r->at[rule].conf->name;
}

void
rules_count(struct rules *r, int rule)
{
    r->at[rule].matches++;
}

int64_t
rules_matches(const struct rules *r, unsigned rule)
{
    return r == NULL || rule >= r->n ? 0 : r->at[rule].matches;
}
