/* SPDX-License-Identifier: ISC */
/* The user list: an immutable, counted snapshot of PgBouncer's auth_file
 * ("name" "secret" lines, "" escapes, ; comments, the rest of a line is ignored).
 * Any thread may hold and read one. Secrets never appear in faults. */
#ifndef AUTH_SECRETS_H
#define AUTH_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fault.h"
#include "base/slice.h"

#define SECRETS_MAX_NAME   127
#define SECRETS_MAX_SECRET 65530

/* NONE: no such user, or an empty secret: matches nothing. SCRAM: begins like one; scram_secret_parse() may
 * still refuse it (not for those of secrets_parse(), which checks). */
enum secret_kind { SECRET_NONE, SECRET_PLAIN, SECRET_MD5, SECRET_SCRAM };

struct secrets;

/* Whole text of a file; FILE is for messages only ("FILE:LINE: ..."). Longer names and secrets than the limits
 * above are errors, as are an empty name, a quote that does not end on its line, a NUL and a SCRAM secret that
 * is not one. The last line for a name wins. NULL with WHY set when a line is bad. Memory for 10,000 users:
 * under 5 MB; 10,000 parse in under 50 ms. */
struct secrets *secrets_parse(struct slice text, const char *file, struct fault *why);
/* Reads FILE (a regular file of at most 64 MB). */
struct secrets *secrets_load(const char *file, struct fault *why);
/* What can be read of FILE: a bad line is left out and an error in the log, as is a file that cannot be read.
 * Never NULL. */
struct secrets *secrets_salvage(const char *file);
struct secrets *secrets_empty(void);
struct secrets *secrets_hold(struct secrets *s);
void secrets_drop(struct secrets *s); /* NULL is fine; the last drop wipes and frees */
/* The secret of USER; data is NULL when there is no such user (an empty secret has len 0 and data set).
 * The slice lives as long as S. */
struct slice secrets_find(const struct secrets *s, struct slice user);
size_t secrets_count(const struct secrets *s);
/* Of memory. */
size_t secrets_bytes(const struct secrets *s);
/* Name number I (0 <= I < count), in file order (of the first line for each name). */
struct slice secrets_name(const struct secrets *s, size_t i);
enum secret_kind secret_kind(struct slice secret);

#endif
