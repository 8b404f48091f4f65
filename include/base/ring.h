/* SPDX-License-Identifier: ISC */
/* Intrusive doubly linked list with a head. An entry that is in no list points
 * at itself, so that ring_remove() may be called at any time. */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring {
    struct ring *next, *prev;
};

static inline void
ring_init(struct ring *r)
{
    r->next = r->prev = r;
}

static inline bool
ring_is_empty(const struct ring *r)
{
    return r->next == r;
}

/* Put E after AT: ring_insert(&head, e) makes it the first entry. */
static inline void
ring_insert(struct ring *at, struct ring *e)
{
    e->next = at->next;
    e->prev = at;
    at->next->prev = e;
    at->next = e;
}

/* Make E the last entry of HEAD. */
static inline void
ring_append(struct ring *head, struct ring *e)
{
    ring_insert(head->prev, e);
}

static inline void
ring_remove(struct ring *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    ring_init(e);
}

/* First entry or NULL. */
static inline struct ring *
ring_first(const struct ring *head)
{
    return head->next == head ? NULL : head->next;
}

static inline struct ring *
ring_last(const struct ring *head)
{
    return head->prev == head ? NULL : head->prev;
}

/* for (struct ring *e ...): E must not be removed in the body; _safe allows it. */
#define ring_each(e, head) for (struct ring *e = (head)->next; e != (head); e = e->next)
#define ring_each_safe(e, head) \
    for (struct ring *e = (head)->next, *e##_next = e->next; e != (head); e = e##_next, e##_next = e->next)

#endif
