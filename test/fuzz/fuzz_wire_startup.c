/* SPDX-License-Identifier: ISC */
/* The first packet of a stranger: every answer holds for each prefix, every field lies in the packet, and the
 * options in it are never longer than what was sent. */
#include <assert.h>

#include "base/mem.h"
#include "wire/startup.h"

struct seen {
    size_t len; /* bytes of all names and values */
};

static void
on_setting(void *owner, struct slice name, struct slice value)
{
    struct seen *seen = owner;

    assert(name.len > 0 && memchr(name.data, '=', name.len) == NULL &&
           memchr(name.data, '-', name.len) == NULL);
    seen->len += name.len + value.len + 1;
}

static void
check_inside(struct slice s, struct slice packet)
{
    assert(s.len == 0 || (s.data >= packet.data && s.data + s.len <= packet.data + packet.len));
}

static void
check_login(const struct startup *p, struct slice packet)
{
    struct text copy = { 0 }, negotiate = { 0 };
    struct seen seen = { 0 };
    struct fault why = { 0 };
    uint32_t count;

    assert(p->user.len > 0 && p->database.len > 0 && p->n_params <= STARTUP_MAX_PARAMS);
    check_inside(p->user, packet);
    check_inside(p->options, packet);
    for (unsigned i = 0; i < p->n_params; i++) {
        check_inside(p->params[i].name, packet);
        check_inside(p->params[i].value, packet);
    }
    if (!startup_options(p->options, &copy, on_setting, &seen, &why))
        assert(why.sqlstate[0] != '\0');
    assert(seen.len <= p->options.len);
    startup_put_negotiate(&negotiate, 2, packet);
    count = wire_u32((const uint8_t *)negotiate.data + WIRE_HEADER + 4);
    assert(p->unknown_options == (count > 0) && negotiate.len <= packet.len + WIRE_HEADER + 8);
    assert(wire_u32((const uint8_t *)negotiate.data + 1) + 1 == negotiate.len);
    text_done(&copy);
    text_done(&negotiate);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    struct startup p, shorter;
    struct fault why = { 0 };
    size_t len = 0, ignored;
    enum wire_answer a = startup_read(bytes, &p, &len, &why);

    assert((a == WIRE_BAD) == (why.sqlstate[0] != '\0'));
    if (a != WIRE_MESSAGE)
        return 0;
    assert(len >= 8 && len <= size && len <= STARTUP_MAX_LEN);
    for (size_t cut = 0; cut < len; cut += 1 + cut / 16) {
        uint8_t *head = mem_alloc(cut);

        memcpy(head, data, cut);
        assert(startup_read(slice_of(head, cut), &shorter, &ignored, &why) == WIRE_MORE);
        mem_free(head);
    }
    if (p.kind == STARTUP_LOGIN)
        check_login(&p, slice_head(bytes, len));
    else if (p.kind == STARTUP_CANCEL)
        assert(p.key.len >= 4 && p.key.len <= STARTUP_MAX_KEY);
    return 0;
}
