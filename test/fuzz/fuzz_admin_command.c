/* SPDX-License-Identifier: ISC */
/* Any text is a command or a fault with a SQLSTATE; what a command answers at once is whole messages. */
#include <stdlib.h>

#include "admin/command.h"
#include "wire/message.h"

static void
must(bool truth)
{
    if (!truth)
        abort();
}

static void
is_whole(struct slice answer)
{
    struct wire_frame f;

    for (; answer.len > 0; answer = slice_tail(answer, f.len)) {
        must(wire_frame_read(answer.data, answer.len, UINT32_MAX, &f) == WIRE_MESSAGE);
        must(f.len <= answer.len);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice sql = slice_of(data, size);

    for (int compat = 0; compat < 2; compat++) {
        struct fault why = { .message = "" };
        struct admin_command c;
        struct text out = { 0 };
        bool ok = admin_parse(sql, compat, &c, &why);

        must(ok == (why.sqlstate[0] == '\0') && c.verb < ADMIN_NVERBS);
        must(strlen(c.name) < ADMIN_NAME && strlen(c.value) < ADMIN_VALUE);
        must(!ok || admin_may(&c, true, compat, &why));
        must(!ok || (c.verb == ADMIN_SHOW) == (c.view != ADMIN_NVIEWS));
        if (ok && admin_put_fixed(&out, &c, sql, "version"))
            must(out.len > 0);
        is_whole(text_slice(&out));
        text_done(&out);
    }
    return 0;
}
