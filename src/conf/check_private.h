/* SPDX-License-Identifier: ISC */
/* What no single option can say about itself. Pure; any thread. */
#ifndef CONF_CHECK_PRIVATE_H
#define CONF_CHECK_PRIVATE_H

#include "conf/conf.h"

enum conf_general_id {
#define OPTION(name, ...) CONF_ID_##name,
#include "conf/general_options.def"
#undef OPTION
    N_CONF_GENERAL
};

/* Where an option of the general section was set; a NULL file where it was not. */
struct conf_where {
    const char *file;
    int line;
};

/* WHERE has N_CONF_GENERAL entries in the order of the rows. False: WHY, with FILE:LINE where it is known. */
bool conf_check(const struct conf *c, const struct conf_where *where, struct fault *why);

/* Parts of it. False: WHY has FILE:LINE. */
bool conf_check_nodes(const struct conf *c, struct fault *why);
bool conf_check_clusters(const struct conf *c, struct fault *why);
bool conf_check_rules(const struct conf *c, struct fault *why);
/* What D says of its cluster. False: WHY, without the line. */
bool conf_check_cluster_of(const struct conf *c, const struct conf_database *d, struct fault *why);

#endif
