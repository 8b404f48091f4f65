/* SPDX-License-Identifier: ISC */
/* How deep a parse tree can be. The parser's own lists (of commas, of OR) are flat, so only the highest of
 * their elements counts; everything else that stands in one element is summed up, and added to what stands
 * around it. */
#include "height_private.h"

static struct height_level *
top(struct height *h)
{
    return &h->level[h->n_open];
}

static void
end_element(struct height_level *l)
{
    unsigned height = l->run + l->inner;

    if (height > l->best)
        l->best = height;
    l->run = l->inner = 0;
}

/* OR itself, and the bracket, are a level each. */
static unsigned
level_height(struct height_level *l)
{
    end_element(l);
    return l->best + l->spine + 2;
}

void
height_init(struct height *h)
{
    h->n_open = h->deepest = h->bodies = h->highest = 0;
    h->too_deep = false;
    h->level[0] = (struct height_level){ 0 };
}

void
height_open(struct height *h, bool is_case)
{
    height_add(h, 1);
    if (h->n_open == DIGEST_MAX_DEPTH) {
        h->too_deep = true;
        return;
    }
    h->level[++h->n_open] = (struct height_level){ .is_case = is_case };
    if (h->n_open > h->deepest)
        h->deepest = h->n_open;
}

static void
pop(struct height *h)
{
    unsigned height = level_height(top(h));

    h->n_open--;
    if (height > top(h)->inner)
        top(h)->inner = height;
}

void
height_close(struct height *h, bool is_case)
{
    if (is_case) {
        if (h->n_open > 0 && top(h)->is_case)
            pop(h);
        return;
    }
    while (h->n_open > 0 && top(h)->is_case)
        pop(h);
    if (h->n_open > 0)
        pop(h);
}

void
height_separate(struct height *h, bool in_case)
{
    if (in_case && !top(h)->is_case)
        height_add(h, 1);
    else
        end_element(top(h));
}

void
height_join(struct height *h)
{
    top(h)->spine++;
}

void
height_end_statement(struct height *h)
{
    struct height_level *l = top(h);

    end_element(l);
    if (h->n_open == 0 && level_height(l) > h->highest)
        h->highest = level_height(l);
    if (h->n_open == 0)
        *l = (struct height_level){ 0 };
}

unsigned
height_done(struct height *h)
{
    while (h->n_open > 0)
        pop(h);
    height_end_statement(h);
    return h->too_deep ? DIGEST_MAX_DEPTH + 1 : h->highest + h->bodies;
}
