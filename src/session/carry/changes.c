/* SPDX-License-Identifier: ISC */
/* Tables change under prepared statements. A plan that a server has since before the last
 * change goes on serving those who parsed before it, too: PostgreSQL tells them "cached plan must not change
 * result type" if they must hear it. Who parses later gets a new plan. When somebody who parsed before meets a
 * new plan, the server is asked once what it gives, and if that is not what clients were told, we say the same.
 */
#include <stdatomic.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "session_private.h"

int64_t
changes_last(const struct session *s)
{
    return s->hall->last_change == NULL ? 0 : atomic_load_explicit(s->hall->last_change, memory_order_relaxed);
}

static void
note_change(struct session *s)
{
    if (s->hall->last_change != NULL && changes_last(s) < session_now(s))
        atomic_store_explicit(s->hall->last_change, session_now(s), memory_order_relaxed);
}

bool
changes_is_one(struct slice tag)
{
    static const char *const words[] = { "CREATE ", "ALTER ", "DROP ", "IMPORT " };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (tag.len > 0 && tag.data[0] == (uint8_t)words[i][0] &&
            slice_is(slice_head(tag, strlen(words[i])), words[i]))
            return true;
    return false;
}

void
changes_completed(struct session *s, const struct facts *f, unsigned n, struct slice tag)
{
    if (!changes_is_one(tag))
        return;
    for (unsigned i = 0; f != NULL && i < f->n_effects; i++)
        if (f->effects[i].statement == n && f->effects[i].kind == EFFECT_PIN)
            return; /* a temporary table is nobody else's affair */
    note_change(s);
    s->server->changed = true;
}

void
changes_ended(struct session *s)
{
    if (!s->server->changed)
        return;
    s->server->changed = false;
    note_change(s);
}

void
changes_stale(struct session *s, const struct pending_entry *e, const struct wire_error *said)
{
    if (e->kind == PENDING_QUERY || !slice_is(said->sqlstate, "0A000") || !slice_is(said->message, STALE_PLAN))
        return;
    note_change(s);
    if ((e->kind == PENDING_BIND || e->kind == PENDING_DESCRIBE) && e->statement != NULL)
        prepared_names_renew(s, e->statement);
}

/* Drivers that prepare again by themselves know this error by the function that makes it. */
void
changes_say_stale(struct session *s)
{
    static const char *const fields[][2] = { { "S", "ERROR" },
                                             { "V", "ERROR" },
                                             { "C", "0A000" },
                                             { "M", STALE_PLAN },
                                             { "R", "RevalidateCachedQuery" } };
    struct text *t = session_scratch(s);
    size_t start = wire_begin(t, 'E');

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        wire_put_u8(t, (uint8_t)fields[i][0][0]);
        wire_put_string(t, slice_str(fields[i][1]));
    }
    wire_put_u8(t, 0);
    wire_end(t, start, 'E');
    session_send(s, t);
}

/* ---- what a statement gives ---- */

/* Names and types of the columns, not where they come from or in which format. */
static uint64_t
shape_of(uint8_t type, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    uint64_t shape = 1;

    for (unsigned n = type == 'T' ? wire_get_u16(&c) : 0; n > 0 && !c.bad; n--) {
        struct slice name = wire_get_string(&c);
        uint32_t column[2];

        wire_get_bytes(&c, 6); /* table and column */
        column[0] = wire_get_u32(&c);
        wire_get_bytes(&c, 2); /* length of the type */
        column[1] = wire_get_u32(&c);
        wire_get_bytes(&c, 2); /* format */
        shape = XXH3_64bits_withSeed(name.data, name.len, shape);
        shape = XXH3_64bits_withSeed(column, sizeof(column), shape);
    }
    return c.bad ? 0 : shape | 1;
}

void
changes_described(struct session *s, const struct pending_entry *e, uint8_t type, struct slice body)
{
    struct statement *st = e->statement;
    int64_t last = changes_last(s);
    uint64_t shape;

    if (st == NULL || (st->shape != 0 && st->shape_us > last))
        return;
    shape = shape_of(type, body);
    if (st->shape != 0 && st->shape != shape)
        st->reshaped_us = last;
    st->shape = shape;
    st->shape_us = (e->flags & PENDING_OURS) != 0 ? st->asked_us : s->request_us;
}

enum change_seen
changes_seen(const struct session *s, const struct statement *st, int64_t since)
{
    int64_t last = changes_last(s);

    if (since >= last || st->shape == 0)
        return CHANGE_NONE;
    if (st->shape_us <= last)
        return CHANGE_UNKNOWN;
    return st->reshaped_us > since ? CHANGE_SEEN : CHANGE_NONE;
}
