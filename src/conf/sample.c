/* SPDX-License-Identifier: ISC */
/* What people read about options, made from the rows: etc/pgweir.ini and the manual. */
#include "conf/conf.h"

/* A heading before the option that starts each matter, in the order of the rows. */
static const struct {
    const char *first, *title;
} groups[] = {
    { "listen_addr", "Where clients connect" },
    { "workers", "The process" },
    { "logfile", "The log" },
    { "pool_mode", "Pools" },
    { "max_client_conn", "Limits" },
    { "server_connect_timeout", "Servers" },
    { "query_timeout", "Timeouts" },
    { "max_prepared_statements", "Statements and session state" },
    { "auth_type", "Who may log in" },
    { "client_tls_sslmode", "TLS towards clients" },
    { "server_tls_sslmode", "TLS towards servers" },
    { "tcp_keepalive", "TCP" },
    { "compat", "PgBouncer" },
};

static const char head[] =
    "; Sample configuration of pgweir, made from its tables of options: each line shows a default.\n"
    "; A line that starts with ; or # is a comment. Of repeated keys the last one counts, repeated\n"
    "; sections go on. %include FILE reads another file; paths start at the working folder.\n"
    "; ${NAME} in a value is that variable of the environment. Times take us, ms, s, min, h or d\n"
    "; (10, 0.5, 200ms), sizes kB, MB or GB. A file with [pgbouncer] in place of [pgweir] gets\n"
    "; PgBouncer's defaults, keys and texts.\n";

static const char databases[] =
    "\n[databases]\n"
    "; name = key=value ..., for each database that clients may ask for; * is the fallback. A name\n"
    "; with other characters than A-Z a-z 0-9 _ . - needs double quotes, a value with spaces\n"
    "; single quotes. Several hosts make a cluster called as the database, of nodes NAME-1, NAME-2 ...\n"
    ";app     = host=10.0.0.1\n"
    ";orders  = host=10.0.0.1,10.0.0.2,10.0.0.3\n"
    ";stock   = cluster=main consistency=eventual\n"
    ";reports = host=10.0.0.1 dbname=app pool_size=5 pool_mode=session\n"
    ";legacy  = host=10.0.0.9 port=5433 user=app password_file=/etc/pgweir/legacy.secret\n"
    ";*       = host=10.0.0.1\n"
    "; The keys:\n";

static const char users[] = "\n[users]\n"
                            "; name = key=value ..., for users with limits of their own.\n"
                            ";batch = pool_size=2 query_timeout=1h\n"
                            "; The keys:\n";

static const char nodes[] =
    "\n[nodes]\n"
    "; name = key=value ..., for each PostgreSQL server of a cluster. Which of them is the primary is\n"
    "; found out, and watched.\n"
    ";pg1 = cluster=main host=10.0.0.1 zone=a\n"
    ";pg2 = cluster=main host=10.0.0.2 zone=b weight=2\n"
    "; The keys:\n";

static const char clusters[] =
    "\n[clusters]\n"
    "; name = key=value ..., for clusters that need other values than these; no line is needed otherwise.\n"
    ";main   = zone=a max_lag=5 monitor_user=pgweir_monitor\n"
    ";orders = balance=latency\n"
    "; The keys:\n";

static const char rules[] =
    "\n[rules]\n"
    "; name = key=value ..., for statements with a route of their own, in databases that are clusters. All\n"
    "; conditions of a line must hold, and the first line that matches counts. What it wishes overrules\n"
    "; the line of the database; SET pgweir.route and the like, and hints, overrule it. Values with spaces\n"
    "; stand in single or double quotes. A table is found by the names in the statement: list its views too.\n"
    ";fresh   = table=accounts route=primary\n"
    ";scores  = regex=\"^select .* from scores\" route=replica max_lag=5s\n"
    ";reports = user=reporting route=prefer-replica max_lag=60s consistency=eventual\n"
    ";batch   = application_name=nightly database=stock node=pg2\n"
    "; The keys:\n";

static const char peers[] =
    "\n[peers]\n"
    "; ID = key=value ..., for each instance that clients reach by the same address (so_reuseport, a load\n"
    "; balancer), with its peer_id. A cancel request that comes to the wrong one is passed on.\n"
    ";1 = host=10.0.0.1\n"
    ";2 = host=/run/pgweir2\n"
    "; The keys:\n";

static const char *
title_of(const struct conf_option *o)
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
        if (strcmp(groups[i].first, o->name) == 0)
            return groups[i].title;
    return NULL;
}

static void
sample_general(const struct conf_option *o, struct text *out)
{
    const char *title = title_of(o);

    if (title != NULL)
        text_printf(out, "\n;;; %s\n", title);
    text_printf(out, "\n; %s\n", o->help);
    if (o->when == CONF_RESTART)
        text_add_str(out, "; (read at start only)\n");
    text_printf(out, ";%s =%s%s\n", o->name, o->initial[0] == '\0' ? "" : " ", o->initial);
}

/* "-1" is how a row says: not set. */
static void
sample_list(const struct conf_option *o, struct text *out)
{
    for (; o->name != NULL; o++) {
        const char *initial = strcmp(o->initial, "-1") == 0 ? "" : o->initial;

        text_printf(out, ";   %s=%-*s %s\n", o->name, 28 - (int)strlen(o->name), initial, o->help);
    }
}

void
conf_sample(struct text *out)
{
    text_add_str(out, head);
    text_add_str(out, "\n[pgweir]\n");
    for (const struct conf_option *o = conf_general_options(); o->name != NULL; o++)
        sample_general(o, out);
    text_add_str(out, databases);
    sample_list(conf_database_options(), out);
    text_add_str(out, users);
    sample_list(conf_user_options(), out);
    text_add_str(out, nodes);
    sample_list(conf_node_options(), out);
    text_add_str(out, clusters);
    sample_list(conf_cluster_options(), out);
    text_add_str(out, rules);
    sample_list(conf_rule_options(), out);
    text_add_str(out, peers);
    sample_list(conf_peer_options(), out);
}

/* TEXT as the argument of an mdoc macro: quoted, backslashes doubled. */
static void
add_argument(struct text *out, const char *text)
{
    text_add_char(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            text_add_str(out, "\"\"");
        else if (*text == '\\')
            text_add_str(out, "\\e");
        else
            text_add_char(out, *text);
    }
    text_add_char(out, '"');
}

static void
add_default(struct text *out, const char *words, const char *value)
{
    if (value == NULL || value[0] == '\0' || strcmp(value, "-1") == 0)
        return;
    text_printf(out, "%s\n.Ql ", words);
    add_argument(out, value);
    text_add_str(out, " .\n");
}

static void
manual_of(const struct conf_option *o, struct text *out)
{
    text_add_str(out, ".Bl -tag -width Ds\n");
    for (; o->name != NULL; o++) {
        text_printf(out, ".It Ic %s\n.No ", o->name);
        add_argument(out, o->help);
        text_add_str(out, " .\n");
        add_default(out, "Default:", o->initial);
        add_default(out, "In a [pgbouncer] file:", o->compat_initial);
        if (o->when == CONF_RESTART)
            text_add_str(out, "Read at start only.\n");
    }
    text_add_str(out, ".El\n");
}

void
conf_manual(struct text *out)
{
    text_add_str(out, ".Ss General options\n");
    manual_of(conf_general_options(), out);
    text_add_str(out, ".Ss Options of a database\n");
    manual_of(conf_database_options(), out);
    text_add_str(out, ".Ss Options of a user\n");
    manual_of(conf_user_options(), out);
    text_add_str(out, ".Ss Options of a node\n");
    manual_of(conf_node_options(), out);
    text_add_str(out, ".Ss Options of a cluster\n");
    manual_of(conf_cluster_options(), out);
    text_add_str(out, ".Ss Options of a rule\n");
    manual_of(conf_rule_options(), out);
    text_add_str(out, ".Ss Options of a peer\n");
    manual_of(conf_peer_options(), out);
}
