/* SPDX-License-Identifier: ISC */
/* What the log says of servers: in our words, or with compat = pgbouncer in those that scripts of PgBouncer's
 * users look for. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool_private.h"

static const struct {
    bool connecting;
    const char *start, *theirs; /* of our message */
} reasons[] = {
    { true, "cannot resolve", "server DNS lookup failed" },
    { true, "connect timeout", "connect timeout" },
    { true, "cannot connect", "connect failed" },
    { true, "connection lost", "connect failed" },
    { true, "", "login failed" },
    { false, "server closed the connection unexpectedly", "server conn crashed?" },
    { false, "connection lost", "server conn crashed?" },
    { false, "database is paused", "pause mode" },
    { false, "pool is larger than its size", "too many servers in the pool" },
};

static bool
is_compat(const struct pool *p)
{
    return p->pools->conf->general.compat == CONF_COMPAT_PGBOUNCER;
}

static const char *
reason(const struct pool *p, const struct fault *why, bool connecting)
{
    for (size_t i = 0; is_compat(p) && i < sizeof(reasons) / sizeof(*reasons); i++)
        if (reasons[i].connecting == connecting &&
            strncmp(why->message, reasons[i].start, strlen(reasons[i].start)) == 0)
            return reasons[i].theirs;
    return why->message;
}

/* PgBouncer's way to say which server: S-0xID: database/user@host:port. */
static const char *
who(const struct pool *p, const struct server *s, char out[STORY_WHO])
{
    struct net_address peer = s->address;
    char host[NET_ADDRESS_TEXT] = "";

    if (peer.len > 0)
        net_address_host(&peer, host);
    snprintf(out, STORY_WHO, "S-0x%" PRIx64 ": %.63s/%.127s@%.100s:%u", s->id, p->name, p->user,
             host[0] != '\0' ? host : p->target.host, p->target.port);
    return out;
}

void
story_connected(const struct pool *p, const struct server *s)
{
    char name[STORY_WHO], from[NET_ADDRESS_TEXT];
    struct net_address local;

    if (!p->pools->conf->general.log_connections)
        return;
    if (!is_compat(p)) {
        log_info("server=s%" PRIu64 " new connection to server %s:%u database=%s user=%s", s->id,
                 s->target->host, s->target->port, p->name, p->user);
        return;
    }
    net_address_local(&local, s->stream.fd);
    net_address_print(&local, from);
    log_info("%s new connection to server (from %s)", who(p, s, name), from);
}

void
story_closed(const struct pool *p, const struct server *s, const struct fault *why, bool connecting)
{
    int64_t age = (pool_worker(p)->now_us - s->connected_us) / CLOCK_S;
    char name[STORY_WHO];

    if (!p->pools->conf->general.log_disconnections)
        return;
    if (is_compat(p))
        log_info("%s closing because: %s (age=%" PRId64 "s)", who(p, s, name), reason(p, why, connecting), age);
    else
        log_info("server=s%" PRIu64 " closing because: %s (age=%" PRId64 "s) database=%s user=%s", s->id,
                 why->message, age, p->name, p->user);
}

void
story_failed(const struct pool *p, const struct fault *why)
{
    if (is_compat(p) && strcmp(reason(p, why, true), "login failed") == 0)
        log_warning("S: %s/%s@%s:%u server login failed: FATAL %s", p->name, p->user, p->target.host,
                    p->target.port, why->message);
    else
        log_warning("cannot connect to server %s:%u database=%s user=%s: %s sqlstate=%s", p->target.host,
                    p->target.port, p->name, p->user, why->message, why->sqlstate);
}

void
story_reserve(const struct pool *p)
{
    log_info("taking connection from reserve_pool: database=%s user=%s", p->name, p->user);
}
