/* SPDX-License-Identifier: ISC */
/* A read whose server dies before its first byte reached the client is sent once
 * more, to another server (CONTRACT section 4). The request is kept, as the client sent it, in a buffer
 * of the server that works on it: small, and only while nothing was answered. */
#include <inttypes.h>

#include "base/log.h"
#include "choose_private.h"

#define RETRY_MAX 8192 /* bytes of a request */

void
retry_begin(struct session *s)
{
    text_clear(&s->server->request);
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

void
retry_keep(struct session *s, const struct taken *m)
{
    if (!m->whole || s->server == NULL || s->server->request.len + m->bytes.len > RETRY_MAX)
        s->retriable = false;
    else
        text_add(&s->server->request, m->bytes);
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

    if (!s->retriable || s->state != SESSION_LINKED || s->server_left > 0 || s->client_left > 0 ||
        s->server->request.len == 0)
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
