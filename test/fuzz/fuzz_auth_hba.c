/* SPDX-License-Identifier: ISC */
/* Any pg_hba.conf: refused with a reason, or every question has one answer, and a rule put before all others
 * decides. Absolute names of included files are left out: fuzzing opens no file. */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "auth/hba.h"
#include "base/text.h"

static bool
may_open(struct slice s)
{
    bool slash = s.len > 0 && memchr(s.data, '/', s.len) != NULL;

    return slash && (memchr(s.data, '@', s.len) != NULL || memmem(s.data, s.len, "include", 7) != NULL);
}

static void
check_answers(const struct hba *h, const struct hba *before)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0A000001) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

    for (unsigned i = 0; i < 64; i++) {
        struct hba_ask ask = { .database = i & 1 ? SLICE("app") : SLICE("joe"), .user = SLICE("joe") };
        struct hba_found found;

        ask.tls = i & 2;
        ask.replication = i & 4;
        ask.unix_socket = i & 8;
        ask.host = i & 16 ? "db.example.com" : NULL;
        ask.roles = i & 32 ? "3:joe5:admin" : NULL;
        if (!ask.unix_socket)
            ask.from = i & 1 ? (const struct sockaddr *)(const void *)&in
                             : (const struct sockaddr *)(const void *)&in6;
        enum hba_method method = hba_decide(h, &ask, &found);

        assert(method <= HBA_LDAP || ask.roles == NULL || ask.host == NULL);
        assert(method > HBA_LDAP || found.line > 0 || method == HBA_REJECT);
        assert(method != HBA_PEER || ask.unix_socket);
        assert(method != HBA_CERT || ask.tls);
        if (!ask.unix_socket && !ask.replication)
            assert(hba_decide(before, &ask, &found) == HBA_REJECT && found.line == 1);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct fault why = { 0 };
    struct text text = { 0 };
    struct hba *h, *before;

    if (may_open(input))
        return 0;
    h = hba_parse(input, "/nonexistent/hba", &why);
    if (h == NULL) {
        assert(strncmp(why.message, "/nonexistent/hba", 16) == 0 && why.sqlstate[0] != '\0');
        return 0;
    }
    text_add_str(&text, "host all all all reject\n");
    text_add(&text, input);
    before = hba_parse(text_slice(&text), "/nonexistent/hba", NULL);
    assert(before != NULL);
    check_answers(h, before);
    hba_drop(before);
    hba_drop(h);
    text_done(&text);
    return 0;
}
