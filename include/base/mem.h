/* SPDX-License-Identifier: ISC */
/* Memory that cannot fail: an allocation that the system refuses aborts.
 * For sizes that a peer chooses, check a limit first. Any thread. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Zeroed memory for one TYPE. Free with mem_free(). */
#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))

/* LEN bytes, not zeroed; LEN may be 0. */
void *mem_alloc(size_t len) __attribute__((malloc, returns_nonnull));
/* LEN zeroed bytes. */
void *mem_zalloc(size_t len) __attribute__((malloc, returns_nonnull));
/* As realloc(3), but LEN 0 keeps a valid pointer. */
void *mem_realloc(void *p, size_t len) __attribute__((returns_nonnull));
/* A copy of LEN bytes at P, with one NUL byte after them. */
void *mem_dup(const void *p, size_t len) __attribute__((malloc, returns_nonnull));
/* A copy of a C string; NULL gives NULL. */
char *mem_strdup(const char *s);
/* A new string from a printf format. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
/* P may be NULL. */
void mem_free(void *p);
/* Overwrite LEN bytes in a way that the compiler keeps; for secrets. */
void mem_wipe(void *p, size_t len);

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
