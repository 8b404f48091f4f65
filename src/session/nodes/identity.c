/* SPDX-License-Identifier: ISC */
/* Whoever answers at a node's address is asked who it is before it is used: the address may lead to another
 * cluster by now, or to another node, and the checks would notice only after the first writes. */
#include <inttypes.h>

#include "choose_private.h"
#include "server/checker.h"
#include "topo/lsn.h"

static const struct node *
node_of(const struct server *s)
{
    const struct pool *p = s->pool;

    return choose_find_node(hall_of(s->stream.turn->worker)->topology, p->node);
}

static uint64_t
position(const struct server *s)
{
    const struct node *n = node_of(s);

    return n == NULL ? 0 : n->lsn;
}

/* The next word of REST; "" at its end. */
static struct slice
next_word(struct slice *rest)
{
    const uint8_t *space = rest->len == 0 ? NULL : memchr(rest->data, ' ', rest->len);
    struct slice word = space == NULL ? *rest : slice_head(*rest, (size_t)(space - rest->data));

    *rest = slice_tail(*rest, word.len + (space != NULL));
    return word;
}

static bool
is_it(const struct server *s, uint64_t least, struct slice said, struct fault *why)
{
    const struct node *n = node_of(s);
    struct text id = { 0 };
    struct slice system, recovers, at;
    uint64_t lsn;
    bool same;

    if (n == NULL || n->system_id == 0)
        return true;
    system = next_word(&said);
    recovers = next_word(&said);
    at = next_word(&said);
    text_printf(&id, "%" PRIu64, n->system_id);
    same = slice_equal(system, text_slice(&id));
    text_done(&id);
    if (!same)
        return fault_set(why, "57P03", "what answers at node %s is of another cluster", n->name);
    if (n->role == NODE_PRIMARY && slice_is(recovers, "t"))
        return fault_set(why, "57P03", "what answers at node %s is no primary", n->name);
    if (least > 0 && (!lsn_parse(at, &lsn) || lsn < least))
        return fault_set(why, "57P03", "what answers at node %s is behind what that has had", n->name);
    return true;
}

const struct server_checker identity_checker = { position, is_it };
