/* SPDX-License-Identifier: ISC */
/* Files: reading them, and following %include. */
#include "source_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "scan_private.h"

#define MAX_DEPTH 16
#define MAX_FILES 1000

static const struct {
    const char *name;
    enum conf_section section;
} sections[] = {
    { "pgweir", CONF_GENERAL }, { "pgbouncer", CONF_GENERAL }, { "databases", CONF_DATABASES },
    { "users", CONF_USERS },    { "nodes", CONF_NODES },       { "clusters", CONF_CLUSTERS },
    { "rules", CONF_RULES },    { "peers", CONF_PEERS },
};

static bool
read_all(int fd, char *to, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = read(fd, to + done, len - done);

        if (n == 0)
            errno = ESTALE; /* it shrank under us */
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

char *
source_read(const char *path, size_t limit, size_t *len, struct fault *why)
{
    /* Not blocking: the name of a FIFO must not stop a reload. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    char *text = NULL;

    if (fd == -1 || fstat(fd, &st) == -1) {
        fault_errno(why, "cannot read %s", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uintmax_t)st.st_size > limit) {
        fault_set(why, "F0000", "cannot read %s: not a regular file of at most %zu bytes", path, limit);
        goto out;
    }
    *len = (size_t)st.st_size;
    text = mem_alloc(*len + 1);
    text[*len] = '\0';
    if (!read_all(fd, text, *len)) {
        fault_errno(why, "cannot read %s", path);
        mem_free(text);
        text = NULL;
    }
out:
    if (fd != -1)
        close(fd);
    return text;
}

static bool
on_section(struct conf_source *s, struct slice name, struct fault *why)
{
    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        if (!slice_is(name, sections[i].name))
            continue;
        s->now = sections[i].section;
        s->has_pgweir |= slice_is(name, "pgweir");
        s->has_pgbouncer |= slice_is(name, "pgbouncer");
        return !(s->has_pgweir && s->has_pgbouncer) ||
               fault_set(why, "F0000", "[pgweir] and [pgbouncer] cannot stand in one configuration");
    }
    return fault_set(why, "F0000",
                     "unknown section [%.*s]; there are [pgweir], [pgbouncer], [databases], [users], [nodes], "
                     "[clusters], [rules], [peers]",
                     name.len > 64 ? 64 : (int)name.len, (const char *)name.data);
}

static bool
on_pair(struct conf_source *s, const struct scan *at, const char *file, struct fault *why)
{
    if (s->now == CONF_NOWHERE)
        return fault_set(why, "F0000", "%s stands before the first [section]", text_str(&at->key));
    if (s->n_entries == s->cap_entries) {
        s->cap_entries = s->cap_entries == 0 ? 64 : s->cap_entries * 2;
        s->entries = mem_realloc(s->entries, s->cap_entries * sizeof(*s->entries));
    }
    s->entries[s->n_entries++] = (struct conf_entry){
        .section = s->now,
        .key = slice_dup(text_slice(&at->key)),
        .value = at->value,
        .file = file,
        .line = at->line,
    };
    return true;
}

static char *
expanded(struct slice path, struct fault *why)
{
    struct text whole = { 0 };

    if (scan_expand(path, &whole, why))
        return text_take(&whole);
    text_done(&whole);
    return NULL;
}

/* S takes over NAME and TEXT; NAME stays where it is while the list of files grows. */
static void
add_file(struct conf_source *s, char *name, char *text)
{
    s->files = mem_realloc(s->files, (s->n_files + 1) * sizeof(*s->files));
    s->files[s->n_files++] = (struct conf_file){ name, text };
}

static bool scan_text(struct conf_source *s, struct slice text, const char *file, int depth, struct fault *why);

/* False: WHY is about the %include line, or (with DONE) already names a line of the included file. */
static bool
on_include(struct conf_source *s, struct slice path, int depth, bool *done, struct fault *why)
{
    char *name, *text;
    size_t len;

    if (depth == MAX_DEPTH || s->n_files == MAX_FILES)
        return fault_set(why, "F0000",
                         "more than %d files deep or %d files in all: does a file include itself?", MAX_DEPTH,
                         MAX_FILES);
    name = expanded(path, why);
    if (name == NULL)
        return false;
    text = source_read(name, SOURCE_MAX_BYTES, &len, why);
    add_file(s, name, text);
    if (text == NULL)
        return false;
    *done = true;
    return scan_text(s, slice_of(text, len), name, depth + 1, why);
}

static bool
scan_text(struct conf_source *s, struct slice text, const char *file, int depth, struct fault *why)
{
    struct scan at = { .rest = text };
    enum scan_answer answer;
    bool ok = true, told = false;

    while (ok && (answer = scan_next(&at, why)) != SCAN_END) {
        if (answer == SCAN_SECTION)
            ok = on_section(s, text_slice(&at.key), why);
        else if (answer == SCAN_PAIR)
            ok = on_pair(s, &at, file, why);
        else if (answer == SCAN_INCLUDE)
            told = !(ok = on_include(s, at.value, depth, &told, why)) && told;
        else
            ok = false;
    }
    if (!ok && !told)
        fault_prefix(why, "%s:%d", file, at.line);
    text_done(&at.key);
    return ok;
}

bool
source_scan(struct conf_source *s, struct slice text, const char *file, struct fault *why)
{
    return scan_text(s, text, file, 0, why);
}

void
source_done(struct conf_source *s)
{
    for (size_t i = 0; i < s->n_entries; i++)
        mem_free(s->entries[i].key);
    for (size_t i = 0; i < s->n_files; i++) {
        mem_free(s->files[i].name);
        mem_free(s->files[i].text);
    }
    mem_free(s->entries);
    mem_free(s->files);
    *s = (struct conf_source){ 0 };
}
