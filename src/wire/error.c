/* SPDX-License-Identifier: ISC */
/* ErrorResponse and NoticeResponse (manual, "Error and Notice Message Fields"). */
#include "wire/error.h"

#include "wire/message.h"
#include "wire/writer.h"

static void
put_field(struct text *t, char code, const char *value)
{
    if (*value == '\0')
        return;
    wire_put_u8(t, (uint8_t)code);
    wire_put_string(t, slice_str(value));
}

void
wire_put_fault(struct text *t, enum wire_severity severity, const struct fault *why)
{
    static const char *const names[] = { "ERROR", "FATAL", "WARNING", "NOTICE" };
    uint8_t type = severity <= WIRE_FATAL ? 'E' : 'N';
    size_t start = wire_begin(t, type);

    put_field(t, 'S', names[severity]);
    put_field(t, 'V', names[severity]);
    put_field(t, 'C', why->sqlstate);
    put_field(t, 'M', why->message);
    put_field(t, 'D', why->detail);
    put_field(t, 'H', why->hint);
    wire_put_u8(t, 0);
    wire_end(t, start, type);
}

void
wire_put_notice(struct text *t, const char *message)
{
    size_t start = wire_begin(t, 'N');

    put_field(t, 'S', "NOTICE");
    put_field(t, 'V', "NOTICE");
    put_field(t, 'C', "00000");
    put_field(t, 'M', message);
    wire_put_u8(t, 0);
    wire_end(t, start, 'N');
}

static struct slice *
field_of(struct wire_error *e, uint8_t code)
{
    switch (code) {
    case 'V':
        return &e->severity;
    case 'C':
        return &e->sqlstate;
    case 'M':
        return &e->message;
    case 'D':
        return &e->detail;
    case 'H':
        return &e->hint;
    default:
        return NULL;
    }
}

bool
wire_error_read(struct slice body, struct wire_error *out)
{
    struct wire_cursor c = wire_cursor(body);

    memset(out, 0, sizeof(*out));
    for (uint8_t code = wire_get_u8(&c); code != 0; code = wire_get_u8(&c)) {
        struct slice value = wire_get_string(&c);
        struct slice *field = field_of(out, code);

        if (c.bad)
            break;
        if (field != NULL)
            *field = value;
        else if (code == 'S' && out->severity.len == 0)
            out->severity = value;
    }
    return !c.bad;
}

void
wire_error_fault(const struct wire_error *e, struct fault *why)
{
    char state[6] = "XX000";

    if (e->sqlstate.len == 5)
        memcpy(state, e->sqlstate.data, 5);
    fault_set(why, state, "%.*s", (int)(e->message.len > 200 ? 200 : e->message.len),
              e->message.len > 0 ? (const char *)e->message.data : "");
    if (e->detail.len > 0)
        fault_detail(why, "%.*s", (int)(e->detail.len > 380 ? 380 : e->detail.len),
                     (const char *)e->detail.data);
    if (e->hint.len > 0)
        fault_hint(why, "%.*s", (int)(e->hint.len > 150 ? 150 : e->hint.len), (const char *)e->hint.data);
}
