/* SPDX-License-Identifier: ISC */
/* What can be done with the rows of a section as a whole. Any thread. */
#ifndef CONF_OPTION_PRIVATE_H
#define CONF_OPTION_PRIVATE_H

#include "conf/option.h"

enum conf_section {
    CONF_NOWHERE,
    CONF_GENERAL,
    CONF_DATABASES,
    CONF_USERS,
    CONF_NODES,
    CONF_CLUSTERS,
    CONF_RULES,
    CONF_PEERS,
    N_CONF_SECTIONS
};

/* The row called NAME, or NULL. Takes PgBouncer's other spellings too. */
const struct conf_option *conf_option_find(const struct conf_option *rows, struct slice name);
/* The name in ROWS that NAME may have been meant to be, or NULL. */
const char *conf_option_nearest(const struct conf_option *rows, struct slice name);
/* Keys of PgBouncer that pgweir has no use for. */
const struct conf_option *conf_kept_options(void);
/* The row of KEY among the general options and, with KEPT, those; or NULL. */
const struct conf_option *conf_general_find(struct slice key, bool kept);

/* Give every field of the zeroed SECTION its default. */
void conf_section_init(const struct conf_option *rows, void *section, bool compat);
/* SECTION is a bitwise copy of another: give it texts of its own. */
void conf_section_unshare(const struct conf_option *rows, void *section);
/* Free the texts. */
void conf_section_done(const struct conf_option *rows, void *section);
/* Parse VALUE into the field of row O. */
bool conf_section_set(const struct conf_option *o, void *section, struct slice value, struct fault *why);

#endif
