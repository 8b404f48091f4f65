/* SPDX-License-Identifier: ISC */
/* Numbers as PgBouncer reads them. */
#include "foreign_private.h"

#include <stdlib.h>
#include <string.h>

/* A port or an id that is out of range is a mistake, not an amount. */
static bool
is_name(const struct conf_option *o)
{
    return strcmp(o->name, "listen_port") == 0 || strcmp(o->name, "port") == 0 ||
           strcmp(o->name, "peer_id") == 0;
}

static bool
is_kind(const struct conf_option *o, const char *kind)
{
    return strcmp(o->kind, kind) == 0;
}

static bool
whole(const struct conf_option *o, struct text *value)
{
    const char *text = text_str(value);
    int base = o->low == -1 ? 10 : 0; /* in lists a leading 0 is only that */
    char *end;
    long long read = strtoll(text, &end, base), v = read;

    if (end == text || *end != '\0')
        return false;
    if (strcmp(o->name, "max_packet_size") == 0 && read < 0)
        v = read = o->high; /* there it has no sign */
    else if (is_kind(o, "boolean"))
        v = read = read != 0;
    else if (read < o->low || read > o->high)
        v = read < o->low ? o->low : o->high;
    text_clear(value);
    text_printf(value, "%lld", v);
    return v != read;
}

static bool
seconds(const struct conf_option *o, struct text *value)
{
    const char *text = text_str(value);
    char *end;
    double read = strtod(text, &end);
    bool beyond = read < (double)o->low || read > (double)o->high;

    if (end == text || *end != '\0' || read < 0 || read != read)
        return false;
    text_clear(value);
    if (beyond)
        text_printf(value, "%lld", (long long)(read < (double)o->low ? o->low : o->high));
    else
        text_printf(value, "%.6f", read);
    return beyond;
}

bool
foreign_number(const struct conf_option *o, struct text *value)
{
    if (is_kind(o, "duration") || is_kind(o, "msec"))
        return seconds(o, value);
    if (is_kind(o, "number") || is_kind(o, "size") || is_kind(o, "boolean"))
        return !is_name(o) && whole(o, value);
    return false;
}
