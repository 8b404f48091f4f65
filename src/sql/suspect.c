/* SPDX-License-Identifier: ISC */
/* Words of statements that leave state in a session, found without any grammar. Pure; any thread. */
#include "suspect_private.h"

#include <string.h>

#include "lexer_private.h"

static const char *const anywhere[] = { "temp",     "temporary", "pg_temp",    "hold",    "set_config",
                                        "prepare",  "discard",   "currval",    "lastval", "set_limit",
                                        "unlisten", "listen",    "pg_settings" };
/* They begin a statement, or are nothing of interest (UPDATE ... SET). */
static const char *const leading[] = { "set", "reset", "load", "close", "drop" };
/* What stands before a statement in a body. */
static const char *const openers[] = { "begin", "then", "else", "loop", "do" };
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool
is_among(struct slice word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_is_nocase(word, list[i]))
            return true;
    return false;
}

static bool
is_lock(struct slice word)
{
    struct slice head = slice_head(word, strlen("pg_advisory_"));

    return slice_is_nocase(head, "pg_advisory_") || slice_is_nocase(slice_head(word, 15), "pg_try_advisory") ||
           slice_is_nocase(slice_head(word, 8), "pg_temp_");
}

bool
suspect_words(struct slice sql)
{
    bool begins = true; /* a statement may begin here */

    for (size_t i = 0, start; i < sql.len; i++) {
        uint8_t kind = lexer_bytes[sql.data[i]];
        struct slice word;

        if ((kind & BYTE_SPACE) != 0)
            continue;
        if ((kind & BYTE_WORD_START) == 0) {
            begins = strchr(";'$\"(*/", sql.data[i]) != NULL && sql.data[i] != '\0';
            continue;
        }
        for (start = i; i + 1 < sql.len && (lexer_bytes[sql.data[i + 1]] & BYTE_WORD) != 0;)
            i++;
        word = slice_of(sql.data + start, i + 1 - start);
        if (is_among(word, anywhere, COUNT(anywhere)) || is_lock(word) ||
            (begins && is_among(word, leading, COUNT(leading))))
            return true;
        begins = is_among(word, openers, COUNT(openers));
    }
    return false;
}
