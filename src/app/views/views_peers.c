/* SPDX-License-Identifier: ISC */
/* PEERS, PEER_POOLS: the other instances, and the cancel requests that go to them. */
#include "session/peers.h"

#include <stdlib.h>

#include "views_private.h"

static int64_t
id_of(const struct conf_peer *p)
{
    return strtol(p->name, NULL, 10);
}

void
peers_home(struct task *e)
{
    const struct conf *c = e->hall->setup.conf;

    for (size_t i = 0; i < c->n_peers; i++) {
        const struct conf_peer *p = &c->peers[i];

        admin_put_int(&e->table, id_of(p));
        admin_put_str(&e->table, p->host);
        admin_put_int(&e->table, p->port);
        admin_put_int(&e->table, view_pick(p->pool_size, c->general.default_pool_size));
        admin_row_end(&e->table);
    }
}

/* All requests are the first hall's. */
void
peer_pools_each(struct hall *h, struct task *e)
{
    const struct conf *c = h->setup.conf;

    for (size_t i = 0; h->worker.index == 0 && i < c->n_peers; i++) {
        int64_t id = id_of(&c->peers[i]);
        struct peer_counts n;

        peers_count(h, (unsigned)id, &n);
        admin_put_int(&e->table, id);
        admin_put_int(&e->table, n.connecting + n.sent);
        admin_put_int(&e->table, n.waiting);
        admin_put_int(&e->table, n.sent);
        admin_put_int(&e->table, n.connecting);
        admin_row_end(&e->table);
    }
}
