/* SPDX-License-Identifier: ISC */
/* Goes through a tree with the help of protobuf-c's descriptors, so that no node type is forgotten.
 * What is still to be visited lies on a stack on the heap. */
#include "walk_private.h"

#include <pg_query/pg_query.pb-c.h>

#include "base/mem.h"

struct item {
    const ProtobufCMessage *m;
    const void *scope;
};

struct pending {
    struct item *items;
    size_t n, cap;
    const void *scope; /* of what is pushed */
};

static void
push(struct pending *p, const ProtobufCMessage *m)
{
    if (m == NULL)
        return;
    if (p->n == p->cap) {
        p->cap = p->cap == 0 ? 64 : p->cap * 2;
        p->items = mem_realloc(p->items, p->cap * sizeof(p->items[0]));
    }
    p->items[p->n++] = (struct item){ m, p->scope };
}

static const void *
field_at(const ProtobufCMessage *m, unsigned offset)
{
    return (const char *)m + offset;
}

/* A Node has 200 members in one union, all of them pointers to messages. */
static const ProtobufCMessage *
unwrap(const ProtobufCMessage *m)
{
    while (m != NULL && m->descriptor == &pg_query__node__descriptor) {
        const PgQuery__Node *node = (const PgQuery__Node *)(const void *)m;

        m = node->node_case == PG_QUERY__NODE__NODE__NOT_SET ? NULL : &node->alias->base;
    }
    return m;
}

static void
push_field(struct pending *p, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(const size_t *)field_at(m, f->quantifier_offset);
        ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)field_at(m, f->offset);

        while (n > 0)
            push(p, items[--n]);
        return;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)field_at(m, f->quantifier_offset) != f->id)
        return;
    push(p, *(ProtobufCMessage *const *)field_at(m, f->offset));
}

void
walk_scoped(const ProtobufCMessage *root, walk_scoped_visitor *visit, void *arg, const void *scope)
{
    struct pending p = { .scope = scope };
    const ProtobufCMessage *m;

    push(&p, root);
    while (p.n > 0) {
        p.n--;
        if ((m = unwrap(p.items[p.n].m)) == NULL)
            continue;
        p.scope = visit(arg, m, p.items[p.n].scope);
        for (unsigned i = m->descriptor->n_fields; i > 0; i--)
            push_field(&p, m, &m->descriptor->fields[i - 1]);
    }
    mem_free(p.items);
}

struct plain {
    walk_visitor *visit;
    void *arg;
};

static const void *
visit_plain(void *arg, const ProtobufCMessage *m, const void *scope)
{
    struct plain *plain = arg;

    plain->visit(plain->arg, m);
    return scope;
}

void
walk_tree(const ProtobufCMessage *root, walk_visitor *visit, void *arg)
{
    struct plain plain = { visit, arg };

    walk_scoped(root, visit_plain, &plain, NULL);
}
