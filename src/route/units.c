/* SPDX-License-Identifier: ISC */
/* Durations as text. Pure. */
#include "route/units.h"

#include <inttypes.h>

#define MAX_US (INT64_C(86400) * 1000000) /* of max_lag in the configuration too */

struct unit {
    const char *name;
    int64_t us;
};

/* Largest first. */
static const struct unit units[] = {
    { "d", INT64_C(86400000000) },
    { "h", INT64_C(3600000000) },
    { "min", 60000000 },
    { "s", 1000000 },
    { "ms", 1000 },
    { "us", 1 },
};

/* 0: there is no such unit. */
static int64_t
unit_us(struct slice name)
{
    if (name.len == 0)
        return 1000000;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (slice_is_nocase(name, units[i].name))
            return units[i].us;
    return 0;
}

static size_t
n_digits(struct slice s)
{
    size_t n = 0;

    while (n < s.len && s.data[n] >= '0' && s.data[n] <= '9')
        n++;
    return n;
}

bool
route_duration_parse(struct slice text, int64_t *out_us)
{
    struct slice rest = slice_trim(text), fraction;
    size_t n = n_digits(rest);
    int64_t unit, us = 0, weight;
    struct slice whole = slice_head(rest, n);

    rest = slice_tail(rest, n);
    fraction = rest.len > 0 && rest.data[0] == '.' ? slice_tail(rest, 1) : slice_of(NULL, 0);
    fraction = slice_head(fraction, n_digits(fraction));
    unit = unit_us(slice_trim(slice_tail(rest, fraction.len == 0 ? 0 : fraction.len + 1)));
    if (n == 0 || unit == 0)
        return false;
    for (size_t i = 0; i < n && us <= MAX_US; i++)
        us = us * 10 + (whole.data[i] - '0');
    if (us > MAX_US / unit)
        return false;
    us *= unit;
    weight = unit;
    for (size_t i = 0; i < fraction.len && weight > 0; i++) {
        us += weight * (fraction.data[i] - '0') / 10;
        weight /= 10;
    }
    *out_us = us;
    return us <= MAX_US;
}

void
route_duration_print(int64_t us, struct text *out)
{
    const struct unit *u = units;

    if (us == 0) {
        text_add_char(out, '0');
        return;
    }
    while (us % u->us != 0)
        u++;
    text_printf(out, "%" PRId64 "%s", us / u->us, u->name);
}
