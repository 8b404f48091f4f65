/* SPDX-License-Identifier: ISC */
/* A statement, a request or a transaction ended well: what it leaves behind in its session. */
#include "relay_private.h"

/* ---- a statement completed ---- */

static void
note(struct session *s, const struct effect *e)
{
    switch (e->kind) {
    case EFFECT_PIN:
        pin_note(s, e);
        break;
    case EFFECT_DISCARD_ALL:
        prepared_names_clear(s);
        sql_prepared_clear(s);
        s->pins = 0;
        server_forget(s->server);
        settings_discard(s);
        listen_remove(s, SLICE(""));
        s->explained = true;
        break;
    case EFFECT_DEALLOCATE_ALL:
        prepared_names_clear(s);
        sql_prepared_clear(s);
        prepared_clear(s->server->prepared);
        s->pins &= (uint16_t) ~(1u << PIN_PREPARE);
        break;
    case EFFECT_PREPARE:
    case EFFECT_DEALLOCATE:
        sql_prepared_note(s, e);
        break;
    case EFFECT_MAY_UNPIN:
        holds_may_have_ended(s, e->pin);
        break;
    case EFFECT_MAY_LEAVE:
        holds_may_have_begun(s);
        break;
    case EFFECT_UNLISTEN:
        if ((s->pins & 1u << PIN_LISTEN) != 0)
            holds_may_have_ended(s, PIN_LISTEN);
        settings_note(s, e);
        break;
    case EFFECT_UNPIN:
        pin_note_end(s, e);
        break;
    default:
        settings_note(s, e);
    }
}

/* Statement number N of F completed with TAG. */
static void
completed(struct session *s, const struct facts *f, unsigned n, struct slice tag)
{
    bool to_savepoint = false;

    for (unsigned i = 0; f != NULL && i < f->n_effects; i++) {
        if (f->effects[i].statement != n && f->analysed)
            continue;
        note(s, &f->effects[i]);
        to_savepoint = to_savepoint || f->effects[i].kind == EFFECT_ROLLBACK_TO;
    }
    if (slice_equal(tag, SLICE("COMMIT")))
        settings_commit(s);
    else if (slice_equal(tag, SLICE("ROLLBACK")) && !to_savepoint)
        settings_rollback(s);
}

static enum relayed
own_complete(struct session *s, struct pending_entry *e)
{
    if (e->kind == PENDING_EXECUTE && --e->n_done == 0) {
        if ((e->flags & PENDING_OPENING) != 0)
            opening_confirm(s);
        pending_pop(s);
    }
    return RELAY_SWALLOW;
}

/* No is sure: what completed is no COMMIT, ROLLBACK or LISTEN, and not what changes_is_one() knows. */
static bool
may_matter(struct slice tag)
{
    switch (tag.len == 0 ? '\0' : tag.data[0]) {
    case 'A':
    case 'C':
    case 'D':
    case 'I':
    case 'L':
    case 'P':
    case 'R':
        return true;
    default:
        return false;
    }
}

static struct slice
tag_of(struct slice body)
{
    struct wire_cursor c = wire_cursor(body);

    return wire_get_string(&c);
}

void
relay_suspended(struct session *s, const struct reply *r)
{
    const struct pending_entry *e = r->head;

    if (e != NULL && e->kind == PENDING_EXECUTE && e->facts != NULL && !relay_is_ours(r) && !relay_is_void(s))
        completed(s, e->facts, e->n_done, SLICE(""));
}

/* What counts also when no facts say so. */
static void
note_tag(struct session *s, struct slice tag)
{
    if (slice_is(tag, "COMMIT") || slice_is(tag, "PREPARE TRANSACTION"))
        s->committed = true;
    if (slice_is(tag, "LISTEN"))
        s->server->listens = true;
}

enum relayed
relay_complete(struct session *s, const struct reply *r)
{
    struct slice tag = r->type == 'C' && may_matter(r->body) ? tag_of(r->body) : SLICE("");
    struct pending_entry *e = r->head;

    s->copy = COPY_NONE;
    if (e == NULL || (e->kind != PENDING_QUERY && e->kind != PENDING_EXECUTE))
        return RELAY_BROKEN;
    if (relay_is_ours(r))
        return own_complete(s, e);
    if (tag.len > 0)
        note_tag(s, tag);
    s->restoring = (e->flags & PENDING_RESTORES) != 0;
    if ((e->facts != NULL || s->log != NULL) && !relay_is_void(s))
        completed(s, e->facts, e->n_done, tag);
    if (s->routing != NULL && s->routing->wrote)
        known_completed(s, tag);
    if (tag.len > 0)
        changes_completed(s, e->facts, e->n_done, tag);
    e->n_done++;
    if (e->kind == PENDING_EXECUTE) {
        if (e->n_copies > 0)
            pending_skip_copy(s);
        else
            pending_pop(s);
    }
    return RELAY_PASS;
}

/* ---- the end of a request ---- */

static bool
is_status(uint8_t status)
{
    return status == 'I' || status == 'T' || status == 'E';
}

static void
count_request(struct session *s, char status)
{
    struct pool_stats *st = &s->pool->database->stats;
    int64_t now = session_now(s);

    st->queries++;
    s->n_requests++;
    st->query_us += now - s->request_us;
    s->request_us = now;
    if (status != 'I')
        return;
    st->xacts++;
    st->xact_us += now - s->xact_us;
    s->xact_us = now;
}

static void
transaction_ended(struct session *s)
{
    if (s->log != NULL)
        settings_commit(s);
    settings_confirm(s);
    bound_clear(s);
    changes_ended(s);
    if (s->told_before != s->server->reports) {
        settings_catch_up(s);
        params_drop(s->told_before);
        s->told_before = params_hold(s->server->reports);
    }
}

enum relayed
relay_ready(struct session *s, const struct reply *r)
{
    struct pending_entry *e = r->head;
    bool ours, holds;
    size_t n_kept;

    if (r->body.len != 1 || !is_status(r->body.data[0]) || e == NULL ||
        (e->kind != PENDING_QUERY && e->kind != PENDING_SYNC && e->kind != PENDING_CALL))
        return RELAY_BROKEN;
    ours = (e->flags & PENDING_OURS) != 0;
    holds = (e->flags & PENDING_HOLDS) != 0;
    n_kept = e->n_kept;
    s->server->status = (char)r->body.data[0];
    s->copy = COPY_NONE;
    pending_pop(s);
    if (s->state == SESSION_WELCOME) {
        welcome_replayed(s, NULL);
        return RELAY_SWALLOW;
    }
    if (s->server->reported != NULL)
        front_ended(s);
    if (s->server->status == 'I')
        transaction_ended(s);
    if (s->listening != NULL && s->server->status == 'I' && (!ours || pending_is_empty(s)))
        listen_settle(s);
    if (s->routing != NULL && s->server->status == 'I' && !ours && !s->routing->again)
        choose_ended(s);
    if (holds)
        holds_done(s);
    if (ours) {
        settings_tell(s);
        return RELAY_SWALLOW;
    }
    if (s->routing != NULL && s->routing->again)
        return RELAY_SWALLOW; /* on_quiet sends it once more */
    if (s->routing != NULL)
        retry_answered(s, n_kept);
    if (s->told != s->server->reports && s->server->settings != NULL)
        settings_tell(s); /* reports of what went in front came with the answer */
    opening_end(s);
    s->explained = s->rows_flowed = s->timed_out = s->retried = s->committed = false;
    s->status = s->server->status;
    count_request(s, s->status);
    return s->listening != NULL && listen_holds_ready(s) ? RELAY_SWALLOW : RELAY_PASS;
}
