/* SPDX-License-Identifier: ISC */
/* Lines of a file and of those it includes, in order. Any thread. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "file_private.h"
#include "hba_private.h"

struct reading {
    hba_line_taker *take;
    void *owner;
    struct fault *why;
};

static bool read_text(const struct reading *r, struct slice text, struct hba_place *at);

/* False with ENOENT: there is no such file. */
static bool
read_file(const struct reading *r, const char *name, const struct hba_place *at)
{
    struct hba_place inner;
    struct slice text;
    bool good;

    if (!hba_open(name, at, &inner, &text, r->why))
        return false;
    good = read_text(r, text, &inner);
    file_done(text);
    mem_free((char *)(uintptr_t)inner.file);
    errno = EINVAL;
    return good;
}

static int
is_conf(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return e->d_name[0] != '.' && len > 5 && strcmp(e->d_name + len - 5, ".conf") == 0;
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The .conf files of a folder in the order of their names, as in PostgreSQL. */
static bool
read_folder(const struct reading *r, const char *name, const struct hba_place *at)
{
    char *path = hba_path_of(name, at->file);
    struct dirent **entries;
    int n = scandir(path, &entries, is_conf, by_bytes);
    bool good = n >= 0;

    if (!good) {
        fault_errno(r->why, "cannot read the folder \"%s\"", path);
        fault_prefix(r->why, "%s:%d", at->file, at->line);
    }
    for (int i = 0; i < n; i++) {
        char *file = mem_printf("%s/%s", name, entries[i]->d_name);

        good = good && read_file(r, file, at);
        mem_free(file);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    mem_free(path);
    return good;
}

static bool
read_if_exists(const struct reading *r, const char *name, const struct hba_place *at)
{
    if (read_file(r, name, at))
        return true;
    if (errno != ENOENT)
        return false;
    if (r->why != NULL)
        memset(r->why, 0, sizeof(*r->why));
    return true;
}

static const struct {
    const char *word;
    bool (*read)(const struct reading *r, const char *name, const struct hba_place *at);
} includes[] = { { "include", read_file },
                 { "include_if_exists", read_if_exists },
                 { "include_dir", read_folder } };

static bool
take_line(const struct reading *r, const struct hba_line *line, const struct hba_place *at)
{
    size_t n = line->n > 0 && line->tokens[0].field == 0 ? sizeof(includes) / sizeof(includes[0]) : 0;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(line->tokens[0].text, includes[i].word) != 0)
            continue;
        if (line->n != 2 || line->n_fields != 2)
            return hba_bad(at, r->why, "%s needs one name", includes[i].word);
        return includes[i].read(r, line->tokens[1].text, at);
    }
    return r->take(r->owner, line, at, r->why);
}

static bool
read_line(const struct reading *r, struct slice text, const struct hba_place *at)
{
    struct hba_line line = { 0 };
    bool good = hba_split(text, at, &line, r->why);

    if (good && line.n_fields > 0)
        good = take_line(r, &line, at);
    hba_line_done(&line);
    return good;
}

static bool
read_text(const struct reading *r, struct slice text, struct hba_place *at)
{
    struct text line = { 0 };
    bool good = true;

    while (good && hba_take_line(&text, at, &line))
        good = read_line(r, text_slice(&line), at);
    text_done(&line);
    return good;
}

bool
hba_each_line(struct slice text, struct hba_place *at, hba_line_taker *take, void *owner, struct fault *why)
{
    const struct reading r = { take, owner, why };

    return read_text(&r, text, at);
}
