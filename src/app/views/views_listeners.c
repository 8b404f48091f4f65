/* SPDX-License-Identifier: ISC */
/* LISTENERS: the connections that listen for all, and those who hear them, added up over the halls. */
#include "session/listeners.h"
#include "views_private.h"

enum figure { IS_UP, REMOTE_PID, CHANNELS, CLIENTS, HEARD, DELIVERED, CLOSED, LOST };

static void
add(void *owner, const struct listener_figures *f)
{
    struct task *e = owner;
    int64_t *n = gather_at(&e->gather, slice_str(f->database), slice_str(f->encoding))->n;

    n[IS_UP] += f->is_up;
    n[REMOTE_PID] += f->remote_pid;
    n[CHANNELS] += f->n_channels;
    n[CLIENTS] += f->n_clients;
    n[HEARD] += f->n_heard;
    n[DELIVERED] += f->n_delivered;
    n[CLOSED] += f->n_closed;
    n[LOST] += f->n_lost;
}

void
listeners_each(struct hall *h, struct task *e)
{
    hall_each_listener(h, add, e);
}

void
listeners_home(struct task *e)
{
    struct admin_table *t = &e->table;

    for (const struct tally *y = e->gather.first; y != NULL; y = y->next) {
        bool needed = y->n[CHANNELS] > 0 || y->n[CLIENTS] > 0;

        admin_put_slice(t, y->first);
        admin_put_slice(t, y->second);
        admin_put_str(t, y->n[IS_UP] > 0 ? "listening" : needed ? "connecting" : "idle");
        for (int i = REMOTE_PID; i <= LOST; i++)
            admin_put_int(t, y->n[i]);
        admin_row_end(t);
    }
}
