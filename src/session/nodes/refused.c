/* SPDX-License-Identifier: ISC */
/* What is a read, and what turned out to be none: a replica refused it. Such a request is sent once more, to
 * the primary, when the client cannot tell. */
#include "base/mem.h"
#include "choose_private.h"

#define REFUSED 1024 /* a power of two */

static bool
was_refused(const struct hall *h, const struct facts *f)
{
    return h->refused != NULL && h->refused[f->digest[0] & (REFUSED - 1)] == f->digest[0];
}

bool
choose_judge(const struct session *s, const struct facts *f, struct slice *because)
{
    return f->reads_by_grammar && !was_refused(s->hall, f) &&
           known_judge(hall_catalog(s), f, because) == CATALOG_READ;
}

bool
choose_is_read(const struct session *s, const struct facts *f)
{
    return f->reads_by_grammar && !was_refused(s->hall, f) && known_is_read(hall_catalog(s), f);
}

static void
remember_refused(struct hall *h, uint64_t digest)
{
    if (h->refused == NULL)
        h->refused = mem_zalloc(REFUSED * sizeof(*h->refused));
    h->refused[digest & (REFUSED - 1)] = digest;
}

static bool
on_replica(const struct session *s)
{
    const struct cluster *c = choose_cluster(s);

    return c != NULL && s->pool->node != NULL && !choose_is_primary(s, c);
}

/* Nothing follows the request. */
static bool
is_alone(const struct session *s)
{
    for (unsigned i = 0; i + 1 < pending_count(s); i++)
        if (pending_ends_request(pending_at(s, i)))
            return false;
    return true;
}

/* All requests that are outstanding are here as a whole, and can be taken once more: nothing was done for them
 * but on a replica, which keeps nothing. */
static bool
may_be_sent_again(const struct session *s)
{
    unsigned n = pending_count(s);

    if (n == 0 || s->extended != EXTENDED_CLEAN || s->client_left > 0 ||
        !pending_ends_request(pending_at(s, n - 1)))
        return false;
    for (unsigned i = 0; i < n; i++) {
        const struct pending_entry *e = pending_at(s, i);

        if (e->kind == PENDING_CLOSE || (e->kind == PENDING_QUERY && (e->flags & PENDING_LOCAL) != 0))
            return false; /* a name is gone already */
    }
    return true;
}

/* 25006 and 0A000 (temporary and unlogged tables): it is no read. 40001: a conflict with recovery. */
static bool
begins_again(struct session *s, const struct pending_entry *head, const struct wire_error *e)
{
    struct routing *r = s->routing;
    bool stale = slice_is(e->message, STALE_PLAN);
    bool mode = slice_is(e->message, "cannot use serializable mode in a hot standby");
    bool no_read = slice_is(e->sqlstate, "25006") || slice_is(e->sqlstate, "0A000");
    uint64_t digest = head->facts != NULL ? head->facts->digest[0] : is_alone(s) ? r->digest : 0;

    if ((!no_read && !slice_is(e->sqlstate, "40001")) || r->only_primary || !on_replica(s))
        return false;
    if (stale)
        changes_stale(s, head, e);
    else if (no_read && digest != 0 && !mode) /* it is the session, not the statement */
        remember_refused(s->hall, digest);
    if (!retry_may_start(s) || s->rows_flowed || !may_be_sent_again(s))
        return false;
    return r->again = r->only_primary = true;
}

bool
choose_refused(struct session *s, const struct wire_error *e)
{
    const struct pending_entry *head = pending_head(s);

    if (!s->routing->again && !begins_again(s, head, e))
        return false;
    if (head->kind != PENDING_QUERY)
        pending_skip_to_sync(s);
    return true;
}
