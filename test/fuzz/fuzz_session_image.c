/* SPDX-License-Identifier: ISC */
/* A session that another process sent: what is taken lies in the bytes that came, holds no NUL where none may
 * be, and is as much as it says. */
#include <assert.h>

#include "image_private.h"

static struct slice all;

static void
check_inside(struct slice s)
{
    assert(s.len == 0 || (s.data >= all.data && s.data + s.len <= all.data + all.len));
}

static void
check_text(struct slice s)
{
    check_inside(s);
    assert(s.len == 0 || memchr(s.data, '\0', s.len) == NULL);
}

static void
check_set(struct image_set set)
{
    struct slice name, value;
    unsigned n = 0, most = set.n;

    while (image_next_pair(&set, &name, &value)) {
        check_text(name);
        check_text(value);
        assert(name.len > 0);
        n++;
    }
    assert(n == most && n <= IMAGE_SETTINGS && (set.present || n == 0));
}

static void
check_statement(const struct image_statement *st)
{
    check_text(st->name);
    check_text(st->sql);
    check_inside(st->types);
    assert(st->types.len >= 2 && (st->types.len - 2) % 4 == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_statement st;
    struct image im;
    struct fault why = { 0 };

    all = slice_of(data, size);
    if (!image_read(all, &im, &why)) {
        assert(why.sqlstate[0] != '\0');
        return 0;
    }
    check_text(im.user);
    check_text(im.database);
    check_text(im.application);
    check_text(im.secret);
    check_inside(im.client_key);
    check_inside(im.key);
    assert(im.user.len > 0 && im.database.len > 0 && (im.key.len == 4 || im.key.len == IMAGE_KEY_LEN));
    check_set(im.startup);
    check_set(im.settings);
    check_set(im.told);
    check_set(im.by_sql);
    check_set(im.channels);
    check_text(im.mark);
    assert(im.mark.len == (im.channels.present ? IMAGE_MARK_LEN : 0));
    if (im.has_unnamed)
        check_statement(&im.unnamed);
    while (image_next_name(&im, &st)) {
        check_statement(&st);
        assert(st.name.len > 0);
    }
    return 0;
}
