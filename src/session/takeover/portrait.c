/* SPDX-License-Identifier: ISC */
/* A session as an image, and back: what goes over is written and read here, side by side. */
#include "crossing_private.h"
#include "handover_private.h"

/* ---- written ---- */

static void
put_set(struct image_set *set, const struct params *p, struct text *t)
{
    set->present = p != NULL;
    if (p == NULL)
        return;
    set->n = p->n;
    for (unsigned i = 0; i < p->n; i++) {
        image_put_slice(t, p->at[i].name);
        image_put_slice(t, p->at[i].value);
    }
    set->rest = text_slice(t);
}

static struct image_statement
statement_image(const struct statement *st, struct slice name, bool doubtful)
{
    return (struct image_statement){ .name = name,
                                     .sql = statement_sql(st),
                                     .types = slice_tail(slice_of(st->bytes, st->len), st->sql_len + 1),
                                     .doubtful = doubtful };
}

static void
put_name(void *owner, struct slice name, const struct statement *st, bool doubtful)
{
    struct image_statement one = statement_image(st, name, doubtful);

    image_put_statement(owner, &one);
}

void
portrait_write(const struct session *s, struct text *out)
{
    struct text sets[5] = { { 0 } };
    uint8_t client_key[SCRAM_KEY_LEN];
    struct image im = {
        .id = s->id,
        .lsn = s->routing == NULL ? 0 : s->routing->token.lsn,
        .n_in = s->client.n_in,
        .n_out = s->client.n_out,
        .connected_us = s->connected_us,
        .idle_us = session_now(s) > s->since_us ? session_now(s) - s->since_us : 0,
        .n_requests = s->n_requests,
        .noticed = s->noticed,
        .has_application = s->application != NULL,
        .application = slice_str(s->application),
        .user = slice_str(s->user),
        .database = slice_str(s->database),
        .secret = credential_secret(s->credential),
        .n_names = prepared_names_count(s),
    };

    if (credential_client_key(s->credential, client_key))
        im.client_key = slice_of(client_key, sizeof(client_key));
    im.key = cancel_key_of(s, &im.pid);
    put_set(&im.startup, s->startup, &sets[0]);
    put_set(&im.settings, s->settings, &sets[1]);
    put_set(&im.told, s->told, &sets[2]);
    put_set(&im.by_sql, s->by_sql, &sets[3]);
    im.channels.present = crossing_is_on(s);
    if (im.channels.present) {
        im.channels.n = crossing_put_channels(s, &sets[4]);
        im.channels.rest = text_slice(&sets[4]);
        im.mark = slice_str(s->listening->crossing->mark);
    }
    im.has_unnamed = s->unnamed != NULL;
    if (im.has_unnamed)
        im.unnamed = statement_image(s->unnamed, SLICE(""), false);
    image_write(out, &im);
    prepared_names_each(s, put_name, out);
    for (int i = 0; i < 5; i++)
        text_done(&sets[i]);
    mem_wipe(client_key, sizeof(client_key));
}

/* ---- read ---- */

static struct params *
read_set(struct hall *h, struct image_set set)
{
    struct params *p = params_empty(h->pools.sets);
    struct slice name, value;

    while (image_next_pair(&set, &name, &value))
        p = params_with(p, name, value);
    return p;
}

static struct statement *
intern(struct session *s, const struct image_statement *st)
{
    bool parsed;

    return statement_intern(s, st->sql, st->types, true, &parsed);
}

static void
read_statements(struct session *s, struct image im)
{
    struct image_statement one;

    if (im.has_unnamed)
        s->unnamed = intern(s, &im.unnamed);
    while (image_next_name(&im, &one)) {
        struct statement *st = intern(s, &one);

        if (prepared_names_find(s, one.name) == NULL)
            prepared_names_add(s, one.name, st);
        if (one.doubtful)
            prepared_names_doubt(s);
        statement_drop(st);
        s->n_requests++; /* each name is of another request */
    }
    s->n_requests = im.n_requests + 1; /* no name was made by the next one */
}

static void
read_fields(struct session *s, const struct image *im)
{
    struct hall *h = s->hall;

    s->id = im->id;
    s->connected_us = im->connected_us;
    s->client.n_in = im->n_in;
    s->client.n_out = im->n_out;
    s->noticed = im->noticed;
    session_set_names(s, im->user, im->database);
    s->application = im->has_application ? slice_dup(im->application) : NULL;
    s->startup = read_set(h, im->startup);
    s->settings = read_set(h, im->settings);
    s->told = im->told.present ? read_set(h, im->told) : NULL;
    s->by_sql = im->by_sql.present ? read_set(h, im->by_sql) : NULL;
    s->credential = registry_credential(h->registry, im->user, im->secret);
    if (im->client_key.len == SCRAM_KEY_LEN)
        credential_learn(s->credential, im->client_key.data);
    cancel_restore(s, im->pid, im->key);
}

void
portrait_read(struct session *s, const struct image *im)
{
    read_fields(s, im);
    read_statements(s, *im);
}
