/* SPDX-License-Identifier: ISC */
/* Reads the loader's lines into a graph of who uses what, lets what is no read spoil all that use it, directly
 * or not, and makes the snapshot of what came out. Lives only while a catalog is read. Pure; any thread. */
#include "base/mem.h"
#include "base/random.h"
#include "catalog_private.h"

#define uthash_malloc(len)  mem_alloc(len)
#define uthash_free(p, len) mem_free(p)
#include <uthash.h>

#define NONE UINT32_MAX

struct node {
    uint64_t id; /* the letter and the OID of an ID */
    struct facts_name name;
    enum severity severity;
    uint32_t first_use; /* by others */
    bool is_field;
    UT_hash_handle hh;
};

/* Somebody uses a node. */
struct use {
    struct node *user;
    uint32_t next; /* of the same node */
};

struct graph {
    struct node *nodes;
    struct use *uses;
    uint32_t n_uses, cap_uses;
    struct node **spoilt; /* their users are still to be looked at */
    size_t n_spoilt, cap_spoilt;
    struct slice *hooks; /* IDs of h lines */
    size_t n_hooks, cap_hooks;
};

#define MAX_FIELDS 5
struct line {
    struct slice field[MAX_FIELDS];
    unsigned n;
};

/* ---- lines ---- */

static struct slice
cut(struct slice *rest, char end)
{
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->data, end, rest->len);
    struct slice s = at == NULL ? *rest : slice_of(rest->data, (size_t)(at - rest->data));

    *rest = slice_tail(*rest, s.len + (at != NULL));
    return s;
}

static struct line
split(struct slice text)
{
    struct line line = { 0 };

    while (text.len > 0 && line.n < MAX_FIELDS)
        line.field[line.n++] = cut(&text, CATALOG_FIELD);
    return line;
}

/* "r16384"; 0 when it is none. */
static uint64_t
id_of(struct slice s)
{
    uint64_t oid = 0;

    if (s.len < 2 || s.len > 11)
        return 0;
    for (size_t i = 1; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return 0;
        oid = oid * 10 + (uint64_t)(s.data[i] - '0');
    }
    return (uint64_t)s.data[0] << 40 | oid;
}

/* ---- the graph ---- */

static struct node *
find(const struct graph *g, uint64_t id)
{
    struct node *n = NULL;

    HASH_FIND(hh, g->nodes, &id, sizeof(id), n);
    return n;
}

static void
worsen(struct graph *g, struct node *n, enum severity severity)
{
    if (n->severity >= severity)
        return;
    n->severity = severity;
    if (g->n_spoilt == g->cap_spoilt) {
        g->cap_spoilt = g->cap_spoilt == 0 ? 256 : g->cap_spoilt * 2;
        g->spoilt = mem_realloc(g->spoilt, g->cap_spoilt * sizeof(struct node *));
    }
    g->spoilt[g->n_spoilt++] = n;
}

static enum severity
severity_of_kind(struct slice kind)
{
    if (slice_is(kind, "p") || slice_is(kind, "v"))
        return SEVERITY_NONE;
    return slice_is(kind, "l") ? SEVERITY_WRITE : SEVERITY_DOUBT;
}

static bool
add_node(struct graph *g, const struct line *line)
{
    uint8_t letter = line->field[0].data[0];
    struct node *n;
    uint64_t id = line->n < 4 ? 0 : id_of(line->field[1]);
    bool has_detail = letter == 'f' || letter == 'r';

    if (id == 0 || line->n != 4u + has_detail || line->field[4].len != has_detail)
        return false;
    if (find(g, id) != NULL)
        return true;
    n = mem_new(struct node);
    n->id = id;
    n->name = (struct facts_name){ .schema = line->field[2], .name = line->field[3] };
    n->first_use = NONE;
    HASH_ADD(hh, g->nodes, id, sizeof(n->id), n);
    if (letter == 'f')
        worsen(g, n, catalog_function_severity(n->name.schema, n->name.name, (char)line->field[4].data[0]));
    else if (letter == 'r')
        worsen(g, n, severity_of_kind(line->field[4]));
    return true;
}

/* What is used and not known was made between two questions. */
static bool
add_use(struct graph *g, const struct line *line)
{
    uint64_t user_id = line->n != 3 ? 0 : id_of(line->field[1]);
    uint64_t used_id = line->n != 3 ? 0 : id_of(line->field[2]);
    struct node *user, *used;

    if (user_id == 0 || used_id == 0)
        return false;
    if ((user = find(g, user_id)) == NULL)
        return true;
    if ((used = find(g, used_id)) == NULL) {
        worsen(g, user, SEVERITY_DOUBT);
        return true;
    }
    if (g->n_uses == g->cap_uses) {
        g->cap_uses = g->cap_uses == 0 ? 256 : g->cap_uses * 2;
        g->uses = mem_realloc(g->uses, g->cap_uses * sizeof(struct use));
    }
    g->uses[g->n_uses] = (struct use){ user, used->first_use };
    used->first_use = g->n_uses++;
    return true;
}

static bool
add_hook(struct graph *g, const struct line *line)
{
    if (line->n != 2 || id_of(line->field[1]) == 0)
        return false;
    if (g->n_hooks == g->cap_hooks) {
        g->cap_hooks = g->cap_hooks == 0 ? 16 : g->cap_hooks * 2;
        g->hooks = mem_realloc(g->hooks, g->cap_hooks * sizeof(struct slice));
    }
    g->hooks[g->n_hooks++] = line->field[1];
    return true;
}

static bool
add_field(struct graph *g, const struct line *line)
{
    uint64_t id = line->n != 2 ? 0 : id_of(line->field[1]);
    struct node *n = find(g, id);

    if (n != NULL)
        n->is_field = true;
    return id != 0;
}

static bool
add_line(struct graph *g, const struct line *line)
{
    if (line->n == 0 || line->field[0].len != 1)
        return false;
    switch (line->field[0].data[0]) {
    case 'f':
    case 'o':
    case 't':
    case 'r':
        return add_node(g, line);
    case 'u':
        return add_use(g, line);
    case 'h':
        return add_hook(g, line);
    case 'c':
        return add_field(g, line);
    default:
        return false;
    }
}

/* Every node's severity rises at most twice, so that this ends. */
static void
spread(struct graph *g)
{
    while (g->n_spoilt > 0) {
        struct node *n = g->spoilt[--g->n_spoilt];

        for (uint32_t at = n->first_use; at != NONE; at = g->uses[at].next)
            worsen(g, g->uses[at].user, n->severity);
    }
}

static struct catalog *
publish(const struct graph *g)
{
    struct catalog *c = catalog_new(random_u64());

    for (struct node *n = g->nodes; n != NULL; n = n->hh.next) {
        catalog_add(&c, n->id >> 40 == 'r' ? NAME_RELATION : NAME_CALL, &n->name, n->severity);
        if (n->is_field && n->severity != SEVERITY_NONE)
            catalog_add_field(c, n->name.name);
    }
    for (size_t i = 0; i < g->n_hooks; i++) {
        const struct node *n = find(g, id_of(g->hooks[i]));

        catalog_set_hidden(c, n == NULL ? SEVERITY_DOUBT : n->severity);
    }
    return c;
}

static void
graph_done(struct graph *g)
{
    struct node *n = g->nodes;

    HASH_CLEAR(hh, g->nodes);
    while (n != NULL) {
        struct node *next = n->hh.next;

        mem_free(n);
        n = next;
    }
    mem_free(g->uses);
    mem_free(g->spoilt);
    mem_free(g->hooks);
}

struct catalog *
catalog_read(struct slice text, struct fault *why)
{
    struct graph g = { 0 };
    struct catalog *c = NULL;
    bool ok = true;

    for (size_t n = 1; ok && text.len > 0; n++) {
        struct line line = split(cut(&text, CATALOG_LINE));

        ok = add_line(&g, &line);
        if (!ok)
            fault_set(why, "XX000", "line %zu of the catalog cannot be read", n);
    }
    spread(&g);
    if (ok)
        c = publish(&g);
    graph_done(&g);
    return c;
}
