/* SPDX-License-Identifier: ISC */
/* What currval() and lastval() answer is known to the server process that drew it. A session that asks gets the
 * server on which it drew last, if nobody has drawn there since; else PostgreSQL is made to forget, and says
 * itself that nothing is defined: no session is told what another one drew. Once a session was seen to ask in a
 * later transaction, those of its pool keep their server from the first statement on that may draw. */
#include "choose_private.h"

static bool
asks(const struct facts *f)
{
    for (unsigned i = 0; f != NULL && i < f->n_effects; i++)
        if (f->effects[i].kind == EFFECT_PIN && f->effects[i].pin == PIN_SEQUENCE)
            return true;
    return false;
}

/* By nextval() in its text, in a column's default, or in a trigger. */
static bool
may_draw(const struct facts *f)
{
    return f == NULL || (!f->reads_only && f->class != CLASS_SHOW && !choose_is_neutral(f));
}

void
sequences_prefer(struct session *s, const struct facts *f)
{
    if (s->server != NULL || !asks(f))
        return;
    ring_each (r, &s->pool->idle) {
        struct server *server = container_of(r, struct server, in_pool);

        if (server->sequences_of != s->id)
            continue;
        pool_prefer(s->pool, server);
        return;
    }
}

void
sequences_asked(struct session *s, const struct facts *f)
{
    struct server *server = s->server;
    struct text *t;

    if (s->pool->conf.mode == CONF_POOL_SESSION || server->status == 'E' || !asks(f))
        return;
    s->pool->sequences = s->pool->sequences || server->status == 'I';
    if (server->sequences_of == s->id)
        return;
    server->sequences_of = s->id;
    t = session_scratch(s);
    wire_put_query(t, SLICE("DISCARD SEQUENCES"));
    link_put_query(s, t, 0);
}

void
sequences_note(struct session *s, const struct facts *f)
{
    if (!may_draw(f))
        return;
    s->server->sequences_of = s->id;
    if (s->pool->sequences)
        pin_set(s, PIN_SEQUENCE);
}
