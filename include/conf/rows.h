/* SPDX-License-Identifier: ISC */
/* Lines of the sections that are lists: each has a name, where it stands, and its options. */
#ifndef CONF_ROWS_H
#define CONF_ROWS_H

#include "conf/option.h"

/* A line of [databases]. A number of -1, a text of "" and an enum of -1 mean "as in the general section"
 * (or in the cluster; for the route, auto). With a cluster, host is "" and port says nothing. */
struct conf_database {
    char *name; /* as clients say it; "*" is the fallback */
    char *file; /* where it was defined */
    int line;
#define OPTION(name, kind, ...) conf_type_##kind name;
#include "conf/database_options.def"
#undef OPTION
};

/* A line of [users]. The same rule for "not set". */
struct conf_user {
    char *name;
    char *file;
    int line;
#define OPTION(name, kind, ...) conf_type_##kind name;
#include "conf/user_options.def"
#undef OPTION
};

/* A line of [nodes]. */
struct conf_node {
    char *name;
    char *file;
    int line;
#define OPTION(name, kind, ...) conf_type_##kind name;
#include "conf/node_options.def"
#undef OPTION
};

/* A line of [clusters]. One that [nodes] names and [clusters] does not has the defaults. */
struct conf_cluster {
    char *name;
    char *file;
    int line;
#define OPTION(name, kind, ...) conf_type_##kind name;
#include "conf/cluster_options.def"
#undef OPTION
};

/* A line of [rules]: conditions, which must all hold, and what is wished then. The first rule that matches a
 * statement counts. */
struct conf_rule {
    char *name;
    char *file;
    int line;
#define OPTION(name, kind, ...) conf_type_##kind name;
#include "conf/rule_options.def"
#undef OPTION
};
#define CONF_MAX_RULES  256
/* regcomp()'s flags for a rule's regex. */
#define CONF_RULE_REGEX (REG_EXTENDED | REG_ICASE | REG_NOSUB)

/* A line of [peers]: another instance of pgweir (or PgBouncer) that clients reach by the same address. */
#define CONF_MAX_PEER 16383
struct conf_peer {
    char *name; /* its peer_id */
    char *file;
    int line;
#define OPTION(name, kind, ...) conf_type_##kind name;
#include "conf/peer_options.def"
#undef OPTION
};

#endif
