/* SPDX-License-Identifier: ISC */
/* A read whose server dies before its first byte reached the client is sent once
 * more, to another server (CONTRACT section 4). The request is kept, as the client sent it, in a buffer
 * of the server that works on it, with those that follow it in a pipeline: small, and only what is not
 * answered. */
#include <inttypes.h>

#include "base/log.h"
#include "choose_private.h"

#define RETRY_MAX 8192 /* bytes of a request */

void
retry_begin(struct session *s)
{
    text_clear(&s->server->request);
    s->server->request_whole = 0;
    s->server->request_cut = false;
    if (s->routing != NULL)
        s->routing->told = false;
    s->only_reads = true;
    s->retriable = !s->retried && s->server->status == 'I' && !session_is_pinned(s) &&
                   s->pool->conf.mode != CONF_POOL_SESSION;
}

void
retry_note(struct session *s, const struct facts *f)
{
    if (f == NULL || (!f->reads_only && (s->routing == NULL || !choose_is_read(s, f))))
        s->retriable = s->only_reads = false;
}

/* The last byte of a request was kept. */
static void
note_end(struct session *s)
{
    struct server *server = s->server;
    unsigned n = pending_count(s);
    struct pending_entry *e = n == 0 ? NULL : pending_at(s, n - 1);

    if (e == NULL || e->n_kept > 0 || !pending_ends_request(e)) {
        s->retriable = false;
        return;
    }
    e->n_kept = (uint16_t)(server->request.len - server->request_whole);
    server->request_whole = (unsigned)server->request.len;
}

void
retry_keep(struct session *s, const struct taken *m)
{
    if (!m->whole || s->server == NULL || s->server->request.len + m->bytes.len > RETRY_MAX) {
        s->retriable = false;
        return;
    }
    text_add(&s->server->request, m->bytes);
    if (m->frame.type == 'Q' || m->frame.type == 'S' || m->frame.type == 'F')
        note_end(s);
}

void
retry_answered(struct session *s, size_t n)
{
    struct server *server = s->server;

    s->routing->told = false;
    if (!s->retriable || pending_is_empty(s))
        return;
    text_drop_head(&server->request, n);
    server->request_whole -= (unsigned)n;
    server->request_cut = true;
}

/* It gives a statement a name. When requests before it were answered, nobody knows whether it did so already.
 */
static bool
names_statements(struct slice request)
{
    struct wire_frame f;

    while (wire_frame_read(request.data, request.len, INT32_MAX, &f) == WIRE_MESSAGE) {
        if (f.type == 'P' && request.data[WIRE_HEADER] != '\0')
            return true;
        request = slice_tail(request, f.len);
    }
    return false;
}

bool
retry_may_start(const struct session *s)
{
    const struct server *server = s->server;

    if (!s->retriable || (s->routing != NULL && s->routing->told))
        return false;
    return !server->request_cut || !names_statements(text_slice(&server->request));
}

/* REQUEST is done with. */
static void
send_again(struct session *s, struct text *request)
{
    s->retriable = false;
    s->retried = true;
    prepared_names_doubt(s); /* its Parse messages come again */
    if (s->routing != NULL) {
        s->routing->again = false;
        s->routing->n_skip = s->routing->n_told;
        s->routing->n_told = 0;
    }
    session_move_to(s, SESSION_READY);
    stream_unread(&s->client, text_slice(request));
    text_done(request);
    stream_again(&s->client);
}

bool
retry_start(struct session *s)
{
    struct text request = { 0 };

    if (s->state != SESSION_LINKED || s->server_left > 0 || s->client_left > 0 || s->server->request.len == 0 ||
        !retry_may_start(s))
        return false;
    log_info("client=c%" PRIu64 " read is sent once more", s->id);
    text_add(&request, text_slice(&s->server->request));
    pending_undo_names(s);
    if (s->routing != NULL)
        choose_avoid(s, s->pool);
    opening_again(s);
    link_lose(s);
    send_again(s, &request);
    return true;
}

void
retry_elsewhere(struct session *s)
{
    struct server *server = s->server;
    struct text request = { 0 };

    log_info("client=c%" PRIu64 " replica %s refused a read, the primary gets it", s->id, s->pool->node);
    text_add(&request, text_slice(&server->request));
    opening_again(s);
    link_lose(s);
    pool_give_back(server, false);
    send_again(s, &request);
}
