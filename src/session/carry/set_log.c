/* SPDX-License-Identifier: ISC */
/* What the statements of a transaction set, in the order in which they completed, until the transaction is
 * over: savepoints take back what came after them. Most transactions set nothing and have no log. */
#include "settings_private.h"

struct set_op *
set_log_add(struct session *s, enum op_kind kind, struct slice name, struct slice replay)
{
    struct set_op *op = mem_new(struct set_op);

    op->kind = kind;
    op->name = mem_alloc(name.len + replay.len + 2);
    op->replay = op->name + name.len + 1;
    if (name.len > 0)
        memcpy(op->name, name.data, name.len);
    op->name[name.len] = '\0';
    if (replay.len > 0)
        memcpy(op->replay, replay.data, replay.len);
    op->replay[replay.len] = '\0';
    if (s->log == NULL) {
        s->log = mem_new(struct set_log);
        ring_init(&s->log->ops);
    }
    ring_append(&s->log->ops, &op->in_log);
    return op;
}

static void
op_free(struct set_op *op)
{
    ring_remove(&op->in_log);
    mem_free(op->name);
    mem_free(op);
}

static struct set_op *
find_savepoint(const struct session *s, struct slice name)
{
    if (s->log == NULL)
        return NULL;
    for (struct ring *r = ring_last(&s->log->ops); r != NULL && r != &s->log->ops; r = r->prev) {
        struct set_op *op = container_of(r, struct set_op, in_log);

        if (op->kind == OP_SAVEPOINT && slice_is(name, op->name))
            return op;
    }
    return NULL;
}

void
set_log_roll_back_to(struct session *s, struct slice name)
{
    struct set_op *mark = find_savepoint(s, name);

    if (mark == NULL)
        return;
    while (mark->in_log.next != &s->log->ops)
        op_free(container_of(mark->in_log.next, struct set_op, in_log));
}

void
set_log_release(struct session *s, struct slice name)
{
    struct set_op *mark = find_savepoint(s, name);
    struct ring *next;

    if (mark == NULL)
        return;
    for (struct ring *r = &mark->in_log; r != &s->log->ops; r = next) {
        struct set_op *op = container_of(r, struct set_op, in_log);

        next = r->next;
        if (op->kind == OP_SAVEPOINT)
            op_free(op);
    }
}

void
set_log_forget(struct session *s, struct slice name)
{
    if (s->log == NULL)
        return;
    ring_each_safe (r, &s->log->ops) {
        struct set_op *op = container_of(r, struct set_op, in_log);

        if (op->kind == OP_SET && slice_is_nocase(name, op->name))
            op_free(op);
    }
}

void
settings_rollback(struct session *s)
{
    if (s->log == NULL)
        return;
    while (!ring_is_empty(&s->log->ops))
        op_free(container_of(ring_first(&s->log->ops), struct set_op, in_log));
    mem_free(s->log);
    s->log = NULL;
}

struct slice
settings_current(const struct session *s, struct slice name)
{
    if (s->log != NULL)
        for (struct ring *r = ring_last(&s->log->ops); r != NULL && r != &s->log->ops; r = r->prev) {
            const struct set_op *op = container_of(r, struct set_op, in_log);

            if ((op->kind == OP_SET || op->kind == OP_LOCAL) && slice_is_nocase(name, op->name))
                return slice_str(op->replay);
            if (op->kind == OP_RESET && slice_is_nocase(name, op->name))
                return params_value(s->startup, name);
        }
    return params_value(s->settings, name);
}

struct slice
settings_role(const struct session *s)
{
    return settings_current(s, SLICE("role"));
}

struct slice
settings_listens_to(const struct session *s)
{
    if (s->log == NULL)
        return SLICE("");
    ring_each (r, &s->log->ops) {
        const struct set_op *op = container_of(r, struct set_op, in_log);

        if (op->kind == OP_LISTEN)
            return slice_str(op->name);
    }
    return SLICE("");
}
