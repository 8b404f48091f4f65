/* SPDX-License-Identifier: ISC */
/* What the halls want to hear from one herald. Pure. */
#include <uthash.h>

#include "base/mem.h"
#include "listen_private.h"

static struct topic *
find(const struct topics *t, const char *name)
{
    struct topic *topic;

    HASH_FIND_STR(t->by_name, name, topic);
    return topic;
}

static struct topic *
add(struct topics *t, const char *name)
{
    size_t len = strlen(name);
    struct topic *topic = mem_alloc(sizeof(*topic) + len + 1);

    memset(topic, 0, sizeof(*topic));
    memcpy(topic->name, name, len + 1);
    HASH_ADD_KEYPTR(hh, t->by_name, topic->name, len, topic);
    t->n++;
    return topic;
}

static bool
is_wanted(const struct topic *topic)
{
    uint64_t any = 0;

    for (size_t i = 0; i < MOST_HALLS / 64; i++)
        any |= topic->halls[i];
    return any != 0;
}

void
topics_want(struct topics *t, const char *name, uint32_t hall)
{
    struct topic *topic = find(t, name);
    uint64_t bit = UINT64_C(1) << hall % 64;

    if (topic == NULL)
        topic = add(t, name);
    t->n_of_hall[hall] += (topic->halls[hall / 64] & bit) == 0;
    topic->halls[hall / 64] |= bit;
}

bool
topics_drop(struct topics *t, const char *name, uint32_t hall)
{
    struct topic *topic = find(t, name);
    uint64_t bit = UINT64_C(1) << hall % 64;

    if (topic == NULL || (topic->halls[hall / 64] & bit) == 0)
        return false;
    t->n_of_hall[hall]--;
    topic->halls[hall / 64] &= ~bit;
    if (is_wanted(topic))
        return false;
    HASH_DEL(t->by_name, topic);
    mem_free(topic);
    t->n--;
    return true;
}

void
topics_done(struct topics *t)
{
    struct topic *all = t->by_name, *topic, *next;

    HASH_ITER(hh, all, topic, next)
    {
        HASH_DEL(all, topic);
        mem_free(topic);
    }
    *t = (struct topics){ 0 };
}

void
topics_put_listen(const struct topics *t, struct text *sql)
{
    for (const struct topic *topic = t->by_name; topic != NULL; topic = topic->hh.next) {
        text_add_str(sql, "LISTEN ");
        text_add_quoted(sql, slice_str(topic->name), '"');
        text_add_char(sql, ';');
    }
}
