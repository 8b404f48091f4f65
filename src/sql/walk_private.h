/* SPDX-License-Identifier: ISC */
/* Visits every message of a libpg_query tree, without recursion, parents before children. Pure; any thread. */
#ifndef SQL_WALK_PRIVATE_H
#define SQL_WALK_PRIVATE_H

#include <protobuf-c/protobuf-c.h>

typedef void walk_visitor(void *arg, const ProtobufCMessage *m);

/* ROOT may be NULL. Wrappers (Node) are not shown to VISIT. Siblings are visited in their order. */
void walk_tree(const ProtobufCMessage *root, walk_visitor *visit, void *arg);

/* The same, and VISIT answers what is handed to it as SCOPE for the messages below M; SCOPE for ROOT. */
typedef const void *walk_scoped_visitor(void *arg, const ProtobufCMessage *m, const void *scope);
void walk_scoped(const ProtobufCMessage *root, walk_scoped_visitor *visit, void *arg, const void *scope);

#endif
