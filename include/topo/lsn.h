/* SPDX-License-Identifier: ISC */
/* Positions in the WAL as PostgreSQL writes them: 16/B374D848. Any thread. */
#ifndef TOPO_LSN_H
#define TOPO_LSN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* All of TEXT: one to eight hexadecimal digits, a slash, one to eight more. */
bool lsn_parse(struct slice text, uint64_t *out);
void lsn_print(uint64_t lsn, struct text *out);

/* An insert position that falls on the end of a page is reported past the header of the next one, where replay
 * stops before it (FACTS 8): such a position without the header. No record can end inside one. */
uint64_t lsn_without_header(uint64_t insert_lsn, uint64_t segment_size, uint64_t page_size);

#endif
