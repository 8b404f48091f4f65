/* SPDX-License-Identifier: ISC */
/* A guess for texts that the parser does not see: whether they have a word that leaves state in a session. */
#ifndef SQL_SUSPECT_PRIVATE_H
#define SQL_SUSPECT_PRIVATE_H

#include <stdbool.h>

#include "base/slice.h"

/* Words count wherever they stand, in comments and strings too: SQL may be made of strings. */
bool suspect_words(struct slice sql);

#endif
