/* SPDX-License-Identifier: ISC */
/* An idle session as bytes, for the process that takes over. Pure; any thread. Whoever reads an image trusts
 * nothing in it: every length is checked, every text is free of NULs, every count has a limit. */
#ifndef SESSION_IMAGE_PRIVATE_H
#define SESSION_IMAGE_PRIVATE_H

#include "base/fault.h"
#include "base/text.h"

#define IMAGE_VERSION  2
#define IMAGE_SETTINGS 4096 /* most in one set */
#define IMAGE_NAMES    65536
#define IMAGE_KEY_LEN  32 /* of protocol 3.2 */
#define IMAGE_MARK_LEN 32 /* hexadecimal digits */

/* Pairs of name and value, as they stand in the image. */
struct image_set {
    bool present;
    uint32_t n;
    struct slice rest;
};

struct image_statement {
    struct slice name, sql, types;
    bool doubtful;
};

/* Views into the bytes it was read from. */
struct image {
    uint64_t id, lsn, n_in, n_out;
    int64_t connected_us, idle_us;
    uint32_t n_requests, pid;
    uint16_t noticed;
    bool has_application, has_unnamed;
    struct slice user, database, application, secret, client_key, key;
    struct image_set startup, settings, told;
    struct image_set by_sql;   /* statements made by PREPARE: name and text */
    struct image_set channels; /* that it listens to, without values; and then */
    struct slice mark;
    struct image_statement unnamed;
    uint32_t n_names;
    struct slice names;
};

/* False with WHY: these bytes are no image of this version. */
bool image_read(struct slice bytes, struct image *im, struct fault *why);
/* The next member of what image_read() checked; false after the last. */
bool image_next_pair(struct image_set *set, struct slice *name, struct slice *value);
bool image_next_name(struct image *im, struct image_statement *st);

/* Writing: the fixed part with the sets' and names' counts comes from IM; image_write() calls back for members
 * in the order of the sets, names. */
void image_put_slice(struct text *t, struct slice s);
void image_put_statement(struct text *t, const struct image_statement *st);
/* All but names: IM's sets are views of pairs made with image_put_slice(). */
void image_write(struct text *t, const struct image *im);

#endif
