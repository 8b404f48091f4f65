/* SPDX-License-Identifier: ISC */
/* The sink of log lines: standard error, a file, syslog. One write for each line,
 * so that lines of several threads do not mix. The file-scope variables belong to the process as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#define SYSLOG_NAMES
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "log_private.h"

#define LINE_MAX 2200

static struct {
    _Atomic bool to_stderr, to_file, to_syslog;
    _Atomic int file; /* the same number from the first file on: another file is put behind it */
    _Atomic int facility;
    unsigned verbose; /* of the command line */
    char *ident;
} sinks = { .file = -1 };

static void
put_line(int fd, const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, line, len);

        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody to tell */
        line += n;
        len -= (size_t)n;
    }
}

static size_t
format(char out[LINE_MAX], enum log_level level, const char *line)
{
    int64_t now = clock_wall_us();
    time_t seconds = (time_t)(now / CLOCK_S);
    char when[32], zone[16];
    struct tm tm;
    int n;

    localtime_r(&seconds, &tm);
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    strftime(zone, sizeof(zone), "%Z", &tm);
    n = snprintf(out, LINE_MAX, "%s.%03d %s [%d] %s %s\n", when, (int)(now % CLOCK_S / CLOCK_MS), zone,
                 (int)getpid(), log_level_name(level), line);
    return n < 0 ? 0 : n < LINE_MAX ? (size_t)n : LINE_MAX - 1;
}

static void
sink(enum log_level level, const char *line)
{
    static const int priorities[] = { LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
    char out[LINE_MAX];
    size_t len = format(out, level, line);

    if (atomic_load(&sinks.to_stderr))
        put_line(STDERR_FILENO, out, len);
    if (atomic_load(&sinks.to_file))
        put_line(atomic_load(&sinks.file), out, len);
    if (atomic_load(&sinks.to_syslog))
        syslog(atomic_load(&sinks.facility) | priorities[level], "%s %s", log_level_name(level), line);
}

void
applog_start(bool stderr_too, unsigned verbose)
{
    atomic_store(&sinks.to_stderr, stderr_too);
    sinks.verbose = verbose;
    log_set_level(verbose > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    log_set_sink(sink);
}

void
applog_set_stderr(bool on)
{
    atomic_store(&sinks.to_stderr, on);
}

bool
applog_open(const struct conf_general *g, int *fd, struct fault *why)
{
    *fd = -1;
    if (g->logfile[0] == '\0')
        return true;
    *fd = open(g->logfile, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    return *fd != -1 || fault_errno(why, "cannot open the log file %s", g->logfile);
}

static int
facility_of(const char *name)
{
    for (const CODE *c = facilitynames; c->c_name != NULL; c++)
        if (strcmp(c->c_name, name) == 0)
            return c->c_val;
    return LOG_DAEMON;
}

static void
use_syslog(const struct conf_general *g)
{
    char *before = sinks.ident;

    atomic_store(&sinks.facility, facility_of(g->syslog_facility));
    if (g->syslog && (before == NULL || strcmp(before, g->syslog_ident) != 0)) {
        sinks.ident = mem_strdup(g->syslog_ident);
        openlog(sinks.ident, LOG_PID | LOG_NDELAY, LOG_DAEMON); /* keeps the pointer, under a lock of its own */
        mem_free(before);
    }
    atomic_store(&sinks.to_syslog, g->syslog);
}

void
applog_use(const struct conf_general *g, int fd)
{
    int file = atomic_load(&sinks.file);

    if (fd == -1) {
        atomic_store(&sinks.to_file, false);
    } else if (file == -1) {
        atomic_store(&sinks.file, fd);
        atomic_store(&sinks.to_file, true);
    } else {
        dup3(fd, file, O_CLOEXEC);
        close(fd);
        atomic_store(&sinks.to_file, true);
    }
    use_syslog(g);
    log_set_level(sinks.verbose > 0 || g->verbose > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
}

void
applog_end(void)
{
    log_set_sink(NULL);
    if (atomic_load(&sinks.file) != -1)
        close(atomic_load(&sinks.file));
    atomic_store(&sinks.file, -1);
    if (sinks.ident != NULL)
        closelog();
    mem_free(sinks.ident);
    sinks.ident = NULL;
}
