/* SPDX-License-Identifier: ISC */
/* DROP DATABASE and its like fail while anybody is connected to the database: servers that only wait there for
 * the next client, connections that listen for nobody, and those of auth_query, go first. PostgreSQL waits for
 * them. */
#include "pool/vacate.h"
#include "base/mem.h"
#include "session/listeners.h"
#include "session/lookup.h"
#include "session_private.h"

struct vacating {
    struct mail mail;
    char *database;
};

static void
on_vacate(struct worker *w, struct mail *m)
{
    struct vacating *v = container_of(m, struct vacating, mail);
    struct hall *h = hall_of(w);

    pools_vacate(&h->pools, slice_str(v->database));
    hall_vacate_listeners(h, slice_str(v->database));
    stream_flush(&h->turn);
    mem_free(v->database);
    mem_free(v);
}

void
vacate_note(struct session *s, const struct facts *f)
{
    struct registry *r = s->hall->registry;

    for (unsigned i = 0; f != NULL && i < f->n_effects; i++) {
        if (f->effects[i].kind != EFFECT_VACATE)
            continue;
        lookups_vacate(s->hall->lookups, f->effects[i].name);
        for (uint32_t to = 0; to < registry_n_workers(r); to++) {
            struct vacating *v = mem_new(struct vacating);

            v->database = slice_dup(f->effects[i].name);
            v->mail.deliver = on_vacate;
            mail_post(registry_worker(r, to), &v->mail);
        }
    }
}
