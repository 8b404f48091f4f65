/* SPDX-License-Identifier: ISC */
/* Random bytes from the kernel, fit for keys (getrandom(2)). Any thread. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fill LEN bytes; aborts when the kernel cannot. */
void random_bytes(void *out, size_t len);
uint64_t random_u64(void);

#endif
