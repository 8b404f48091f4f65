/* SPDX-License-Identifier: ISC */
/* The command line. */
#ifndef APP_OPTIONS_PRIVATE_H
#define APP_OPTIONS_PRIVATE_H

#include <stdbool.h>

struct options {
    const char *file, *user;
    unsigned verbose;
    bool daemon, quiet, reboot, check, connect, dump, secrets, version;
};

/* -1: go on. Otherwise the exit code: everything was said. */
int options_read(struct options *o, int argc, char **argv);

#endif
