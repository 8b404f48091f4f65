/* SPDX-License-Identifier: ISC */
/* Sessions whose sockets another pooler takes. What it could not know of them must not be lost without a word:
 * who has such a thing does not go. */
#include "session/passing.h"

#include <unistd.h>

#include "login_private.h"
#include "session/handover.h"

bool
session_is_ours(const struct session *s)
{
    uid_t uid;

    return !s->tls && method_peer_uid(s, &uid) && uid == geteuid();
}

/* application_name is no loss: PgBouncer forgets it, too. */
static bool
is_told(struct slice name)
{
    static const char *const told[] = { "client_encoding", "standard_conforming_strings", "DateStyle",
                                        "TimeZone", "application_name" };

    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        if (slice_is_nocase(name, told[i]))
            return true;
    return false;
}

/* The unnamed statement is no loss either: who shares servers prepares it again for each transaction. */
static bool
has_only_what_is_told(const struct session *s)
{
    for (unsigned i = 0; i < s->settings->n; i++)
        if (!is_told(s->settings->at[i].name))
            return false;
    return s->pins == 0 && (s->by_sql == NULL || s->by_sql->n == 0) && !listen_is_used(s);
}

/* In session mode all is in the server that it has, but for what we would bring there with the next request. */
static bool
has_all_in_its_server(const struct session *s)
{
    const struct server *server = s->server;

    return s->pool->conf.mode == CONF_POOL_SESSION && link_is_quiet(s) && server->stream.tls == NULL &&
           !server->stream.ended && server->stream.out_len == 0 && server->settings == s->settings;
}

bool
session_may_pass(const struct session *s)
{
    uint32_t pid;

    if ((s->state != SESSION_READY && s->state != SESSION_LINKED) || s->tls || s->replication ||
        s->key == NULL || s->credential == NULL || cancel_key_of(s, &pid).len != sizeof(uint32_t) ||
        !handover_is_idle(s) || prepared_names_count(s) > 0)
        return false;
    return s->server == NULL ? has_only_what_is_told(s) : has_all_in_its_server(s);
}

uint64_t
session_cancel_number(const struct session *s)
{
    uint32_t pid;
    struct wire_cursor secret = wire_cursor(cancel_key_of(s, &pid));

    return (uint64_t)pid << 32 | wire_get_u32(&secret);
}

void
session_pass(struct session *s)
{
    s->passed = true;
}

void
passing_part(struct session *s)
{
    struct server *server = s->server;
    struct fault why;

    if (server == NULL)
        return;
    fault_set(&why, "57P01", "another process has it");
    link_lose(s);
    server_part(server, &why);
}

void
hall_pass(struct hall *h)
{
    h->passing = true;
    hall_hold_listeners(h, true);
}

void
hall_take_up(struct hall *h)
{
    if (!h->passing)
        return;
    h->passing = false;
    if (!h->handing_over)
        hall_hold_listeners(h, false);
    ring_each (r, &h->sessions)
        container_of(r, struct session, in_hall)->passed = false;
}
