/* SPDX-License-Identifier: ISC */
/* The command line: PgBouncer's flags and ours. */
#include "options_private.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "app_private.h"

static const char help[] =
    "Usage: pgweir [OPTION]... FILE\n"
    "  -d, --daemon         run in the background (needs pidfile and logfile)\n"
    "  -q, --quiet          do not log to standard error\n"
    "  -v, --verbose        log more; may be repeated\n"
    "  -u, --user=USER      become USER after the sockets are open\n"
    "  -R, --reboot         take over sockets and clients from the process that runs, if one does\n"
    "      --check          check FILE and what it names, then exit\n"
    "      --connect        with --check: log in to the server of each database too\n"
    "      --dump-config    print the configuration as it was understood, then exit\n"
    "      --with-secrets   with --dump-config: passwords too\n"
    "  -V, --version        print the version, with FILE as its console has it, then exit\n"
    "  -h, --help           print this, then exit\n";

enum { LONG_CHECK = 256, LONG_CONNECT, LONG_SECRETS, LONG_DUMP };

static int
bad_usage(const char *what)
{
    if (what != NULL)
        fprintf(stderr, "pgweir: %s\n", what);
    fprintf(stderr, "Try \"pgweir --help\".\n");
    return EXIT_USAGE;
}

/* First what SHOW VERSION says, with FILE (NULL: none) or under the name by which this was called. */
static int
say_version(const char *file)
{
    bool compat = strcmp(program_invocation_short_name, "pgbouncer") == 0;
    struct conf *conf;
    struct fault why;

    if (file != NULL) {
        conf = conf_load(file, &why);
        if (conf == NULL)
            return bad_usage(why.message);
        compat = conf->general.compat == CONF_COMPAT_PGBOUNCER;
        conf_drop(conf);
    }
    if (compat)
        puts("PgBouncer " APP_POOLS_LIKE);
    puts("pgweir " APP_VERSION);
    return EXIT_ENDED;
}

static int
take(struct options *o, int c)
{
    switch (c) {
    case 'd':
        o->daemon = true;
        return -1;
    case 'q':
        o->quiet = true;
        return -1;
    case 'v':
        o->verbose++;
        return -1;
    case 'u':
        o->user = optarg;
        return -1;
    case LONG_CHECK:
        o->check = true;
        return -1;
    case LONG_CONNECT:
        o->connect = true;
        return -1;
    case LONG_DUMP:
        o->dump = true;
        return -1;
    case LONG_SECRETS:
        o->secrets = true;
        return -1;
    case 'R':
        o->reboot = true;
        return -1;
    case 'V':
        o->version = true;
        return -1;
    case 'h':
        fputs(help, stdout);
        return EXIT_ENDED;
    default:
        return bad_usage(NULL);
    }
}

int
options_read(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = { { "daemon", no_argument, NULL, 'd' },
                                           { "quiet", no_argument, NULL, 'q' },
                                           { "verbose", no_argument, NULL, 'v' },
                                           { "user", required_argument, NULL, 'u' },
                                           { "reboot", no_argument, NULL, 'R' },
                                           { "check", no_argument, NULL, LONG_CHECK },
                                           { "connect", no_argument, NULL, LONG_CONNECT },
                                           { "dump-config", no_argument, NULL, LONG_DUMP },
                                           { "with-secrets", no_argument, NULL, LONG_SECRETS },
                                           { "version", no_argument, NULL, 'V' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    int c, code;

    *o = (struct options){ 0 };
    while ((c = getopt_long(argc, argv, "dqvu:RVh", longs, NULL)) != -1)
        if ((code = take(o, c)) != -1)
            return code;
    if (o->version && optind >= argc - 1)
        return say_version(argv[optind]);
    if (optind != argc - 1)
        return bad_usage(optind == argc ? "which FILE?" : "one FILE only");
    if (o->secrets && !o->dump)
        return bad_usage("--with-secrets goes with --dump-config");
    if (o->connect && !o->check)
        return bad_usage("--connect goes with --check");
    o->file = argv[optind];
    return -1;
}
