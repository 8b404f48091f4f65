/* SPDX-License-Identifier: ISC */
/* Maps of system users to database users: PostgreSQL's pg_ident.conf (manual, "User Name Maps"), with its
 * regular expressions, keywords and includes. Never changed after parsing; any thread. */
#include "base/mem.h"
#include "hba_private.h"

static void
line_done(struct ident_line *l)
{
    mem_free(l->map);
    mem_free(l->system);
    if (l->is_regex)
        regfree(&l->regex);
    hba_name_done(&l->user);
}

void
ident_done(struct ident *i)
{
    for (size_t k = 0; k < i->n; k++)
        line_done(&i->lines[k]);
    mem_free(i->lines);
    *i = (struct ident){ 0 };
}

static bool
has_reference(const struct ident_line *l)
{
    return l->user.kind == HBA_NAME_EXACT && strstr(l->user.text, "\\1") != NULL;
}

/* L is zeroed; its parts are for line_done(), also on failure. */
static bool
line_init(struct ident_line *l, const struct hba_line *line, struct fault *why)
{
    const struct hba_token *t = line->tokens;

    if (line->n_fields != 3 || line->n != 3)
        return fault_set(why, "F0000", "a line needs a map, a system user and a database user, one of each");
    l->map = mem_strdup(t[0].text);
    l->system = mem_strdup(t[1].text);
    if (t[1].text[0] == '/' && !hba_regex_compile(&l->regex, t[1].text + 1, why))
        return false;
    l->is_regex = t[1].text[0] == '/';
    if (!hba_name_init(&l->user, &t[2], true, why)) {
        l->user = (struct hba_name){ 0 };
        return false;
    }
    if (l->is_regex && has_reference(l) && l->regex.re_nsub < 1)
        return fault_set(why, "F0000", "\"%s\" has no parentheses for the \\1 in \"%s\"", t[1].text, t[2].text);
    return true;
}

static bool
add_line(void *owner, const struct hba_line *line, const struct hba_place *at, struct fault *why)
{
    struct ident *i = owner;
    struct ident_line l = { 0 };

    if (!line_init(&l, line, why)) {
        line_done(&l);
        return fault_prefix(why, "%s:%d", at->file, at->line);
    }
    if (i->n == i->cap) {
        i->cap = i->cap == 0 ? 8 : i->cap * 2;
        i->lines = mem_realloc(i->lines, i->cap * sizeof(*i->lines));
    }
    i->lines[i->n++] = l;
    return true;
}

bool
ident_parse(struct ident *out, struct slice text, const char *file, struct fault *why)
{
    unsigned files = 0;
    struct hba_place at = { .file = file, .files = &files };

    *out = (struct ident){ 0 };
    if (hba_is_text(text, &at, why) && hba_each_line(text, &at, add_line, out, why))
        return true;
    ident_done(out);
    return false;
}

bool
ident_has_map(const struct ident *i, const char *map)
{
    for (size_t k = 0; k < i->n; k++)
        if (strcmp(i->lines[k].map, map) == 0)
            return true;
    return false;
}

/* The database user of L with \1 replaced by what SYSTEM has there is USER? */
static bool
replaced_fits(const struct ident_line *l, const char *system, const regmatch_t *part, struct slice user)
{
    const char *at = strstr(l->user.text, "\\1");
    size_t before = (size_t)(at - l->user.text);
    struct slice middle =
        part->rm_so < 0 ? SLICE("") : slice_of(system + part->rm_so, (size_t)(part->rm_eo - part->rm_so));

    return slice_equal(slice_head(user, before), slice_of(l->user.text, before)) &&
           slice_equal(slice_head(slice_tail(user, before), middle.len), middle) &&
           slice_is(slice_tail(user, before + middle.len), at + 2);
}

static enum hba_fit
line_fits(const struct ident_line *l, const char *system, struct slice user, const char *roles)
{
    regmatch_t match[2];

    if (!l->is_regex)
        return strcmp(l->system, system) == 0 ? hba_name_fits(&l->user, user, roles) : HBA_NO;
    if (!hba_regex_fits(&l->regex, slice_str(system), match, 2))
        return HBA_NO;
    if (has_reference(l))
        return replaced_fits(l, system, &match[1], user) ? HBA_YES : HBA_NO;
    return hba_name_fits(&l->user, user, roles);
}

enum hba_fit
ident_fits(const struct ident *i, const char *map, const char *system, struct slice user, const char *roles)
{
    enum hba_fit fit = HBA_NO;

    for (size_t k = 0; fit == HBA_NO && k < i->n; k++)
        if (strcmp(i->lines[k].map, map) == 0)
            fit = line_fits(&i->lines[k], system, user, roles);
    return fit;
}
