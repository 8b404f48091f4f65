/* SPDX-License-Identifier: ISC */
/* Where log lines go. Any thread may log; the rest is for the control thread. */
#ifndef APP_LOG_PRIVATE_H
#define APP_LOG_PRIVATE_H

#include "conf/conf.h"

/* From now on lines have PgBouncer's prefix. STDERR_TOO: unless -q or -d. */
void applog_start(bool stderr_too, unsigned verbose);
void applog_set_stderr(bool on);
/* Open the log file of G without using it: *FD is -1 when there is none. */
bool applog_open(const struct conf_general *g, int *fd, struct fault *why);
/* Use what applog_open() gave, and the other log options of G. */
void applog_use(const struct conf_general *g, int fd);
void applog_end(void);

#endif
