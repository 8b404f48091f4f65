/* SPDX-License-Identifier: ISC */
/* The user list. All strings share one buffer; entries are offsets into it, and an
 * open-addressed table of entry numbers finds them: 3 allocations, whatever the number of
 * users, and one place to wipe. Never changed after secrets_parse(); any thread. */
#include "auth/secrets.h"

#include <assert.h>
#include <stdatomic.h>

#include "auth/md5.h"
#include "auth/scram.h"
#include "base/log.h"
#include "base/mem.h"
#include "file_private.h"

struct secrets_entry {
    uint32_t name, secret; /* offsets */
    uint16_t secret_len;
    uint8_t name_len;
};

struct secrets {
    _Atomic unsigned holds;
    uint8_t *strings;
    size_t strings_len, strings_cap;
    struct secrets_entry *entries;
    size_t n, cap;
    uint32_t *slots; /* entry number + 1, or 0 */
    size_t n_slots;  /* a power of two, more than twice n */
};

_Static_assert(SECRETS_MAX_SECRET <= UINT16_MAX && SECRETS_MAX_NAME <= UINT8_MAX, "lengths fit the entry");

static struct secrets *
secrets_new(size_t strings_cap)
{
    struct secrets *s = mem_new(struct secrets);

    atomic_init(&s->holds, 1);
    s->strings = mem_alloc(strings_cap + 1);
    s->strings_cap = strings_cap;
    s->n_slots = 16;
    s->slots = mem_zalloc(s->n_slots * sizeof(*s->slots));
    return s;
}

struct secrets *
secrets_empty(void)
{
    return secrets_new(0);
}

struct secrets *
secrets_hold(struct secrets *s)
{
    atomic_fetch_add_explicit(&s->holds, 1, memory_order_relaxed);
    return s;
}

void
secrets_drop(struct secrets *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->holds, 1, memory_order_acq_rel) != 1)
        return;
    mem_wipe(s->strings, s->strings_len);
    mem_free(s->strings);
    mem_free(s->entries);
    mem_free(s->slots);
    mem_free(s);
}

/* FNV-1a. The keys are the administrator's, so nobody else can make them collide. */
static uint32_t
name_hash(struct slice name)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ name.data[i]) * 16777619u;
    return h ^ h >> 15;
}

size_t
secrets_count(const struct secrets *s)
{
    return s->n;
}

size_t
secrets_bytes(const struct secrets *s)
{
    return sizeof(*s) + s->strings_cap + 1 + s->cap * sizeof(*s->entries) + s->n_slots * sizeof(*s->slots);
}

struct slice
secrets_name(const struct secrets *s, size_t i)
{
    assert(i < s->n);
    return slice_of(s->strings + s->entries[i].name, s->entries[i].name_len);
}

/* The slot of NAME, or the empty one where it belongs. */
static uint32_t *
slot_of(const struct secrets *s, struct slice name)
{
    size_t i = name_hash(name) & (s->n_slots - 1);

    while (s->slots[i] != 0 && !slice_equal(secrets_name(s, s->slots[i] - 1), name))
        i = (i + 1) & (s->n_slots - 1);
    return &s->slots[i];
}

struct slice
secrets_find(const struct secrets *s, struct slice user)
{
    uint32_t number = *slot_of(s, user);

    if (number == 0)
        return slice_of(NULL, 0);
    return slice_of(s->strings + s->entries[number - 1].secret, s->entries[number - 1].secret_len);
}

static void
grow(struct secrets *s)
{
    s->cap = s->cap == 0 ? 16 : s->cap * 2;
    s->entries = mem_realloc(s->entries, s->cap * sizeof(*s->entries));
    mem_free(s->slots);
    s->n_slots = s->cap * 4;
    s->slots = mem_zalloc(s->n_slots * sizeof(*s->slots));
    for (size_t i = 0; i < s->n; i++)
        *slot_of(s, secrets_name(s, i)) = (uint32_t)i + 1;
}

static struct secrets_entry *
entry_for(struct secrets *s, struct slice name)
{
    uint32_t *slot = slot_of(s, name);

    if (*slot != 0)
        return &s->entries[*slot - 1];
    if (s->n == s->cap) {
        grow(s);
        slot = slot_of(s, name);
    }
    *slot = (uint32_t)++s->n;
    return &s->entries[s->n - 1];
}

/* Reads a quoted string off REST into the buffer of S. False: no quote where it must begin or end. */
static bool
take_quoted(struct secrets *s, struct slice *rest, struct slice *value)
{
    uint8_t *start = s->strings + s->strings_len, *to = start;
    size_t i = 1;

    if (rest->len == 0 || rest->data[0] != '"')
        return false;
    for (; i < rest->len; i++) {
        if (rest->data[i] == '"' && (i + 1 == rest->len || rest->data[i + 1] != '"'))
            break;
        if (rest->data[i] == '"')
            i++;
        *to++ = rest->data[i];
    }
    if (i == rest->len)
        return false;
    *value = slice_of(start, (size_t)(to - start));
    *rest = slice_tail(*rest, i + 1);
    s->strings_len += value->len;
    return true;
}

enum secret_kind
secret_kind(struct slice secret)
{
    if (secret.len == 0)
        return SECRET_NONE;
    if (md5_is_secret(secret))
        return SECRET_MD5;
    return slice_is(slice_head(secret, 14), "SCRAM-SHA-256$") ? SECRET_SCRAM : SECRET_PLAIN;
}

static bool
check_line(struct slice name, struct slice secret, struct fault *why)
{
    struct scram_secret scram;
    bool good = true;

    if (name.len == 0)
        return fault_set(why, "F0000", "the user name is empty");
    if (name.len > SECRETS_MAX_NAME)
        return fault_set(why, "F0000", "the user name has %zu bytes, more than %d", name.len, SECRETS_MAX_NAME);
    if (secret.len > SECRETS_MAX_SECRET)
        return fault_set(why, "F0000", "the password has %zu bytes, more than %d", secret.len,
                         SECRETS_MAX_SECRET);
    if (secret_kind(secret) == SECRET_SCRAM) {
        good = scram_secret_parse(secret, &scram);
        mem_wipe(&scram, sizeof(scram));
    }
    return good || fault_set(why, "F0000", "the SCRAM secret is damaged");
}

/* "name" "secret", anything; or nothing; or a comment. */
static bool
add_line(struct secrets *s, struct slice line, struct fault *why)
{
    struct slice name, secret;
    struct secrets_entry *e;

    line = slice_trim(line);
    if (line.len == 0 || line.data[0] == ';')
        return true;
    if (memchr(line.data, 0, line.len) != NULL)
        return fault_set(why, "F0000", "the line contains a NUL byte");
    if (!take_quoted(s, &line, &name))
        return fault_set(why, "F0000", "the user name is not between double quotes");
    line = slice_trim(line);
    if (!take_quoted(s, &line, &secret))
        return fault_set(why, "F0000", "the password is not between double quotes");
    if (!check_line(name, secret, why))
        return false;
    e = entry_for(s, name);
    e->name = (uint32_t)(name.data - s->strings);
    e->name_len = (uint8_t)name.len;
    e->secret = (uint32_t)(secret.data - s->strings);
    e->secret_len = (uint16_t)secret.len;
    return true;
}

/* Take in all lines of TEXT. A bad one is the end of it, with its number and what is wrong in WHY; or, with
 * SKIP, an error in the log. */
static bool
add_lines(struct secrets *s, struct slice text, const char *file, bool skip, struct fault *why)
{
    for (unsigned number = 1; text.len > 0; number++) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);

        if (!add_line(s, slice_head(text, len), why)) {
            fault_prefix(why, "%s:%u", file, number);
            if (!skip)
                return false;
            log_error("broken auth file: %s", why->message);
        }
        text = slice_tail(text, len + 1);
    }
    return true;
}

struct secrets *
secrets_parse(struct slice text, const char *file, struct fault *why)
{
    struct secrets *s;

    if (text.len > FILE_LIMIT) {
        fault_set(why, "54000", "%s: larger than %u MB", file, FILE_LIMIT >> 20);
        return NULL;
    }
    s = secrets_new(text.len); /* unquoting only shortens */
    if (add_lines(s, text, file, false, why))
        return s;
    mem_wipe(s->strings, s->strings_cap);
    secrets_drop(s);
    return NULL;
}

struct secrets *
secrets_load(const char *file, struct fault *why)
{
    struct slice text;
    struct secrets *s;

    if (!file_read(file, &text, why))
        return NULL;
    s = secrets_parse(text, file, why);
    file_done(text);
    return s;
}

struct secrets *
secrets_salvage(const char *file)
{
    struct slice text;
    struct fault why;
    struct secrets *s;

    if (!file_read(file, &text, &why)) {
        log_error("auth_file: %s", why.message);
        return secrets_empty();
    }
    s = secrets_new(text.len);
    add_lines(s, text, file, true, &why);
    file_done(text);
    return s;
}
