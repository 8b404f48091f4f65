/* SPDX-License-Identifier: ISC */
/* The settings pgweir.*: one row for each, with its parser and printer. Pure. */
#include "route/wish.h"

#include "route/units.h"
#include "topo/lsn.h"
#include "wish_private.h"

#define PREFIX    "pgweir."
#define MAX_SHOWN 64

/* ---- words ---- */

static const char *const routes[] = {
    [ROUTE_AUTO] = "auto",       [ROUTE_PRIMARY] = "primary",
    [ROUTE_REPLICA] = "replica", [ROUTE_PREFER_REPLICA] = "prefer-replica",
    [ROUTE_NODE] = NULL,
};

static const char *const consistencies[] = {
    [CLUSTER_EVENTUAL] = "eventual",
    [CLUSTER_SESSION] = "session",
    [CLUSTER_GLOBAL] = "global",
    NULL,
};

/* -1: none of WORDS. */
static int
word_of(struct slice s, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++)
        if (slice_is_nocase(s, words[i]))
            return i;
    return -1;
}

/* ---- one setting ---- */

static bool
set_node(struct route_wishes *w, struct slice name)
{
    if (name.len == 0 || name.len >= NODE_NAME || memchr(name.data, '\0', name.len) != NULL)
        return false;
    w->wish = ROUTE_NODE;
    memcpy(w->node, name.data, name.len);
    w->node[name.len] = '\0';
    return true;
}

static bool
set_route(struct route_wishes *w, struct slice value)
{
    int word = word_of(value, routes);

    if (slice_is_nocase(slice_head(value, 5), "node:"))
        return set_node(w, slice_tail(value, 5));
    if (word < 0)
        return false;
    w->wish = (enum route_wish)word;
    w->node[0] = '\0';
    return true;
}

static void
print_route(const struct route_wishes *w, struct text *out)
{
    if (w->wish == ROUTE_NODE)
        text_printf(out, "node:%s", w->node);
    else
        text_add_str(out, routes[w->wish]);
}

static bool
set_consistency(struct route_wishes *w, struct slice value)
{
    int word = word_of(value, consistencies);

    if (word < 0 && !slice_is_nocase(value, "default"))
        return false;
    w->consistency = word;
    return true;
}

static void
print_consistency(const struct route_wishes *w, struct text *out)
{
    text_add_str(out, w->consistency < 0 ? "default" : consistencies[w->consistency]);
}

static bool
set_max_lag(struct route_wishes *w, struct slice value)
{
    int64_t us = -1;

    if (!slice_is_nocase(value, "default") && !route_duration_parse(value, &us))
        return false;
    w->max_lag_us = us;
    return true;
}

static void
print_max_lag(const struct route_wishes *w, struct text *out)
{
    if (w->max_lag_us < 0)
        text_add_str(out, "default");
    else
        route_duration_print(w->max_lag_us, out);
}

static bool
set_min_lsn(struct route_wishes *w, struct slice value)
{
    return lsn_parse(value, &w->min_lsn);
}

static void
print_min_lsn(const struct route_wishes *w, struct text *out)
{
    lsn_print(w->min_lsn, out);
}

static bool
check_cache(struct route_wishes *w, struct slice value)
{
    static const char *const words[] = { "on", "off", "refresh", NULL };
    int64_t us;

    (void)w;
    return word_of(value, words) >= 0 || route_duration_parse(value, &us);
}

/* ---- by name ---- */

#define ROUTES        "auto, primary, replica, prefer-replica, node:NAME"
#define CONSISTENCIES "eventual, session, global, default"
#define MAX_LAGS      "a time up to a day such as 500ms, 5s or 1min; 0 for no limit; default"
#define MIN_LSNS      "an LSN such as 16/B374D848; 0/0 for none"
#define CACHES        "on, off, refresh, or a time up to a day such as 60s"
#define NODE_NAMES    "the name of a node, up to 63 bytes"

struct setting {
    const char *key;
    bool (*set)(struct route_wishes *w, struct slice value);       /* NULL: it can only be shown */
    void (*print)(const struct route_wishes *w, struct text *out); /* NULL: kept elsewhere */
    const char *values;
};

static const struct setting settings[] = {
    { "route", set_route, print_route, ROUTES },
    { "consistency", set_consistency, print_consistency, CONSISTENCIES },
    { "max_lag", set_max_lag, print_max_lag, MAX_LAGS },
    { "min_lsn", set_min_lsn, print_min_lsn, MIN_LSNS },
    { "cache", check_cache, NULL, CACHES },
    { "lsn", NULL, NULL, NULL },
    { "last_node", NULL, NULL, NULL },
    { "last_route_reason", NULL, NULL, NULL },
    { "last_cache", NULL, NULL, NULL },
};

/* Only in comments. */
static const struct setting node_setting = { "node", set_node, NULL, NODE_NAMES };

static const struct setting *
find(struct slice key)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
        if (slice_is_nocase(key, settings[i].key))
            return &settings[i];
    return NULL;
}

/* NULL with WHY when there is none, or it cannot be changed. */
static const struct setting *
find_named(struct slice name, struct fault *why)
{
    const size_t len = sizeof(PREFIX) - 1;
    struct slice shown = wish_shown(name);
    const struct setting *s = NULL;

    if (slice_is_nocase(slice_head(name, len), PREFIX))
        s = find(slice_tail(name, len));
    if (s == NULL)
        fault_set(why, "42704", "unrecognized configuration parameter \"%.*s\"", (int)shown.len, shown.data);
    else if (s->set == NULL)
        fault_set(why, "55P02", "parameter \"" PREFIX "%s\" cannot be changed", s->key);
    return s != NULL && s->set != NULL ? s : NULL;
}

struct slice
wish_shown(struct slice value)
{
    size_t n = MAX_SHOWN;

    if (value.len <= MAX_SHOWN)
        return value.len == 0 ? SLICE("") : value;
    while (n > 0 && (value.data[n] & 0xC0) == 0x80)
        n--;
    return slice_head(value, n);
}

static bool
set(struct route_wishes *w, const struct setting *s, struct slice value, struct fault *why)
{
    struct slice shown;

    value = slice_trim(value);
    if (s->set(w, value))
        return true;
    shown = wish_shown(value);
    fault_set(why, "22023", "invalid value for parameter \"" PREFIX "%s\": \"%.*s\"", s->key, (int)shown.len,
              shown.data);
    return fault_hint(why, "Available values: %s.", s->values);
}

void
wishes_init(struct route_wishes *w)
{
    *w = (struct route_wishes){ .wish = ROUTE_AUTO, .consistency = -1, .max_lag_us = -1 };
}

bool
wishes_set(struct route_wishes *w, struct slice name, struct slice value, struct fault *why)
{
    const struct setting *s = find_named(name, why);

    return s != NULL && set(w, s, value, why);
}

enum wish_answer
wishes_set_key(struct route_wishes *w, struct slice key, struct slice value, struct fault *why)
{
    const struct setting *s = slice_is_nocase(key, node_setting.key) ? &node_setting : find(key);

    if (s == NULL || s->set == NULL)
        return WISH_UNKNOWN;
    return set(w, s, value, why) ? WISH_SET : WISH_BAD;
}

bool
wishes_print(const struct route_wishes *w, struct slice name, struct text *out)
{
    const struct setting *s = find_named(name, NULL);

    if (s == NULL || s->print == NULL)
        return false;
    s->print(w, out);
    return true;
}

void
wishes_ask(const struct route_wishes *w, struct route_question *q)
{
    q->wish = w->wish;
    q->node = w->node;
    q->consistency = w->consistency;
    q->max_lag_us = w->max_lag_us;
    q->min_lsn = w->min_lsn;
}
