/* SPDX-License-Identifier: ISC */
/* Building messages at the end of a struct text. Any thread. */
#ifndef WIRE_WRITER_H
#define WIRE_WRITER_H

#include "base/text.h"

/* Start a message; TYPE 0 makes one without a type byte (start-up packets). Returns where it starts. */
size_t wire_begin(struct text *t, uint8_t type);
void wire_put_u8(struct text *t, uint8_t v);
void wire_put_u16(struct text *t, uint16_t v);
void wire_put_u32(struct text *t, uint32_t v);
void wire_put_bytes(struct text *t, struct slice s);
/* S and a NUL; S must hold no NUL. */
void wire_put_string(struct text *t, struct slice s);
/* Write the length of the message that started at START with TYPE. */
void wire_end(struct text *t, size_t start, uint8_t type);

/* Whole messages. */
void wire_put_simple(struct text *t, uint8_t type); /* no body */
void wire_put_message(struct text *t, uint8_t type, struct slice body);
void wire_put_query(struct text *t, struct slice sql);                          /* 'Q' */
void wire_put_complete(struct text *t, const char *tag);                        /* 'C' */
void wire_put_ready(struct text *t, char status);                               /* 'Z' */
void wire_put_parameter(struct text *t, struct slice name, struct slice value); /* 'S' */
void wire_put_auth(struct text *t, uint32_t code, struct slice rest);           /* 'R' */

#endif
