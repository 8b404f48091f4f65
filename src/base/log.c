/* SPDX-License-Identifier: ISC */
/* Log lines: formatted here, written by the sink. The two file-scope variables
 * are set by app and read by every thread, hence atomic. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define LOG_LINE_MAX 2000

static _Atomic(log_sink *) sink_now;
static _Atomic int level_now = LOG_LEVEL_INFO;

void
log_set_sink(log_sink *sink)
{
    atomic_store(&sink_now, sink);
}

void
log_set_level(enum log_level level)
{
    atomic_store(&level_now, (int)level);
}

const char *
log_level_name(enum log_level level)
{
    static const char *const names[] = { "FATAL", "ERROR", "WARNING", "LOG", "DEBUG" };

    return names[level];
}

static void
to_stderr(enum log_level level, const char *line)
{
    fprintf(stderr, "%s %s\n", log_level_name(level), line);
}

void
log_line(enum log_level level, const char *fmt, ...)
{
    char line[LOG_LINE_MAX];
    log_sink *sink = atomic_load_explicit(&sink_now, memory_order_acquire);
    va_list ap;

    if ((int)level > atomic_load_explicit(&level_now, memory_order_relaxed))
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    (sink != NULL ? sink : to_stderr)(level, line);
}
