/* SPDX-License-Identifier: ISC */
/* SASLprep for passwords, with the tables and the NFKC of libidn. libidn's own
 * profile is not used: PostgreSQL looks for prohibited characters before it
 * normalizes, libidn after, and both ends must agree on every password.
 * No state; any thread. */
#include "saslprep_private.h"

#include <stdlib.h>

#include <stringprep.h>

#include "base/mem.h"

static bool
is_in(const Stringprep_table_element *table, uint32_t code)
{
    for (; table->start != 0 || table->end != 0; table++)
        if (code >= table->start && code <= (table->end == 0 ? table->start : table->end))
            return true;
    return false;
}

static bool
is_refused(uint32_t code)
{
    static const Stringprep_table_element *const tables[] = {
        stringprep_rfc3454_C_1_2, stringprep_rfc3454_C_2_1, stringprep_rfc3454_C_2_2, stringprep_rfc3454_C_3,
        stringprep_rfc3454_C_4,   stringprep_rfc3454_C_5,   stringprep_rfc3454_C_6,   stringprep_rfc3454_C_7,
        stringprep_rfc3454_C_8,   stringprep_rfc3454_C_9,   stringprep_rfc3454_A_1,
    };

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if (is_in(tables[i], code))
            return true;
    return false;
}

/* libidn normalizes as Unicode 3.2 did, PostgreSQL as Unicode does now. For assigned characters they differ in
 * five that Corrigendum 4 gave another decomposition. */
static uint32_t
corrected(uint32_t code)
{
    static const uint32_t corrigendum[][2] = {
        { 0x2F868, 0x36FC }, { 0x2F874, 0x5F53 }, { 0x2F91F, 0x243AB },
        { 0x2F95F, 0x7AEE }, { 0x2F9BF, 0x45D7 },
    };

    for (size_t i = 0; i < sizeof(corrigendum) / sizeof(corrigendum[0]); i++)
        if (code == corrigendum[i][0])
            return corrigendum[i][1];
    return code;
}

/* RFC 4013 2.1, in place; the number of characters left. */
static size_t
map(uint32_t *codes, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (is_in(stringprep_rfc3454_C_1_2, codes[i]))
            codes[kept++] = ' ';
        else if (!is_in(stringprep_rfc3454_B_1, codes[i]))
            codes[kept++] = corrected(codes[i]);
    }
    return kept;
}

/* RFC 3454 6: text from right to left stands alone, and at both ends. */
static bool
is_direction_clear(const uint32_t *codes, size_t n)
{
    bool right = false, left = false;

    for (size_t i = 0; i < n; i++) {
        right = right || is_in(stringprep_rfc3454_D_1, codes[i]);
        left = left || is_in(stringprep_rfc3454_D_2, codes[i]);
    }
    if (!right)
        return true;
    return !left && is_in(stringprep_rfc3454_D_1, codes[0]) && is_in(stringprep_rfc3454_D_1, codes[n - 1]);
}

static bool
is_allowed(const uint32_t *codes, size_t n)
{
    if (n == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (is_refused(codes[i]))
            return false;
    return is_direction_clear(codes, n);
}

/* The UTF-8 of the normalized CODES, in memory of libidn; NULL when libidn cannot. */
static char *
normalize(const uint32_t *codes, size_t n, size_t *len)
{
    uint32_t *normal = stringprep_ucs4_nfkc_normalize(codes, (ssize_t)n);
    size_t n_normal = 0;
    char *utf8;

    if (normal == NULL)
        return NULL;
    while (normal[n_normal] != 0)
        n_normal++;
    utf8 = stringprep_ucs4_to_utf8(normal, (ssize_t)n_normal, NULL, len);
    mem_wipe(normal, n_normal * sizeof(*normal));
    free(normal);
    return utf8;
}

struct slice
saslprep(struct slice password)
{
    size_t n = 0, kept, len = 0;
    uint32_t *codes;
    char *utf8 = NULL;

    if (slice_is_ascii(password) || memchr(password.data, 0, password.len) != NULL)
        return slice_of(mem_dup(password.data, password.len), password.len);
    codes = stringprep_utf8_to_ucs4((const char *)password.data, (ssize_t)password.len, &n);
    if (codes == NULL)
        return slice_of(mem_dup(password.data, password.len), password.len);
    kept = map(codes, n);
    if (is_allowed(codes, kept))
        utf8 = normalize(codes, kept, &len);
    mem_wipe(codes, n * sizeof(*codes));
    free(codes);
    if (utf8 == NULL)
        return slice_of(mem_dup(password.data, password.len), password.len);
    password = slice_of(mem_dup(utf8, len), len);
    mem_wipe(utf8, len);
    free(utf8);
    return password;
}

void
saslprep_done(struct slice prepared)
{
    mem_wipe((void *)(uintptr_t)prepared.data, prepared.len);
    mem_free((void *)(uintptr_t)prepared.data);
}
