/* SPDX-License-Identifier: ISC */
/* Whole files for the parsers of this room. Any thread; blocks. */
#ifndef AUTH_FILE_PRIVATE_H
#define AUTH_FILE_PRIVATE_H

#include <stdbool.h>

#include "base/fault.h"
#include "base/slice.h"

#define FILE_LIMIT (64u << 20) /* bytes */

/* The content of regular file PATH; a longer one than FILE_LIMIT is refused. On success OUT is given to
 * file_done(). False keeps errno (ENOENT for include_if_exists). */
bool file_read(const char *path, struct slice *out, struct fault *why);
/* Wipes and frees. */
void file_done(struct slice text);

#endif
