/* SPDX-License-Identifier: ISC */
/* What a file and the files it includes say, as a flat list in order. Belongs to one load. */
#ifndef CONF_SOURCE_PRIVATE_H
#define CONF_SOURCE_PRIVATE_H

#include "option_private.h"

#define SOURCE_MAX_BYTES ((size_t)64 << 20)

struct conf_entry {
    enum conf_section section;
    char *key;
    struct slice value; /* as it stands in the text */
    const char *file;   /* lives as long as the source */
    int line;
};

struct conf_file {
    char *name;
    char *text;
};

/* Starts zeroed. */
struct conf_source {
    struct conf_entry *entries;
    size_t n_entries, cap_entries;
    struct conf_file *files;
    size_t n_files;
    enum conf_section now; /* a section goes on in and after an include */
    bool has_pgweir, has_pgbouncer;
};

/* Read TEXT, which must outlive S. False: WHY has FILE:LINE. */
bool source_scan(struct conf_source *s, struct slice text, const char *file, struct fault *why);
void source_done(struct conf_source *s);
/* The whole of a regular file of at most LIMIT bytes, as a string to mem_free(); NULL when it cannot be read.
 */
char *source_read(const char *path, size_t limit, size_t *len, struct fault *why);

#endif
