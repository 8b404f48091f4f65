/* SPDX-License-Identifier: ISC */
/* Any pg_ident.conf: refused with a reason, or every question has one answer. Fuzzing opens no file. */
#include <assert.h>

#include "auth/hba.h"

static bool
may_open(struct slice s)
{
    return s.len > 0 && (memchr(s.data, '@', s.len) != NULL || memmem(s.data, s.len, "include", 7) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const users[] = { "", "joe", "joe@example.com", "x_y" };
    struct slice input = slice_of(data, size);
    struct fault why = { 0 };
    struct hba *h = hba_parse(SLICE("local all all peer\n"), "hba", NULL);

    if (!may_open(input) && hba_parse_ident(h, input, "ident", &why)) {
        for (unsigned i = 0; i < 16; i++) {
            struct hba_ask ask = { .user = slice_str(users[i % 4]), .roles = "3:joe" };
            enum hba_method m = hba_map_user(h, "m", users[i / 4], &ask);

            assert(m == HBA_TRUST || m == HBA_REJECT);
            ask.roles = NULL;
            assert(m != HBA_TRUST || hba_map_user(h, "m", users[i / 4], &ask) != HBA_REJECT);
        }
    } else if (!may_open(input)) {
        assert(strncmp(why.message, "ident", 5) == 0 && why.sqlstate[0] != '\0');
    }
    hba_drop(h);
    return 0;
}
