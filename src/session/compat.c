/* SPDX-License-Identifier: ISC */
/* With compat = pgbouncer clients and logs get the texts that PgBouncer's users match. Keeps nothing; leaves
 * the texts to compat_errors.def. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "login_private.h"

#define MAX_STAR 150 /* so that what follows it is not cut off */

enum when { WHEN_ANY, WHEN_LOGIN, WHEN_SASL, WHEN_WELCOME, WHEN_OPTIONS, WHEN_DOWN };

static const struct {
    enum when when;
    const char *sqlstate, *message, *detail, *theirs;
} rows[] = {
#define COMPAT(when, sqlstate, message, detail, theirs) { WHEN_##when, sqlstate, message, detail, theirs },
#include "compat_errors.def"
#undef COMPAT
};

static bool
is_now(const struct session *s, enum when when)
{
    if (when == WHEN_ANY)
        return true;
    if (when == WHEN_WELCOME || when == WHEN_OPTIONS || when == WHEN_DOWN)
        return s->state == SESSION_WELCOME && s->login != NULL &&
               (when != WHEN_OPTIONS || s->login->has_options);
    return s->state == SESSION_LOGIN &&
           (when == WHEN_LOGIN || (s->login != NULL && s->login->method == HBA_SCRAM));
}

/* Whether TEXT is PATTERN; *STAR is what the star stands for. */
static bool
fits(const char *pattern, const char *text, struct slice *star)
{
    const char *at = strchr(pattern, '*');
    struct slice t = slice_str(text);
    size_t head, tail;

    *star = slice_of(text, 0);
    if (at == NULL)
        return strcmp(pattern, text) == 0;
    head = (size_t)(at - pattern);
    tail = strlen(at + 1);
    if (t.len < head + tail || memcmp(text, pattern, head) != 0 || strcmp(text + t.len - tail, at + 1) != 0)
        return false;
    *star = slice_of(text + head, t.len - head - tail);
    return true;
}

static void
fill(struct fault *out, const char *theirs, struct slice star)
{
    const char *at = strchr(theirs, '*');
    int head = at == NULL ? (int)strlen(theirs) : (int)(at - theirs);

    star = slice_head(star, MAX_STAR);
    snprintf(out->message, sizeof(out->message), "%.*s%.*s%s", head, theirs, at == NULL ? 0 : (int)star.len,
             (const char *)star.data, at == NULL ? "" : at + 1);
}

const struct fault *
compat_fault(const struct session *s, const struct fault *why, struct fault *theirs)
{
    struct slice star;

    if (why == NULL || s->hall->setup.conf->general.compat != CONF_COMPAT_PGBOUNCER)
        return why;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].sqlstate, why->sqlstate) == 0 && is_now(s, rows[i].when) &&
            fits(rows[i].message, why->message, &star) &&
            (rows[i].detail[0] == '\0' || fits(rows[i].detail, why->detail, &star))) {
            *theirs = *why;
            fill(theirs, rows[i].theirs, star);
            if (rows[i].when != WHEN_DOWN)
                memcpy(theirs->sqlstate, "08P01", sizeof("08P01"));
            return theirs;
        }
    return why;
}

const char *
compat_who(const struct session *s, char out[COMPAT_WHO])
{
    const struct conf_general *g = &s->hall->setup.conf->general;
    struct net_address peer;
    char host[NET_ADDRESS_TEXT];

    if (g->compat != CONF_COMPAT_PGBOUNCER) {
        snprintf(out, COMPAT_WHO, "client=c%" PRIu64, s->id);
        return out;
    }
    net_address_peer(&peer, s->client.fd);
    net_address_host(&peer, host);
    snprintf(out, COMPAT_WHO, "C-0x%" PRIx64 ": %.63s/%.127s@%.100s:%u", s->id,
             s->database != NULL ? s->database : "(nodb)", s->user != NULL ? s->user : "(nouser)", host,
             s->is_unix ? (unsigned)g->listen_port : net_address_port(&peer));
    return out;
}

bool
compat_ends_client(const struct session *s, const struct fault *why)
{
    return s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER &&
           strcmp(why->message, "transaction blocks not allowed in statement pooling mode") == 0;
}
