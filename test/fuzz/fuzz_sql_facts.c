/* SPDX-License-Identifier: ISC */
/* Whatever the digest calls safe, the parser bears, and its tree is as shallow as the digest promised. */
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "sql/digest.h"
#include "sql/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The stack that a worker has; that of the first thread grows up to its limit. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct rlimit stack = { 64u << 20, 64u << 20 };

    (void)argc;
    (void)argv;
    setrlimit(RLIMIT_STACK, &stack);
    return 0;
}

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static unsigned depth_of(const ProtobufCMessage *m);

static unsigned
depth_of_field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *at = (const char *)m;
    unsigned deepest = 0, depth;

    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    if (f->label != PROTOBUF_C_LABEL_REPEATED) {
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)(const void *)(at + f->quantifier_offset) != f->id)
            return 0;
        return depth_of(*(ProtobufCMessage *const *)(const void *)(at + f->offset));
    }
    for (size_t i = 0; i < *(const size_t *)(const void *)(at + f->quantifier_offset); i++) {
        depth = depth_of((*(ProtobufCMessage *const *const *)(const void *)(at + f->offset))[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

static unsigned
depth_of(const ProtobufCMessage *m)
{
    unsigned deepest = 0, depth;

    if (m == NULL)
        return 0;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        depth = depth_of_field(m, &m->descriptor->fields[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static void
check_depth(struct slice sql, const struct digest *d)
{
    char *text = slice_dup(sql);
    PgQueryProtobufParseResult r = pg_query_parse_protobuf(text);
    PgQuery__ParseResult *tree = NULL;

    if (r.error == NULL)
        tree = pg_query__parse_result__unpack(NULL, r.parse_tree.len, (uint8_t *)r.parse_tree.data);
    if (tree != NULL) {
        must(depth_of(&tree->base) <= 3 * (d->chain + d->depth) + 32);
        pg_query__parse_result__free_unpacked(tree, NULL);
    }
    pg_query_free_protobuf_parse_result(r);
    mem_free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct facts_table *t = facts_table_new(64, 1);
    struct slice sql = slice_of(data, size);
    const struct facts *f, *again;
    struct digest d;
    bool parsed;

    digest_of(sql, 1, &d);
    f = facts_of(t, sql, true, &parsed);
    must(parsed == d.safe && f->analysed == (f->class != CLASS_UNKNOWN));
    for (unsigned i = 0; i < f->n_effects; i++)
        must(f->effects[i].statement < (f->analysed ? f->n_statements : 1));
    again = facts_of(t, sql, true, &parsed);
    must(again == f || facts_table_stats(t).entries == 0);
    must(again->n_effects == f->n_effects && again->class == f->class);
    if (d.safe)
        check_depth(sql, &d);
    facts_drop(f);
    facts_drop(again);
    facts_table_free(t);
    return 0;
}
