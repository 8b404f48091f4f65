/* SPDX-License-Identifier: ISC */
/* Any user list: refused with a reason, or every name is found, and the list written out anew reads the same.
 */
#include <assert.h>
#include <stdlib.h>

#include "auth/scram.h"
#include "auth/secrets.h"
#include "base/text.h"

static void
check_same(const struct secrets *a, const struct secrets *b)
{
    assert(b != NULL && secrets_count(a) == secrets_count(b));
    for (size_t i = 0; i < secrets_count(a); i++) {
        struct slice name = secrets_name(a, i);

        assert(slice_equal(name, secrets_name(b, i)));
        assert(slice_equal(secrets_find(a, name), secrets_find(b, name)));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault why = { 0 };
    struct secrets *s = secrets_parse(slice_of(data, size), "f", &why), *again;
    struct scram_secret scram;
    struct text text = { 0 };

    assert(s != NULL || strncmp(why.message, "f:", 2) == 0);
    for (size_t i = 0; s != NULL && i < secrets_count(s); i++) {
        struct slice name = secrets_name(s, i), secret = secrets_find(s, name);

        assert(secret.data != NULL && name.len >= 1 && name.len <= SECRETS_MAX_NAME);
        assert(secret_kind(secret) != SECRET_SCRAM || scram_secret_parse(secret, &scram));
        text_add_quoted(&text, name, '"');
        text_add_char(&text, ' ');
        text_add_quoted(&text, secret, '"');
        text_add_char(&text, '\n');
    }
    if (s != NULL) {
        again = secrets_parse(text_slice(&text), "f", NULL);
        check_same(s, again);
        secrets_drop(again);
    }
    text_done(&text);
    secrets_drop(s);
    return 0;
}
