/* SPDX-License-Identifier: ISC */
/* Lines of an INI text, and what stands inside values. Pure; any thread. */
#ifndef CONF_SCAN_PRIVATE_H
#define CONF_SCAN_PRIVATE_H

#include <stdbool.h>

#include "base/fault.h"
#include "base/slice.h"
#include "base/text.h"

enum scan_answer { SCAN_END, SCAN_SECTION, SCAN_PAIR, SCAN_INCLUDE, SCAN_BAD };

/* Start with { .rest = the whole text }; end with text_done(&key). */
struct scan {
    struct slice rest;
    int line;
    struct text key;    /* SCAN_SECTION: its name; SCAN_PAIR: the key, unquoted */
    struct slice value; /* SCAN_PAIR: trimmed, as it stands; SCAN_INCLUDE: the path; points into the text */
};

/* The next line that says something. SCAN_BAD: WHY says what is wrong with line s->line. */
enum scan_answer scan_next(struct scan *s, struct fault *why);
/* The next key=value of a list like a connection string; REST moves on, VALUE is unquoted: any of QUOTES may
 * stand around it, doubled inside. SCAN_PAIR, SCAN_END or SCAN_BAD. */
enum scan_answer
scan_pair(struct slice *rest, const char *quotes, struct slice *key, struct text *value, struct fault *why);
/* A value that is one whole quoted string loses its quotes; any other is copied as it stands. */
void scan_unquote(struct slice in, struct text *out);
/* Replace ${NAME} by the environment; "$$" and a $ before anything but { stay. False: not set, or malformed. */
bool scan_expand(struct slice in, struct text *out, struct fault *why);

#endif
