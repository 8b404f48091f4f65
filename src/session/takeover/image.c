/* SPDX-License-Identifier: ISC */
/* An idle session as bytes: fixed fields first, then texts, sets and statements, each with its length. */
#include "image_private.h"

#include "wire/message.h"
#include "wire/writer.h"

#define NAME_MAX_LEN 127 /* of users and databases, as at login */

/* ---- writing ---- */

static void
put_u64(struct text *t, uint64_t v)
{
    wire_put_u32(t, (uint32_t)(v >> 32));
    wire_put_u32(t, (uint32_t)v);
}

void
image_put_slice(struct text *t, struct slice s)
{
    wire_put_u32(t, (uint32_t)s.len);
    wire_put_bytes(t, s);
}

void
image_put_statement(struct text *t, const struct image_statement *st)
{
    image_put_slice(t, st->name);
    image_put_slice(t, st->sql);
    image_put_slice(t, st->types);
    wire_put_u8(t, st->doubtful);
}

static void
put_set(struct text *t, const struct image_set *set)
{
    wire_put_u8(t, set->present);
    if (!set->present)
        return;
    wire_put_u32(t, set->n);
    wire_put_bytes(t, set->rest);
}

void
image_write(struct text *t, const struct image *im)
{
    wire_put_u16(t, IMAGE_VERSION);
    put_u64(t, im->id);
    put_u64(t, im->lsn);
    put_u64(t, im->n_in);
    put_u64(t, im->n_out);
    put_u64(t, (uint64_t)im->connected_us);
    put_u64(t, (uint64_t)im->idle_us);
    wire_put_u32(t, im->n_requests);
    wire_put_u32(t, im->pid);
    wire_put_u16(t, im->noticed);
    wire_put_u8(t, im->has_application);
    wire_put_u8(t, im->has_unnamed);
    image_put_slice(t, im->user);
    image_put_slice(t, im->database);
    image_put_slice(t, im->application);
    image_put_slice(t, im->secret);
    image_put_slice(t, im->client_key);
    image_put_slice(t, im->key);
    put_set(t, &im->startup);
    put_set(t, &im->settings);
    put_set(t, &im->told);
    put_set(t, &im->by_sql);
    put_set(t, &im->channels);
    if (im->channels.present)
        image_put_slice(t, im->mark);
    if (im->has_unnamed)
        image_put_statement(t, &im->unnamed);
    wire_put_u32(t, im->n_names);
}

/* ---- reading ---- */

static uint64_t
get_u64(struct wire_cursor *c)
{
    uint64_t high = wire_get_u32(c);

    return high << 32 | wire_get_u32(c);
}

static bool
get_flag(struct wire_cursor *c)
{
    uint8_t v = wire_get_u8(c);

    c->bad = c->bad || v > 1;
    return v == 1;
}

static struct slice
get_slice(struct wire_cursor *c)
{
    uint32_t len = wire_get_u32(c);

    return wire_get_bytes(c, len);
}

static struct slice
get_word(struct wire_cursor *c, size_t max)
{
    struct slice s = get_slice(c);

    c->bad = c->bad || s.len > max || (s.len > 0 && memchr(s.data, '\0', s.len) != NULL);
    return s;
}

/* A count of types and as many types, as Parse has them. */
static struct slice
get_types(struct wire_cursor *c)
{
    struct slice s = get_slice(c);

    c->bad = c->bad || s.len < 2 || s.len != 2 + 4 * (size_t)(s.data[0] << 8 | s.data[1]);
    return s;
}

static struct image_statement
get_statement(struct wire_cursor *c)
{
    struct image_statement st = { 0 };

    st.name = get_word(c, SIZE_MAX);
    st.sql = get_word(c, SIZE_MAX);
    st.types = get_types(c);
    st.doubtful = get_flag(c);
    return st;
}

static void
get_set(struct wire_cursor *c, struct image_set *set)
{
    const uint8_t *start;

    set->present = get_flag(c);
    if (!set->present)
        return;
    set->n = wire_get_u32(c);
    c->bad = c->bad || set->n > IMAGE_SETTINGS;
    start = c->at;
    for (uint32_t i = 0; i < set->n && !c->bad; i++) {
        struct slice name = get_word(c, SIZE_MAX);

        c->bad = c->bad || name.len == 0;
        get_word(c, SIZE_MAX);
    }
    set->rest = slice_of(start, (size_t)(c->at - start));
}

/* It becomes part of SQL. */
static struct slice
get_mark(struct wire_cursor *c)
{
    struct slice s = get_slice(c);

    c->bad = c->bad || s.len != IMAGE_MARK_LEN;
    for (size_t i = 0; i < s.len && !c->bad; i++)
        c->bad = strchr("0123456789abcdef", s.data[i]) == NULL || s.data[i] == '\0';
    return s;
}

static void
get_words(struct wire_cursor *c, struct image *im)
{
    im->user = get_word(c, NAME_MAX_LEN);
    im->database = get_word(c, NAME_MAX_LEN);
    im->application = get_word(c, SIZE_MAX);
    im->secret = get_word(c, SIZE_MAX);
    im->client_key = get_slice(c);
    im->key = get_slice(c);
    c->bad = c->bad || im->user.len == 0 || im->database.len == 0 ||
             (im->client_key.len != 0 && im->client_key.len != 32) ||
             (im->key.len != 4 && im->key.len != IMAGE_KEY_LEN);
}

static void
get_names(struct wire_cursor *c, struct image *im)
{
    const uint8_t *start;

    im->n_names = wire_get_u32(c);
    c->bad = c->bad || im->n_names > IMAGE_NAMES;
    start = c->at;
    for (uint32_t i = 0; i < im->n_names && !c->bad; i++)
        c->bad = get_statement(c).name.len == 0 || c->bad;
    im->names = slice_of(start, (size_t)(c->at - start));
}

bool
image_read(struct slice bytes, struct image *im, struct fault *why)
{
    struct wire_cursor c = wire_cursor(bytes);

    *im = (struct image){ 0 };
    if (wire_get_u16(&c) != IMAGE_VERSION)
        return fault_set(why, "08P01", "a session came in a format that is not ours");
    im->id = get_u64(&c);
    im->lsn = get_u64(&c);
    im->n_in = get_u64(&c);
    im->n_out = get_u64(&c);
    im->connected_us = (int64_t)get_u64(&c);
    im->idle_us = (int64_t)get_u64(&c);
    im->n_requests = wire_get_u32(&c);
    im->pid = wire_get_u32(&c);
    im->noticed = wire_get_u16(&c);
    im->has_application = get_flag(&c);
    im->has_unnamed = get_flag(&c);
    get_words(&c, im);
    get_set(&c, &im->startup);
    get_set(&c, &im->settings);
    get_set(&c, &im->told);
    get_set(&c, &im->by_sql);
    get_set(&c, &im->channels);
    if (im->channels.present)
        im->mark = get_mark(&c);
    if (im->has_unnamed)
        im->unnamed = get_statement(&c);
    get_names(&c, im);
    if (c.bad || wire_left(&c) != 0 || !im->startup.present || !im->settings.present || im->idle_us < 0)
        return fault_set(why, "08P01", "a session came damaged");
    return true;
}

bool
image_next_pair(struct image_set *set, struct slice *name, struct slice *value)
{
    struct wire_cursor c;

    if (set->n == 0)
        return false;
    set->n--;
    c = wire_cursor(set->rest);
    *name = get_slice(&c);
    *value = get_slice(&c);
    set->rest = slice_of(c.at, wire_left(&c));
    return true;
}

bool
image_next_name(struct image *im, struct image_statement *st)
{
    struct wire_cursor c;

    if (im->n_names == 0)
        return false;
    im->n_names--;
    c = wire_cursor(im->names);
    *st = get_statement(&c);
    im->names = slice_of(c.at, wire_left(&c));
    return true;
}
