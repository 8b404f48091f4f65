/* SPDX-License-Identifier: ISC */
/* PostgreSQL's MD5 passwords (manual, "Password Authentication"). Pure; any thread. */
#ifndef AUTH_MD5_H
#define AUTH_MD5_H

#include <stdbool.h>

#include "base/slice.h"

#define MD5_SECRET_LEN 35 /* "md5" and 32 hex digits, without NUL */

/* "md5" and 32 lower-case hex digits, as PostgreSQL tells them from plain passwords. */
bool md5_is_secret(struct slice s);
/* "md5" + hex(md5(password + user)); OUT has MD5_SECRET_LEN + 1 bytes.
 * False, and OUT is "", when the system's OpenSSL forbids MD5 (FIPS). */
bool md5_secret(struct slice password, struct slice user, char out[MD5_SECRET_LEN + 1]);
/* The answer to AuthenticationMD5Password: "md5" + hex(md5(hex part of SECRET + SALT)). False as above. */
bool md5_answer(const char secret[MD5_SECRET_LEN + 1], const uint8_t salt[4], char out[MD5_SECRET_LEN + 1]);
/* Equal, in time that does not depend on the content. Nothing is not equal to nothing, so that a failure
 * above never becomes a good password. */
bool md5_same(struct slice a, struct slice b);

#endif
