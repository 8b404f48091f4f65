/* SPDX-License-Identifier: ISC */
/* ErrorResponse and NoticeResponse. Any thread. */
#ifndef WIRE_ERROR_H
#define WIRE_ERROR_H

#include "base/fault.h"
#include "base/text.h"

enum wire_severity { WIRE_ERROR, WIRE_FATAL, WIRE_WARNING, WIRE_NOTICE };

/* Append WHY as ErrorResponse (ERROR, FATAL) or NoticeResponse (WARNING, NOTICE). */
void wire_put_fault(struct text *t, enum wire_severity severity, const struct fault *why);
/* Append a NOTICE of any length. */
void wire_put_notice(struct text *t, const char *message);

/* Fields of an error or notice body that pgweir looks at; views into BODY, empty when absent. */
struct wire_error {
    struct slice severity; /* the non-localised one (V), else S */
    struct slice sqlstate, message, detail, hint;
};
/* False when the body is not well formed; what was read is kept. */
bool wire_error_read(struct slice body, struct wire_error *out);
/* The same as a fault: cut to its size. */
void wire_error_fault(const struct wire_error *e, struct fault *why);

#endif
