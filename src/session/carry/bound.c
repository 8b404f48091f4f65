/* SPDX-License-Identifier: ISC */
/* Portals whose statement leaves something behind: Execute does not name it. */
#include "base/mem.h"
#include "session_private.h"

#define MOST_BOUND 16

struct bound {
    unsigned n;
    struct {
        char *portal;
        const struct facts *facts;
    } at[MOST_BOUND];
};

void
bound_clear(struct session *s)
{
    if (s->bound == NULL)
        return;
    for (unsigned i = 0; i < s->bound->n; i++) {
        facts_drop(s->bound->at[i].facts);
        mem_free(s->bound->at[i].portal);
    }
    mem_free(s->bound);
    s->bound = NULL;
}

static int
bound_find(const struct session *s, struct slice portal)
{
    for (unsigned i = 0; s->bound != NULL && i < s->bound->n; i++)
        if (slice_is(portal, s->bound->at[i].portal))
            return (int)i;
    return -1;
}

const struct facts *
bound_facts(const struct session *s, struct slice portal)
{
    int i = bound_find(s, portal);

    return i < 0 ? NULL : facts_hold(s->bound->at[i].facts);
}

void
bound_set(struct session *s, struct slice portal, const struct facts *f)
{
    int i = bound_find(s, portal);

    if (i >= 0) {
        facts_drop(s->bound->at[i].facts);
        mem_free(s->bound->at[i].portal);
        s->bound->at[i] = s->bound->at[--s->bound->n];
    }
    if (f == NULL || f->n_effects == 0)
        return;
    if (s->bound == NULL)
        s->bound = mem_new(struct bound);
    if (s->bound->n == MOST_BOUND) {
        holds_may_have_begun(s);
        return;
    }
    s->bound->at[s->bound->n].portal = slice_dup(portal);
    s->bound->at[s->bound->n++].facts = facts_hold(f);
}
