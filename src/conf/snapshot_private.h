/* SPDX-License-Identifier: ISC */
/* Making and taking apart the published snapshot. */
#ifndef CONF_SNAPSHOT_PRIVATE_H
#define CONF_SNAPSHOT_PRIVATE_H

#include "check_private.h"
#include "conf/conf.h"
#include "names_private.h"
#include "option_private.h"

struct conf_private {
    _Atomic unsigned holders;
    struct names names[N_CONF_SECTIONS]; /* of the lists */
    bool has_general;                    /* a file had the section */
    bool in_file[N_CONF_GENERAL];        /* the general options that were read, not left at their defaults */
};

/* An empty configuration with one holder; the general section is still zeroed. */
struct conf *snapshot_new(void);

/* The sections that are lists have a row for each line: a struct that starts with name, file and line. */
const struct conf_option *snapshot_options(enum conf_section section);
/* Gives its place in its list to the row at ROW, which is moved; one of the same name is replaced. */
size_t snapshot_put(struct conf *c, enum conf_section section, const void *row);
/* The place of the row called NAME, or NAMES_NONE. */
size_t snapshot_find(const struct conf *c, enum conf_section section, struct slice name);
/* Frees what a row owns. */
void snapshot_row_done(enum conf_section section, void *row);

#endif
