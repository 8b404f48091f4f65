/* SPDX-License-Identifier: ISC */
/* Why something failed: filled once, where the cause is known, and passed up
 * unchanged. Owned by the caller, usually on its stack. Any thread. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

struct fault {
    char sqlstate[6];  /* PostgreSQL manual, appendix A; "" when there is no fault */
    char message[240]; /* one sentence, no line feed */
    char detail[400];  /* facts, may be "" */
    char hint[160];    /* the one thing to do, may be "" */
};

/* Fill WHY; detail and hint become empty. Always returns false. WHY may be NULL. */
bool
fault_set(struct fault *why, const char *sqlstate, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with ": " and the text of errno after the message; SQLSTATE 58030. Keeps errno. */
bool fault_errno(struct fault *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Add facts to a fault that is set. Always returns false. */
bool fault_detail(struct fault *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Add the one thing to do. Always returns false. */
bool fault_hint(struct fault *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Put "PREFIX: " before the message, for instance a file and line. Always returns false. */
bool fault_prefix(struct fault *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
