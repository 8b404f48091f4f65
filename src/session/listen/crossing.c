/* SPDX-License-Identifier: ISC */
/* LISTEN of a session on its way between two processes. */
#include "crossing_private.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "session/handover.h"

#define MARKS       SLICE("pgweir takes over") /* the channel */
#define PATIENCE_US (5 * CLOCK_S)              /* for the other process to listen, for the mark to be heard */

/* ---- both ---- */

static bool
is_marks(const struct channel *c)
{
    return slice_is(MARKS, c->name);
}

static void
begin(struct listening *l, const char *mark)
{
    l->crossing = mem_new(struct crossing);
    memcpy(l->crossing->mark, mark, IMAGE_MARK_LEN);
    channel_join(audience_channel(listen_audience(l->session), MARKS), l);
}

bool
crossing_hears(struct listening *l, const struct channel *c, struct slice message)
{
    struct wire_cursor body = wire_cursor(slice_tail(message, WIRE_HEADER));
    struct crossing *x = l->crossing;

    if (!is_marks(c))
        return false;
    wire_get_u32(&body);
    wire_get_string(&body);
    if (x->marked || !slice_is(wire_get_string(&body), x->mark))
        return true;
    x->marked = true;
    x->before = l->queue.len;
    if (x->parcel != NULL)
        text_clear(&l->queue);
    else if (x->taken)
        handover_look_soon(l->session->hall);
    return true;
}

void
crossing_keep(struct listening *l, struct slice message)
{
    if (listen_has_room(l) && l->queue.len + message.len <= HANDOVER_IMAGE_MAX)
        text_add(&l->queue, message);
    else
        crossing_missed(l);
}

void
crossing_missed(struct listening *l)
{
    l->crossing->missed = true;
}

void
crossing_end(struct session *s)
{
    struct listening *l = s->listening;
    struct member *m;

    if (l == NULL || l->crossing == NULL)
        return;
    m = listening_find(l, MARKS);
    if (m != NULL)
        channel_leave(m);
    if (l->crossing->missed)
        listen_put_missed(&l->queue);
    crossing_done(l);
    stream_put_copy(&s->client, text_slice(&l->queue));
    text_done(&l->queue);
}

void
crossing_done(struct listening *l)
{
    if (l->crossing == NULL)
        return;
    parcel_free(l->crossing->parcel); /* nobody waits for it */
    mem_free(l->crossing);
    l->crossing = NULL;
}

/* ---- the old process ---- */

bool
crossing_may(const struct session *s)
{
    const struct listening *l = s->listening;
    const struct audience *a = listen_audience(s);

    if (l->n_members >= IMAGE_SETTINGS || listening_find(l, MARKS) != NULL)
        return false;
    ring_each (r, &l->members)
        if (container_of(r, struct member, in_session)->channel->audience != a)
            return false;
    return true;
}

bool
crossing_is_ready(const struct session *s)
{
    const struct listening *l = s->listening;
    struct channel *c;

    if (l == NULL || l->n_members == 0)
        return true;
    if (l->ask != NULL || l->queue.len > 0 || l->early.len > 0 || !crossing_may(s))
        return false;
    c = audience_channel(listen_audience(s), MARKS);
    if (!c->known && c->n_asked == 0)
        channel_ask(c, s, NULL, PATIENCE_US);
    return c->known;
}

void
crossing_begin(struct session *s)
{
    uint64_t word[2] = { random_u64(), random_u64() };
    char mark[IMAGE_MARK_LEN + 1];

    if (!listen_is_used(s))
        return;
    snprintf(mark, sizeof(mark), "%016" PRIx64 "%016" PRIx64, word[0], word[1]);
    begin(s->listening, mark);
}

unsigned
crossing_put_channels(const struct session *s, struct text *t)
{
    unsigned n = 0;

    ring_each (r, &s->listening->members) {
        const struct channel *c = container_of(r, struct member, in_session)->channel;

        if (is_marks(c))
            continue;
        image_put_slice(t, slice_str(c->name));
        image_put_slice(t, SLICE(""));
        n++;
    }
    return n;
}

void
crossing_taken(struct session *s, uint32_t their_hall)
{
    struct crossing *x = s->listening->crossing;

    x->taken = true;
    x->their_hall = their_hall;
    x->taken_us = session_now(s);
}

bool
crossing_take_rest(struct session *s, struct text *t)
{
    struct listening *l = s->listening;
    const struct crossing *x = l->crossing;

    if (!x->marked && session_now(s) - x->taken_us < PATIENCE_US)
        return false;
    text_add(t, slice_head(text_slice(&l->queue), x->marked ? x->before : l->queue.len));
    if (x->missed || !x->marked)
        listen_put_missed(t);
    return true;
}

/* ---- the new process ---- */

void
crossing_arrive(struct session *s, const struct image *im, struct parcel *p)
{
    struct listening *l = listen_make(s);
    struct audience *a = listen_audience(s);
    struct image_set set = im->channels;
    struct slice name, value;
    char mark[IMAGE_MARK_LEN];

    memcpy(mark, im->mark.data, sizeof(mark));
    while (image_next_pair(&set, &name, &value))
        if (listening_find(l, name) == NULL)
            channel_join(audience_channel(a, name), l);
    begin(l, mark);
    ring_each (r, &l->members) {
        struct channel *c = container_of(r, struct member, in_session)->channel;

        if (!c->known)
            channel_ask(c, s, NULL, PATIENCE_US);
    }
    l->crossing->parcel = p;
    channel_ask(audience_channel(a, MARKS), s, l, PATIENCE_US);
}

static bool
listens(const struct listening *l)
{
    ring_each (r, &l->members)
        if (!container_of(r, struct member, in_session)->channel->known)
            return false;
    return true;
}

/* The mark was sent after all LISTENs, and came back before this answer. */
void
crossing_answered(struct listening *l, bool ok)
{
    struct crossing *x = l->crossing;
    struct parcel *p = x->parcel;

    x->parcel = NULL;
    handover_arrived(l->session, p, ok && x->marked && !x->missed && listens(l));
}
