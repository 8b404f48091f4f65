/* SPDX-License-Identifier: ISC */
/* What is outstanding: a FIFO with one entry for each reply that is expected. It
 * exists only while the session has a server or answers of its own to give. */
#include <assert.h>

#include "base/mem.h"
#include "choose_private.h"

struct pending {
    struct pending *next;    /* spare */
    unsigned first, n, size; /* size is a power of two */
    unsigned n_behind;       /* entries BEHIND */
    struct pending_entry *at;
};

#define FIRST_SIZE 16
#define MAX_SPARE  64

struct pending_entry *
pending_at(const struct session *s, unsigned i)
{
    const struct pending *p = s->pending;

    return &p->at[(p->first + i) & (p->size - 1)];
}

unsigned
pending_count(const struct session *s)
{
    return s->pending == NULL ? 0 : s->pending->n;
}

bool
pending_is_empty(const struct session *s)
{
    return pending_count(s) == 0;
}

struct pending_entry *
pending_head(const struct session *s)
{
    return pending_is_empty(s) ? NULL : pending_at(s, 0);
}

static void
grow(struct pending *p)
{
    struct pending_entry *at = mem_alloc(2 * p->size * sizeof(*at));

    for (unsigned i = 0; i < p->n; i++)
        at[i] = p->at[(p->first + i) & (p->size - 1)];
    mem_free(p->at);
    p->at = at;
    p->first = 0;
    p->size *= 2;
}

static struct pending *
pending_new(struct hall *h)
{
    struct pending *p = h->spare_pending;

    if (p != NULL) {
        h->spare_pending = p->next;
        h->n_spare--;
        return p;
    }
    p = mem_new(struct pending);
    p->size = FIRST_SIZE;
    p->at = mem_alloc(FIRST_SIZE * sizeof(*p->at));
    return p;
}

static void
pending_free(struct pending *p)
{
    mem_free(p->at);
    mem_free(p);
}

void
pending_free_spare(struct hall *h)
{
    while (h->spare_pending != NULL) {
        struct pending *p = h->spare_pending;

        h->spare_pending = p->next;
        pending_free(p);
    }
}

static struct pending *__attribute__((noinline)) make_room(struct session *s)
{
    if (s->pending == NULL)
        s->pending = pending_new(s->hall);
    else
        grow(s->pending);
    return s->pending;
}

static void __attribute__((noinline)) count_one(struct session *s, const struct pending_entry *e, int by)
{
    if ((e->flags & PENDING_LOCAL) != 0)
        s->n_local += by;
    if ((e->flags & PENDING_FRONT) != 0)
        s->n_front += by;
    if (e->kind == PENDING_COPY_END)
        s->n_copy_ends += by;
    if ((e->flags & PENDING_BEHIND) != 0)
        s->pending->n_behind += (unsigned)by;
}

/* Some are counted; most are not. BY is 1 or -1. */
static void
count(struct session *s, const struct pending_entry *e, int by)
{
    if ((e->flags & (PENDING_LOCAL | PENDING_FRONT | PENDING_BEHIND)) != 0 || e->kind == PENDING_COPY_END)
        count_one(s, e, by);
}

struct pending_entry *
pending_push(struct session *s, enum pending_kind kind, unsigned flags)
{
    struct pending *p = s->pending;
    struct pending_entry *e;

    if (p == NULL || p->n == p->size)
        p = make_room(s);
    e = &p->at[(p->first + p->n++) & (p->size - 1)];
    *e = (struct pending_entry){ .kind = (uint8_t)kind, .flags = (uint16_t)flags };
    count(s, e, 1);
    return e;
}

void
pending_push_unnamed(struct session *s, enum pending_kind kind, unsigned flags, struct statement *st)
{
    pending_push(s, kind, flags | PENDING_UNNAMED)->statement = s->unnamed;
    s->unnamed = st == NULL ? NULL : statement_hold(st);
}

static void
drop_answer(struct text *t)
{
    text_done(t);
    mem_free(t);
}

static void
drop_owned(const struct pending_entry *e)
{
    if (e->kind == PENDING_REFUSAL)
        mem_free(e->refusal);
    else if (e->kind == PENDING_ANSWER)
        drop_answer(e->answer);
    else if ((e->flags & PENDING_NAMED) != 0)
        prepared_names_forget(e->removed);
    else if (e->kind == PENDING_CLOSE && (e->flags & PENDING_UNNAMED) == 0)
        mem_free(e->closed);
    else if ((e->flags & (PENDING_DUPLICATE | PENDING_STALE)) == PENDING_DUPLICATE)
        mem_free(e->name);
    else
        statement_drop(e->statement);
}

void
pending_pop(struct session *s)
{
    struct pending *p = s->pending;
    struct pending_entry *e = pending_at(s, 0);

    if (e->facts != NULL)
        facts_drop(e->facts);
    if (e->statement != NULL) /* whatever it is */
        drop_owned(e);
    count(s, e, -1);
    p->first = (p->first + 1) & (p->size - 1);
    p->n--;
}

void
pending_done(struct session *s)
{
    if (s->pending == NULL)
        return;
    while (!pending_is_empty(s))
        pending_pop(s);
    if (s->pending->size > FIRST_SIZE || s->hall->n_spare >= MAX_SPARE) {
        pending_free(s->pending);
    } else {
        s->pending->next = s->hall->spare_pending;
        s->hall->spare_pending = s->pending;
        s->hall->n_spare++;
    }
    s->pending = NULL;
}

/* The client has it, or will have it when its request was sent again. */
static bool
is_told(struct session *s, const struct pending_entry *e)
{
    struct routing *r = s->routing;

    if (r != NULL && r->again)
        return true;
    if (r == NULL || e->n_kept > 0) {
        s->retriable = false;
        return false;
    }
    if (e->kind != PENDING_PARSE && e->kind != PENDING_BIND) {
        r->told = true;
        return false;
    }
    if (r->n_skip > 0) {
        r->n_skip--;
        return true;
    }
    r->n_told += s->retriable;
    return false;
}

static void
answer(struct session *s, const struct pending_entry *e)
{
    struct text *t;

    if (is_told(s, e))
        return;
    t = session_scratch(s);
    switch (e->kind) {
    case PENDING_PARSE:
        wire_put_simple(t, '1');
        break;
    case PENDING_BIND:
        wire_put_simple(t, '2');
        break;
    case PENDING_CLOSE:
        wire_put_simple(t, '3');
        break;
    case PENDING_ANSWER:
        text_add(t, text_slice(e->answer));
        if ((e->flags & PENDING_READY) != 0)
            wire_put_ready(t, s->status);
        break;
    case PENDING_QUERY: /* a DEALLOCATE that no server had to see */
        wire_put_complete(t, "DEALLOCATE");
        wire_put_ready(t, s->status);
        break;
    case PENDING_REFUSAL:
        session_say(s, WIRE_ERROR, e->refusal);
        if ((e->flags & PENDING_READY) == 0)
            return;
        t = session_scratch(s);
        wire_put_ready(t, s->status);
        break;
    default:
        assert(e->kind == PENDING_SYNC);
        wire_put_ready(t, s->status);
        break;
    }
    session_send(s, t);
}

void
pending_answer_head(struct session *s)
{
    struct pending_entry *e;

    while ((e = pending_head(s)) != NULL && (e->flags & PENDING_LOCAL) != 0) {
        if (e->kind != PENDING_COPY_END)
            answer(s, e);
        pending_pop(s);
    }
}

/* ---- a Parse that the server may not look at, though it looks at a later batch ---- */

unsigned
pending_behind(const struct session *s)
{
    if (s->server->status == 'E')
        return PENDING_BEHIND;
    for (unsigned i = pending_count(s); i-- > 0;)
        if ((pending_at(s, i)->flags & (PENDING_FRONT | PENDING_LOCAL)) == 0)
            return PENDING_BEHIND;
    return 0;
}

bool
pending_may_lack(const struct session *s, const struct statement *st)
{
    bool in_batch = true;

    if (s->pending == NULL || s->pending->n_behind == 0)
        return false;
    for (unsigned i = pending_count(s); i-- > 0;) {
        const struct pending_entry *e = pending_at(s, i);
        bool names = (e->kind == PENDING_PARSE && (e->flags & (PENDING_DUPLICATE | PENDING_UNNAMED)) == 0) ||
                     (in_batch && (e->kind == PENDING_BIND || e->kind == PENDING_DESCRIBE));

        if (names && e->statement == st && (e->flags & PENDING_LOCAL) == 0)
            return !in_batch && (e->flags & PENDING_BEHIND) != 0;
        in_batch = in_batch && !pending_ends_request(e);
    }
    return false;
}

/* ---- what the server did not look at ---- */

#define OLDEST 1  /* when a plan was made whose Close was not carried out */
#define MAYBE  -1 /* of what may be there, and may not: it is closed before it is made again */

/* A Parse or Close of ours that was not, or may not have been, carried out: forget what it promised. */
static void
undo_there(struct prepared *p, const struct pending_entry *e)
{
    const unsigned clients = PENDING_NAMED | PENDING_UNNAMED;
    int64_t born;

    if (e->kind == PENDING_CLOSE && (e->flags & clients) == 0 && e->closed != NULL) {
        if (prepared_born(p, *e->closed) != MAYBE)
            prepared_add(p, *e->closed, OLDEST);
    } else if (e->kind == PENDING_PARSE && e->statement != NULL &&
               (e->flags & (PENDING_DUPLICATE | PENDING_UNNAMED | PENDING_LOCAL)) == 0) {
        born = prepared_born(p, e->statement->id);
        if ((e->flags & PENDING_BEHIND) != 0) /* it may have been made again since */
            prepared_add(p, e->statement->id, MAYBE);
        else if (born != OLDEST && born != MAYBE)
            prepared_remove(p, e->statement->id);
    }
}

static void
undo(struct session *s, const struct pending_entry *e)
{
    const unsigned others = PENDING_OURS | PENDING_DUPLICATE | PENDING_UNNAMED;

    if (s->server != NULL)
        undo_there(s->server->prepared, e);
    if (e->kind == PENDING_PARSE && e->statement != NULL && (e->flags & others) == 0)
        prepared_names_undo(s, e->statement);
}

/* E was not looked at: the server's unnamed statement is what it was, and who knows what that is; and what was
 * to go, for another session's sake, is still there. */
static void
note_skipped(struct session *s, const struct pending_entry *e)
{
    if (s->server == NULL || (e->kind != PENDING_PARSE && e->kind != PENDING_CLOSE))
        return;
    if ((e->flags & PENDING_BY_SQL) != 0)
        s->server->old = true;
    else if ((e->flags & PENDING_UNNAMED) != 0 || e->statement == NULL)
        s->server->unnamed = STATEMENT_STRANGE;
}

/* The session's unnamed statement was WAS (owned) after what precedes entry I. */
static void
restore_unnamed(struct session *s, unsigned i, struct statement *was)
{
    struct statement **there = &s->unnamed;

    for (; i < pending_count(s); i++) {
        struct pending_entry *e = pending_at(s, i);

        if (e->kind == PENDING_QUERY && (e->flags & PENDING_OURS) == 0) { /* which forgets it */
            statement_drop(was);
            return;
        }
        if ((e->flags & PENDING_UNNAMED) != 0) {
            there = &e->statement;
            break;
        }
    }
    statement_drop(*there);
    *there = was;
}

/* What the client said by entry I, of N that the server does not look at but for the first, is not so. */
static void
take_back(struct session *s, unsigned i, unsigned n)
{
    struct pending_entry *e = pending_at(s, i);

    if (i > 0)
        note_skipped(s, e);
    undo(s, e);
    if ((e->flags & PENDING_NAMED) != 0 && e->removed != NULL) {
        prepared_names_restore(s, e->removed);
        e->removed = NULL;
    } else if ((e->flags & PENDING_UNNAMED) != 0) {
        restore_unnamed(s, n,
                        i == 0 ? NULL : e->statement); /* PostgreSQL forgets it before it looks at a Parse */
        e->statement = i == 0 ? e->statement : NULL;
    }
}

bool
pending_skip_to_sync(struct session *s)
{
    unsigned n = 0;

    while (n < pending_count(s) && pending_at(s, n)->kind != PENDING_SYNC)
        n++;
    for (unsigned i = n; i-- > 0;)
        take_back(s, i, n);
    for (unsigned i = 0; i < n; i++)
        pending_pop(s);
    return !pending_is_empty(s);
}

/* The end of a COPY that entry 0 began, in the order in which they were sent. */
static unsigned
copy_ends(const struct session *s)
{
    unsigned n = 0;

    for (unsigned i = 1; n < s->n_copy_ends && i < pending_count(s); i++) {
        uint8_t kind = pending_at(s, i)->kind;

        if (kind == PENDING_QUERY || kind == PENDING_CALL || kind == PENDING_EXECUTE)
            break;
        n += kind == PENDING_COPY_END;
    }
    return n;
}

/* Something else was sent where data, or their end, should be: PostgreSQL makes that an error. */
static bool
is_cut_off(const struct session *s)
{
    unsigned i = 1;

    while (i < pending_count(s) && pending_at(s, i)->kind == PENDING_SYNC)
        i++;
    return i < pending_count(s) && pending_at(s, i)->kind != PENDING_COPY_END;
}

bool
pending_begin_copy(struct session *s)
{
    struct pending_entry *e = pending_head(s);

    e->n_copies += e->n_copies < UINT8_MAX;
    return copy_ends(s) < e->n_copies && !is_cut_off(s);
}

void
pending_skip_copy(struct session *s)
{
    uint8_t kind;

    do {
        undo(s, pending_at(s, 0));
        pending_pop(s);
        kind = pending_is_empty(s) ? PENDING_COPY_END : pending_at(s, 0)->kind;
    } while (kind == PENDING_SYNC);
    if (kind == PENDING_COPY_END && !pending_is_empty(s))
        pending_pop(s);
}

void
pending_undo_names(struct session *s)
{
    for (unsigned i = 0; i < pending_count(s); i++) {
        const struct pending_entry *e = pending_at(s, i);

        if (e->kind == PENDING_PARSE && e->statement != NULL &&
            (e->flags & (PENDING_OURS | PENDING_DUPLICATE | PENDING_UNNAMED)) == 0)
            prepared_names_undo(s, e->statement);
    }
}
