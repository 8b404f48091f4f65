/* SPDX-License-Identifier: ISC */
/* One parser and one printer for each kind of option. What a printer writes, its parser reads. */
#include "conf/conf.h"
#include "kinds_private.h"

#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"

struct unit {
    const char *name;
    int64_t size;
};

static const struct unit time_units[] = { { "us", 1 },         { "ms", 1000 },        { "s", 1000000 },
                                          { "min", 60000000 }, { "h", 3600000000LL }, { "d", 86400000000LL },
                                          { NULL, 0 } };
static const struct unit size_units[] = {
    { "B", 1 }, { "kB", 1024 }, { "MB", 1024 * 1024 }, { "GB", 1024 * 1024 * 1024 }, { NULL, 0 }
};

static const char *const booleans[] = { "0", "1", "off", "on", "no", "yes", "false", "true", NULL };

/* The words of each kind that is an enum, in the order of its values. */
static const struct {
    const char *kind;
    const char *words[10];
} word_kinds[] = {
    { "pool_mode", { "session", "transaction", "statement" } },
    { "auth_type", { "any", "trust", "plain", "md5", "scram-sha-256", "hba", "cert", "pam", "ldap" } },
    { "sslmode", { "disable", "allow", "prefer", "require", "verify-ca", "verify-full" } },
    { "on_state", { "pin", "error", "warn" } },
    { "compat", { "none", "pgbouncer" } },
    { "route", { "auto", "primary", "replica", "prefer-replica" } },
    { "consistency", { "eventual", "session", "global" } },
    { "host_order", { "disable", "round-robin" } },
    { "balance", { "least_conn", "round_robin", "latency", "hash" } },
};

/* Digits in BASE; S moves behind them. False: none, or too many. */
static bool
take_digits(struct slice *s, int base, int64_t *out)
{
    size_t n = 0;

    *out = 0;
    for (; n < s->len && s->data[n] >= '0' && s->data[n] < '0' + base; n++)
        if (__builtin_mul_overflow(*out, base, out) || __builtin_add_overflow(*out, s->data[n] - '0', out))
            return false;
    *s = slice_tail(*s, n);
    return n > 0;
}

/* What follows the point, as a part of UNIT, rounded down. */
static int64_t
take_fraction(struct slice *s, int64_t unit)
{
    int64_t sum = 0, weight = unit;
    size_t n = 0;

    for (; n < s->len && s->data[n] >= '0' && s->data[n] <= '9'; n++) {
        sum += weight * (s->data[n] - '0') / 10;
        weight /= 10;
    }
    *s = slice_tail(*s, n);
    return sum;
}

/* The unit that TEXT ends with after its number; BARE when there is none, 0 when it is unknown. */
static int64_t
unit_of(struct slice text, const struct unit *units, int64_t bare)
{
    while (text.len > 0 && ((text.data[0] >= '0' && text.data[0] <= '9') || text.data[0] == '.'))
        text = slice_tail(text, 1);
    text = slice_trim(text);
    if (text.len == 0)
        return bare;
    for (; units->name != NULL; units++)
        if (slice_is_nocase(text, units->name))
            return units->size;
    return 0;
}

/* A number with a fraction and a unit; the field counts units of size 1. */
static bool
parse_units(struct slice text, const struct unit *units, int64_t bare, int64_t *out)
{
    int64_t unit = unit_of(text, units, bare);
    struct slice rest = text;

    if (unit == 0 || !take_digits(&rest, 10, out) || __builtin_mul_overflow(*out, unit, out))
        return false;
    if (rest.len > 1 && rest.data[0] == '.') {
        rest = slice_tail(rest, 1);
        if (__builtin_add_overflow(*out, take_fraction(&rest, unit), out))
            return false;
    }
    /* Only the unit may be left. */
    return rest.len == 0 || !(rest.data[0] == '.' || (rest.data[0] >= '0' && rest.data[0] <= '9'));
}

/* -1 is how a line of [databases] or [users] says "as in the general section". */
static bool
is_unset(const struct conf_option *o, struct slice text)
{
    return o->low == -1 && slice_is(text, "-1");
}

static int64_t
shown_low(const struct conf_option *o)
{
    return o->low < 0 ? 0 : o->low;
}

bool
conf_parse_number(const struct conf_option *o, struct slice text, void *field, struct fault *why)
{
    struct slice rest = text;
    int64_t v = -1;

    if (!is_unset(o, text) && (!take_digits(&rest, 10, &v) || rest.len > 0 || v < o->low || v > o->high))
        return fault_set(why, "22023", "%s must be a whole number from %" PRId64 " to %" PRId64, o->name,
                         shown_low(o), o->high);
    *(int64_t *)field = v;
    return true;
}

void
conf_print_number(const struct conf_option *o, const void *field, struct text *out)
{
    (void)o;
    text_printf(out, "%" PRId64, *(const int64_t *)field);
}

static bool
parse_time(const struct conf_option *o, struct slice text, int64_t *field, int64_t bare)
{
    int64_t v = -1;

    if (!is_unset(o, text) &&
        (!parse_units(text, time_units, bare, &v) || v < o->low * bare || v > o->high * bare))
        return false;
    *field = v;
    return true;
}

bool
conf_parse_duration(const struct conf_option *o, struct slice text, void *field, struct fault *why)
{
    return parse_time(o, text, field, 1000000) ||
           fault_set(why, "22023",
                     "%s must be a time from %" PRId64 " to %" PRId64 " seconds, such as 10, 0.5, 200ms or 1h",
                     o->name, shown_low(o), o->high);
}

bool
conf_parse_msec(const struct conf_option *o, struct slice text, void *field, struct fault *why)
{
    return parse_time(o, text, field, 1000) || fault_set(why, "22023",
                                                         "%s must be a time from %" PRId64 " to %" PRId64
                                                         " milliseconds, such as 10, 200ms or 1min",
                                                         o->name, shown_low(o), o->high);
}

/* In the bare unit, with as many digits as it takes. */
static void
print_time(int64_t v, int64_t bare, struct text *out)
{
    int64_t rest = v % bare;

    if (v < 0) {
        text_add_str(out, "-1");
        return;
    }
    text_printf(out, "%" PRId64, v / bare);
    if (rest > 0)
        text_add_char(out, '.');
    for (; rest > 0; rest = rest * 10 % bare)
        text_add_char(out, (char)('0' + rest * 10 / bare));
}

void
conf_print_duration(const struct conf_option *o, const void *field, struct text *out)
{
    (void)o;
    print_time(*(const int64_t *)field, 1000000, out);
}

void
conf_print_msec(const struct conf_option *o, const void *field, struct text *out)
{
    (void)o;
    print_time(*(const int64_t *)field, 1000, out);
}

bool
conf_parse_size(const struct conf_option *o, struct slice text, void *field, struct fault *why)
{
    int64_t v;

    if (!parse_units(text, size_units, 1, &v) || v < o->low || v > o->high)
        return fault_set(why, "22023",
                         "%s must be a size from %" PRId64 " to %" PRId64 " bytes, such as 65536, 64kB or 1MB",
                         o->name, o->low, o->high);
    *(int64_t *)field = v;
    return true;
}

bool
conf_parse_mode(const struct conf_option *o, struct slice text, void *field, struct fault *why)
{
    struct slice rest = text;
    int64_t v;

    if (!take_digits(&rest, 8, &v) || rest.len > 0 || v < o->low || v > o->high)
        return fault_set(why, "22023", "%s must be an octal file mode such as 0770", o->name);
    *(int64_t *)field = v;
    return true;
}

void
conf_print_mode(const struct conf_option *o, const void *field, struct text *out)
{
    (void)o;
    text_printf(out, "%04" PRIo64, *(const int64_t *)field);
}

bool
conf_parse_text(const struct conf_option *o, struct slice text, void *field, struct fault *why)
{
    char **at = field;

    if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
        return fault_set(why, "22023", "%s must not hold a NUL byte", o->name);
    mem_free(*at);
    *at = slice_dup(text);
    return true;
}

void
conf_print_text(const struct conf_option *o, const void *field, struct text *out)
{
    (void)o;
    text_add_str(out, *(char *const *)field);
}

void
conf_print_secret(const struct conf_option *o, const void *field, struct text *out)
{
    (void)o, (void)field, (void)out;
}

bool
conf_is_text(const struct conf_option *o)
{
    return o->parse == conf_parse_text;
}

static const char *const *
words_of(const struct conf_option *o)
{
    size_t i = 0;

    while (strcmp(word_kinds[i].kind, o->kind) != 0) {
        i++;
        assert(i < sizeof(word_kinds) / sizeof(*word_kinds));
    }
    return word_kinds[i].words;
}

const char *
conf_word(const char *kind, int value)
{
    const struct conf_option o = { .kind = kind };

    return words_of(&o)[value];
}

const char *
conf_server_ca(const struct conf_general *g)
{
    return g->server_tls_sslmode >= CONF_SSL_VERIFY_CA ? g->server_tls_ca_file : NULL;
}

/* Position of TEXT in WORDS, or a fault that lists them. */
static bool
parse_word(const struct conf_option *o, struct slice text, const char *const *words, int *out,
           struct fault *why)
{
    struct text list = { 0 };

    for (int i = 0; words[i] != NULL; i++)
        if (slice_is_nocase(text, words[i])) {
            *out = i;
            return true;
        }
    for (int i = 0; words[i] != NULL; i++)
        text_printf(&list, "%s%s", i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ", words[i]);
    fault_set(why, "22023", "%s must be %s", o->name, text_str(&list));
    text_done(&list);
    return false;
}

bool
conf_parse_boolean(const struct conf_option *o, struct slice text, void *field, struct fault *why)
{
    int at;

    if (!parse_word(o, text, booleans, &at, why))
        return false;
    *(bool *)field = at % 2 == 1;
    return true;
}

void
conf_print_boolean(const struct conf_option *o, const void *field, struct text *out)
{
    (void)o;
    text_add_char(out, *(const bool *)field ? '1' : '0');
}

/* The empty word, where it is the default, is -1: not set. */
bool
conf_parse_word(const struct conf_option *o, struct slice text, void *field, struct fault *why)
{
    if (text.len > 0 || o->initial[0] != '\0')
        return parse_word(o, text, words_of(o), field, why);
    *(int *)field = -1;
    return true;
}

void
conf_print_word(const struct conf_option *o, const void *field, struct text *out)
{
    int at = *(const int *)field;

    text_add_str(out, at < 0 ? "" : words_of(o)[at]);
}
