/* SPDX-License-Identifier: ISC */
/* The /regular expressions of pg_hba.conf, from PostgreSQL's dialect to POSIX. What both read alike passes, \d
 * and the lazy "*?" are translated, the rest is refused: a reject rule that never fits is worse than an error.
 * regcomp() unrolls repetitions and duplicates what stands before each "+", so sizes are watched too. Any
 * thread. */
#include "base/text.h"
#include "hba_private.h"

#define MAX_EXPRESSION 1000  /* bytes */
#define MAX_DEPTH      20    /* of groups */
#define MAX_SIZE       10000 /* characters after unrolling */
#define MAX_BOUND      255   /* PostgreSQL's */

struct translation {
    const char *p;
    struct text posix;
    bool may_repeat;          /* something that a quantifier can follow was just read */
    unsigned atom;            /* size of that */
    unsigned size[MAX_DEPTH]; /* of what stands before it, per open group */
    unsigned depth;
};

/* Begins an atom of size 1. */
static void
new_atom(struct translation *t, bool may_repeat)
{
    t->size[t->depth] += t->atom;
    t->atom = 1;
    t->may_repeat = may_repeat;
}

/* The atom just read is repeated TIMES times. */
static bool
repeat(struct translation *t, unsigned times)
{
    if (!t->may_repeat)
        return false;
    t->may_repeat = false;
    t->atom *= times;
    return t->atom <= MAX_SIZE;
}

static bool
translate_escape(struct translation *t)
{
    char c = *++t->p;

    new_atom(t, true);
    if (c == 'd' || c == 'D') {
        text_add_str(&t->posix, c == 'd' ? "[0-9]" : "[^0-9]");
        return true;
    }
    if (c == '\0' || (c >= '0' && c <= '9'))
        return false;
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z' && strchr("sSwW", c) == NULL)
        return false;
    if (strchr("<>`'", c) == NULL) /* those are plain in PostgreSQL and not in POSIX */
        text_add_char(&t->posix, '\\');
    text_add_char(&t->posix, c);
    return true;
}

/* The end of the bracket expression at P, which may hold [:classes:]; NULL when it does not end or has a
 * backslash. */
static const char *
bracket_end(const char *p)
{
    p += p[1] == '^' ? 2 : 1;
    if (*p == ']')
        p++;
    for (; *p != ']'; p++) {
        if (*p == '\0' || *p == '\\')
            return NULL;
        if (*p == '[' && (p[1] == ':' || p[1] == '.' || p[1] == '=')) {
            char end[3] = { p[1], ']', '\0' };

            p = strstr(p + 2, end);
            if (p == NULL)
                return NULL;
            p++;
        }
    }
    return p;
}

static bool
translate_bracket(struct translation *t)
{
    const char *end = bracket_end(t->p);

    if (end == NULL)
        return false;
    new_atom(t, true);
    text_add(&t->posix, slice_of(t->p, (size_t)(end - t->p) + 1));
    t->p = end;
    return true;
}

/* {m}, {m,} or {m,n} */
static bool
translate_bound(struct translation *t)
{
    const char *p = t->p + 1;
    unsigned bound = 0, times = 1;

    if (*p < '0' || *p > '9')
        return false;
    for (; *p != '}'; p++) {
        if (*p == ',')
            bound = 0;
        else if (*p >= '0' && *p <= '9')
            bound = bound * 10 + (unsigned)(*p - '0');
        else
            return false;
        if (bound > MAX_BOUND)
            return false;
        times = bound > times ? bound : times;
    }
    text_add(&t->posix, slice_of(t->p, (size_t)(p - t->p) + 1));
    t->p = p;
    return repeat(t, times + 1);
}

static bool
translate_quantifier(struct translation *t)
{
    bool good;

    if (*t->p == '{') {
        good = translate_bound(t);
    } else {
        text_add_char(&t->posix, *t->p);
        good = repeat(t, *t->p == '+' ? 2 : 1);
    }
    if (t->p[1] == '?') /* as few as possible: fits all the same */
        t->p++;
    return good;
}

static bool
translate_group(struct translation *t)
{
    text_add_char(&t->posix, *t->p);
    if (*t->p == '(') {
        new_atom(t, false);
        if (t->p[1] == '?' || ++t->depth == MAX_DEPTH)
            return false;
        t->size[t->depth] = t->atom = 0;
        return true;
    }
    if (t->depth == 0)
        return false;
    t->atom += t->size[t->depth--] + 1;
    t->may_repeat = true;
    return t->atom <= MAX_SIZE;
}

static bool
translate_one(struct translation *t)
{
    switch (*t->p) {
    case '\\':
        return translate_escape(t);
    case '[':
        return translate_bracket(t);
    case '(':
    case ')':
        return translate_group(t);
    case '*':
    case '+':
    case '?':
    case '{':
        return translate_quantifier(t);
    default:
        new_atom(t, strchr("^$|", *t->p) == NULL);
        text_add_char(&t->posix, *t->p);
        return true;
    }
}

static bool
translate(struct translation *t)
{
    if (strlen(t->p) > MAX_EXPRESSION)
        return false;
    for (; *t->p != '\0'; t->p++)
        if (!translate_one(t))
            return false;
    return t->depth == 0 && t->size[0] + t->atom <= MAX_SIZE;
}

bool
hba_regex_compile(regex_t *out, const char *expression, struct fault *why)
{
    struct translation t = { .p = expression };
    char reason[100] = "a part of it is not supported";
    int error = -1;

    if (translate(&t)) {
        error = regcomp(out, text_str(&t.posix), REG_EXTENDED);
        if (error != 0)
            regerror(error, out, reason, sizeof(reason));
    }
    text_done(&t.posix);
    return error == 0 || fault_set(why, "F0000", "bad regular expression \"%s\": %s", expression, reason);
}

bool
hba_regex_fits(const regex_t *regex, struct slice s, regmatch_t *match, size_t n)
{
    match[0] = (regmatch_t){ .rm_so = 0, .rm_eo = (regoff_t)s.len };
    return regexec(regex, s.data == NULL ? "" : (const char *)s.data, n, match, REG_STARTEND) == 0;
}
