/* SPDX-License-Identifier: ISC */
/* PostgreSQL's MD5 passwords, as secrets and on the wire. No state; any thread. */
#include "auth/md5.h"

#include "base/mem.h"
#include "crypto_private.h"

bool
md5_is_secret(struct slice s)
{
    if (s.len != MD5_SECRET_LEN || memcmp(s.data, "md5", 3) != 0)
        return false;
    for (size_t i = 3; i < s.len; i++)
        if (!((s.data[i] >= '0' && s.data[i] <= '9') || (s.data[i] >= 'a' && s.data[i] <= 'f')))
            return false;
    return true;
}

static bool
md5_print(struct slice a, struct slice b, char out[MD5_SECRET_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[CRYPTO_MD5_LEN];

    memset(out, 0, MD5_SECRET_LEN + 1);
    if (!crypto_md5(a, b, digest))
        return false;
    memcpy(out, "md5", 3);
    for (size_t i = 0; i < sizeof(digest); i++) {
        out[3 + 2 * i] = hex[digest[i] >> 4];
        out[4 + 2 * i] = hex[digest[i] & 15];
    }
    mem_wipe(digest, sizeof(digest));
    return true;
}

bool
md5_secret(struct slice password, struct slice user, char out[MD5_SECRET_LEN + 1])
{
    return md5_print(password, user, out);
}

bool
md5_answer(const char secret[MD5_SECRET_LEN + 1], const uint8_t salt[4], char out[MD5_SECRET_LEN + 1])
{
    return md5_print(slice_of(secret + 3, MD5_SECRET_LEN - 3), slice_of(salt, 4), out);
}

bool
md5_same(struct slice a, struct slice b)
{
    if (a.len != b.len || a.len == 0)
        return false;
    return crypto_same(a.data, b.data, a.len);
}
