/* SPDX-License-Identifier: ISC */
/* Rules that can never apply, or would do nothing. The first fault is the answer. */
#include <regex.h>

#include "check_private.h"

#define MAX_NAME 63

static bool
is_set(const char *text)
{
    return text[0] != '\0';
}

static bool
has_condition(const struct conf_rule *r)
{
    return is_set(r->table) || is_set(r->digest) || is_set(r->regex) || is_set(r->user) ||
           is_set(r->application_name) || is_set(r->database);
}

static bool
has_effect(const struct conf_rule *r)
{
    return r->route >= 0 || is_set(r->node) || r->consistency >= 0 || r->max_lag >= 0;
}

static bool
table_is_fine(const char *table, struct fault *why)
{
    const char *dot = strchr(table, '.');

    if (!is_set(table) ||
        (table[0] != '.' && (dot == NULL || (is_set(dot + 1) && strchr(dot + 1, '.') == NULL))))
        return true;
    return fault_set(why, "F0000", "table \"%s\" must be NAME or SCHEMA.NAME", table);
}

static bool
digest_is_fine(const char *digest, struct fault *why)
{
    if (!is_set(digest) || (strlen(digest) == 32 && strspn(digest, "0123456789abcdefABCDEF") == 32))
        return true;
    return fault_set(
        why, "F0000",
        "digest \"%s\" must be 32 hexadecimal digits; EXPLAIN (PGWEIR) of a statement shows its own", digest);
}

static bool
regex_is_fine(const char *regex, struct fault *why)
{
    regex_t compiled;
    char problem[128];
    int code;

    if (!is_set(regex))
        return true;
    code = regcomp(&compiled, regex, CONF_RULE_REGEX);
    if (code == 0) {
        regfree(&compiled);
        return true;
    }
    regerror(code, &compiled, problem, sizeof(problem));
    return fault_set(why, "F0000", "regex \"%s\" is not valid: %s", regex, problem);
}

/* A node, and a database with nodes; a rule that names both needs the node to be one of them. */
static bool
places_are_fine(const struct conf *c, const struct conf_rule *r, struct fault *why)
{
    const struct conf_node *n = conf_find_node(c, slice_str(r->node));
    const struct conf_database *d = conf_find_database(c, slice_str(r->database));
    const struct conf_cluster *k = d == NULL ? NULL : conf_cluster_of(c, d);

    if (is_set(r->node) && n == NULL)
        return fault_set(why, "F0000", "node \"%s\" of rule \"%s\" is not in [nodes]", r->node, r->name);
    if (!is_set(r->database))
        return true;
    if (d == NULL)
        return fault_set(why, "F0000", "database \"%s\" of rule \"%s\" is not in [databases]", r->database,
                         r->name);
    if (k == NULL)
        return fault_set(why, "F0000",
                         "database \"%s\" of rule \"%s\" has one server, so that there is nothing to choose",
                         r->database, r->name);
    return n == NULL || strcmp(n->cluster, k->name) == 0 ||
           fault_set(why, "F0000", "node \"%s\" of rule \"%s\" does not serve database \"%s\"", r->node,
                     r->name, r->database);
}

static bool
rule_is_fine(const struct conf *c, const struct conf_rule *r, struct fault *why)
{
    if (strlen(r->name) > MAX_NAME)
        return fault_set(why, "F0000", "rule name \"%s\" is too long: it has at most %d bytes", r->name,
                         MAX_NAME);
    if (!has_condition(r))
        return fault_set(why, "F0000",
                         "rule \"%s\" has no condition; add table, digest, regex, user, application_name or "
                         "database",
                         r->name);
    if (!has_effect(r))
        return fault_set(why, "F0000", "rule \"%s\" has no effect; add route, node, consistency or max_lag",
                         r->name);
    if (r->route >= 0 && is_set(r->node))
        return fault_set(why, "F0000", "route and node exclude each other; take one out");
    return table_is_fine(r->table, why) && digest_is_fine(r->digest, why) && regex_is_fine(r->regex, why) &&
           places_are_fine(c, r, why);
}

bool
conf_check_rules(const struct conf *c, struct fault *why)
{
    for (size_t i = 0; i < c->n_rules; i++) {
        const struct conf_rule *r = &c->rules[i];

        if (i >= CONF_MAX_RULES)
            fault_set(why, "F0000", "there are more than %d rules; take some out", CONF_MAX_RULES);
        else if (rule_is_fine(c, r, why))
            continue;
        return fault_prefix(why, "%s:%d", r->file, r->line);
    }
    return true;
}
