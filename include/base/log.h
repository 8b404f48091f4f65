/* SPDX-License-Identifier: ISC */
/* One line per event that a person would act on. The sink is set once, by app,
 * before the first thread starts; without one, lines go to stderr. Any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_FATAL, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* LINE has no line feed and no control bytes. Called with no lock held; must be thread-safe. */
typedef void log_sink(enum log_level level, const char *line);

/* NULL goes back to stderr. */
void log_set_sink(log_sink *sink);
/* Lines above LEVEL are dropped before they are formatted. Default LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
const char *log_level_name(enum log_level level);
/* Bytes that could forge a line (control bytes, DEL) come out as "?". At most 2,000 bytes a line. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_fatal(...)   log_line(LOG_LEVEL_FATAL, __VA_ARGS__)
#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
