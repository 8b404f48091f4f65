/* SPDX-License-Identifier: ISC */
/* The first packet of a connection. Every length comes from a stranger. */
#include "wire/startup.h"

#include "wire/writer.h"

#define CODE_CANCEL 80877102
#define CODE_SSL    80877103
#define CODE_GSS    80877104
#define PQ_OPTION   "_pq_."

static bool
is_pq_option(struct slice name)
{
    return slice_equal(slice_head(name, strlen(PQ_OPTION)), slice_str(PQ_OPTION));
}

static bool
take_param(struct startup *out, struct slice name, struct slice value, struct fault *why)
{
    if (slice_is(name, "user"))
        out->user = value;
    else if (slice_is(name, "database"))
        out->database = value;
    else if (slice_is(name, "options"))
        out->options = value;
    else if (slice_is(name, "replication"))
        out->replication = value;
    else if (is_pq_option(name))
        out->unknown_options = true;
    else if (out->n_params == STARTUP_MAX_PARAMS)
        return fault_set(why, "08P01", "too many start-up parameters");
    else
        out->params[out->n_params++] = (struct startup_param){ name, value };
    return true;
}

static enum wire_answer
read_login(struct wire_cursor *c, struct startup *out, struct fault *why)
{
    out->kind = STARTUP_LOGIN;
    out->words = slice_of(c->at, wire_left(c));
    for (;;) {
        struct slice name = wire_get_string(c), value;

        if (!c->bad && name.len == 0)
            break;
        value = wire_get_string(c);
        if (c->bad) {
            fault_set(why, "08P01", "invalid startup packet layout: expected terminator as last byte");
            return WIRE_BAD;
        }
        if (!take_param(out, name, value, why))
            return WIRE_BAD;
    }
    if (wire_left(c) != 0) {
        fault_set(why, "08P01", "invalid startup packet layout: expected terminator as last byte");
        return WIRE_BAD;
    }
    if (out->user.len == 0) {
        fault_set(why, "28000", "no PostgreSQL user name specified in startup packet");
        return WIRE_BAD;
    }
    if (out->database.len == 0)
        out->database = out->user;
    return WIRE_MESSAGE;
}

static enum wire_answer
read_cancel(struct wire_cursor *c, struct startup *out, struct fault *why)
{
    out->kind = STARTUP_CANCEL;
    out->pid = wire_get_u32(c);
    out->key = wire_get_bytes(c, wire_left(c));
    if (c->bad || out->key.len < 4 || out->key.len > STARTUP_MAX_KEY) {
        fault_set(why, "08P01", "invalid length of cancel request packet");
        return WIRE_BAD;
    }
    return WIRE_MESSAGE;
}

void
startup_put_cancel(struct text *t, uint32_t pid, struct slice key)
{
    size_t start = wire_begin(t, 0);

    wire_put_u32(t, CODE_CANCEL);
    wire_put_u32(t, pid);
    wire_put_bytes(t, key);
    wire_end(t, start, 0);
}

enum wire_answer
startup_read(struct slice bytes, struct startup *out, size_t *len, struct fault *why)
{
    struct wire_cursor c;
    uint32_t code;

    if (bytes.len < 4)
        return WIRE_MORE;
    *len = wire_u32(bytes.data);
    if (*len < 8 || *len > STARTUP_MAX_LEN) {
        fault_set(why, "08P01", "invalid length of startup packet");
        return WIRE_BAD;
    }
    if (bytes.len < 8)
        return WIRE_MORE;
    memset(out, 0, offsetof(struct startup, params));
    code = wire_u32(bytes.data + 4);
    out->minor = (uint16_t)code;
    if (code != CODE_CANCEL && code != CODE_SSL && code != CODE_GSS && code >> 16 != 3) {
        fault_set(why, "0A000", "unsupported frontend protocol %u.%u: server supports 3.0 to 3.2", code >> 16,
                  code & 0xffff);
        return WIRE_BAD;
    }
    if (bytes.len < *len)
        return WIRE_MORE;
    c = wire_cursor(slice_of(bytes.data + 8, *len - 8));
    if (code == CODE_CANCEL)
        return read_cancel(&c, out, why);
    if (code >> 16 == 3)
        return read_login(&c, out, why);
    out->kind = code == CODE_SSL ? STARTUP_SSL : STARTUP_GSS;
    if (*len != 8) {
        fault_set(why, "08P01", "invalid length of startup packet");
        return WIRE_BAD;
    }
    return WIRE_MESSAGE;
}

static bool
is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word, with backslash escapes undone, at the end of COPY. */
static struct slice
next_word(struct slice *rest, struct text *copy)
{
    size_t start = copy->len;

    while (rest->len > 0 && is_space(rest->data[0]))
        *rest = slice_tail(*rest, 1);
    while (rest->len > 0 && !is_space(rest->data[0])) {
        if (rest->data[0] == '\\')
            *rest = slice_tail(*rest, 1); /* PostgreSQL drops one at the very end too */
        text_add(copy, slice_head(*rest, 1));
        *rest = slice_tail(*rest, 1);
    }
    return slice_of(copy->data + start, copy->len - start);
}

static bool
one_setting(struct slice word, startup_on_setting *on_setting, void *owner, struct fault *why)
{
    const uint8_t *eq = word.len == 0 ? NULL : memchr(word.data, '=', word.len);
    char name[64];
    size_t n = eq == NULL ? 0 : (size_t)(eq - word.data);

    if (n == 0 || n >= sizeof(name))
        return fault_set(why, "42601", "options need the form -c name=value or --name=value");
    for (size_t i = 0; i < n; i++)
        name[i] = word.data[i] == '-' ? '_' : (char)word.data[i];
    on_setting(owner, slice_of(name, n), slice_tail(word, n + 1));
    return true;
}

bool
startup_options(struct slice options, struct text *copy, startup_on_setting *on_setting, void *owner,
                struct fault *why)
{
    text_clear(copy);
    text_room(copy, options.len + 1); /* words are views into it: it must not move */
    for (;;) {
        struct slice word = next_word(&options, copy);

        if (word.len == 0)
            return true;
        if (slice_is(word, "-c"))
            word = next_word(&options, copy);
        else if (slice_is(slice_head(word, 2), "-c") || slice_is(slice_head(word, 2), "--"))
            word = slice_tail(word, 2);
        else
            return fault_set(why, "42601", "invalid command-line argument for server process: %.*s",
                             (int)(word.len > 60 ? 60 : word.len), (const char *)word.data);
        if (!one_setting(word, on_setting, owner, why))
            return false;
    }
}

static void
put_unknown_options(struct text *t, struct slice packet, uint32_t *count)
{
    struct wire_cursor c = wire_cursor(slice_tail(packet, 8));

    for (struct slice name = wire_get_string(&c); !c.bad && name.len > 0; name = wire_get_string(&c)) {
        wire_get_string(&c);
        if (!is_pq_option(name))
            continue;
        wire_put_string(t, name);
        ++*count;
    }
}

void
startup_put_negotiate(struct text *t, uint16_t minor, struct slice packet)
{
    size_t start = wire_begin(t, 'v');
    uint32_t count = 0, n;

    wire_put_u32(t, 3u << 16 | minor);
    wire_put_u32(t, 0);
    put_unknown_options(t, packet, &count);
    n = htonl(count);
    memcpy(t->data + start + WIRE_HEADER + 4, &n, sizeof(n));
    wire_end(t, start, 'v');
}
