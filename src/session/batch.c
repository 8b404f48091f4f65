/* SPDX-License-Identifier: ISC */
/* Looking ahead in the extended protocol: is what the client sent up to its Sync a read? Is a portal run at
 * once? */
#include "choose_private.h"

/* The message at the start of *AHEAD is here as a whole: its type, and *AHEAD is behind it. 0: it is not. */
static uint8_t
next_message(struct slice *ahead, struct slice *body)
{
    struct wire_frame f;

    if (wire_frame_read(ahead->data, ahead->len, INT32_MAX, &f) != WIRE_MESSAGE || f.len > ahead->len)
        return 0;
    *body = slice_tail(slice_head(*ahead, f.len), WIRE_HEADER);
    *ahead = slice_tail(*ahead, f.len);
    return f.type;
}

static bool
has_values(struct slice bind)
{
    struct wire_cursor c = wire_cursor(bind);

    wire_get_string(&c);
    wire_get_string(&c);
    wire_get_bytes(&c, 2 * (size_t)wire_get_u16(&c));
    return wire_get_u16(&c) > 0 || c.bad;
}

bool
ahead_runs(struct slice ahead, struct slice portal, bool may_have_values)
{
    struct slice body;
    struct wire_cursor c;
    uint8_t type = next_message(&ahead, &body);

    if (type == 0 || (!may_have_values && has_values(body)))
        return false;
    if ((type = next_message(&ahead, &body)) == 'D' && body.len > 0 && body.data[0] == 'P') {
        c = wire_cursor(slice_tail(body, 1));
        if (!slice_equal(wire_get_string(&c), portal))
            return false;
        type = next_message(&ahead, &body);
    }
    c = wire_cursor(body);
    return type == 'E' && slice_equal(wire_get_string(&c), portal) && !c.bad;
}

struct batch {
    bool reads;        /* every statement so far */
    bool writes;       /* one that may */
    bool executes;     /* Parse alone does neither */
    bool binds;        /* a portal, which a later batch of the transaction may run */
    bool ends;         /* its transaction, maybe */
    bool writes_after; /* it ended */
    unsigned n;
    struct slice parsed; /* the name that the last Parse in it gave */
    bool has_parsed;
    uint64_t digest;
};

/* A BEGIN that is not kept (opening.c), or what takes a block away from standbys, if it is run at all. */
static void
note_opening(struct routing *r, const struct facts *f)
{
    r->begins = r->begins || f->class == CLASS_BEGIN;
    if (f->class == CLASS_BEGIN ||
        (f->class == CLASS_MODE && (f->set_transaction != BEGIN_READ_ONLY || f->serializable)))
        r->mode = BEGIN_READ_WRITE;
}

static void
add(struct session *s, struct batch *b, const struct facts *f)
{
    bool read;

    note_opening(s->routing, f);
    b->ends = b->ends || f->class == CLASS_END || !f->analysed;
    if (f->tag != NULL || f->class == CLASS_EMPTY)
        return;
    read = choose_is_read(s, f);
    b->writes = b->writes || (!read && !choose_is_neutral(f));
    b->writes_after = b->writes_after || (b->ends && !read);
    b->reads = b->reads && read;
    b->digest = f->digest[0];
    b->n++;
}

static void
add_parse(struct session *s, struct batch *b, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    const struct facts *f;
    struct slice sql;

    b->parsed = wire_get_string(&c);
    sql = wire_get_string(&c);
    b->has_parsed = true;
    if (c.bad || sql.len > (size_t)s->hall->setup.conf->general.max_statement_size) {
        b->reads = false;
        b->writes = b->writes_after = true;
        return;
    }
    f = take_facts(s, sql);
    choose_hints(s, f, sql);
    add(s, b, f);
    facts_drop(f);
}

static void
add_bind(struct session *s, struct batch *b, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    const struct statement *st;
    struct slice name;

    wire_get_string(&c);
    name = wire_get_string(&c);
    if (!c.bad && b->has_parsed && slice_equal(name, b->parsed))
        return; /* judged with its Parse */
    st = c.bad ? NULL : name.len == 0 ? s->unnamed : prepared_names_find(s, name);
    if (st == NULL) {
        b->reads = false;
        b->writes = b->writes_after = true;
    } else {
        choose_hints(s, st->facts, statement_sql(st));
        add(s, b, st->facts);
    }
}

/* False: not all of it is here, or something that is no part of a batch. */
static bool
look(struct session *s, struct batch *b, struct slice ahead)
{
    struct slice body;
    uint8_t type;

    while ((type = next_message(&ahead, &body)) != 0) {
        switch (type) {
        case 'S':
            return true;
        case 'P':
            add_parse(s, b, body);
            break;
        case 'B':
            b->binds = true;
            add_bind(s, b, body);
            break;
        case 'E':
            b->executes = true;
            break;
        case 'D':
        case 'C':
        case 'H':
            break;
        default:
            return false;
        }
    }
    return false;
}

void
choose_batch(struct session *s, struct slice ahead)
{
    struct routing *r = s->routing;
    struct batch b = { .reads = true };
    bool whole;

    if (r->lent || (s->server != NULL && s->extended != EXTENDED_CLEAN))
        return; /* it was looked at before it waited; or in the middle of one */
    choose_start(s);
    whole = look(s, &b, ahead);
    b.reads = b.reads || (whole && !b.executes);
    r->is_read = whole && b.reads && b.n > 0 && !r->begins;
    r->is_doubt = !r->is_read;
    r->looked = r->looked || b.n > 0;
    r->digest = b.digest;
    choose_end_batch(s, whole && !b.writes_after);
    if (!whole || (b.writes && (b.executes || b.binds)))
        r->wrote = true;
}
