/* SPDX-License-Identifier: ISC */
/* Writing to streams: pieces of one turn are gathered and leave in one write;
 * only what the socket refuses is copied and queued. Owned by one worker. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/mem.h"
#include "net/passage.h"
#include "stream_private.h"

static void
queue(struct stream *s, const uint8_t *p, size_t len)
{
    if (len == 0)
        return;
    if (s->out_at > 0) {
        memmove(s->out, s->out + s->out_at, s->out_len);
        s->out_at = 0;
    }
    s->out = mem_realloc(s->out, s->out_len + len);
    memcpy(s->out + s->out_len, p, len);
    s->out_len += (uint32_t)len;
}

static void
block(struct stream *s)
{
    if (s->blocked_us == 0)
        s->blocked_us = s->turn->worker->now_us;
    io_start(s->turn->worker, &s->writable);
    if (s->peer != NULL)
        stream_pause(s->peer, STREAM_PAUSE_PEER);
}

static ssize_t
send_both(int fd, struct iovec *v)
{
    struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

/* How many bytes the socket took; SIZE_MAX when it is broken (on_end runs later, from the loop). */
static size_t
write_plain(struct stream *s, struct iovec *v, int n)
{
    ssize_t sent;

    do
        sent = n == 1 ? net_send(s->fd, v->iov_base, v->iov_len) : send_both(s->fd, v);
    while (sent == -1 && errno == EINTR);
    if (sent >= 0)
        return (size_t)sent;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : SIZE_MAX;
}

static size_t
write_tls(struct stream *s, const struct iovec *v, int n)
{
    size_t total = 0;

    for (int i = 0; i < n; i++) {
        size_t left = v[i].iov_len, sent;

        while (left > 0) {
            enum tls_result r =
                tls_write(s->tls, (uint8_t *)v[i].iov_base + (v[i].iov_len - left), left, &sent);

            if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
                return total;
            if (r != TLS_DONE)
                return SIZE_MAX;
            left -= sent;
            total += sent;
        }
    }
    return total;
}

static size_t
write_some(struct stream *s, struct iovec *v, int n)
{
    size_t sent = s->tls == NULL ? write_plain(s, v, n) : write_tls(s, v, n);

    if (sent != SIZE_MAX)
        s->n_out += sent;
    return sent;
}

/* A broken socket is reported from the loop, never from inside somebody's put. One that is not broken, but
 * could not take bytes that are gone now (ENOBUFS), is from here on. */
static void
break_later(struct stream *s)
{
    shutdown(s->fd, SHUT_RDWR);
    mem_free(s->out);
    s->out = NULL;
    s->out_len = s->out_at = 0;
    if (!s->ended)
        io_start(s->turn->worker, &s->readable);
}

static void
send_pieces(struct stream *s, struct iovec *v, int n)
{
    size_t sent;

    if (s->stage == STREAM_CLOSED || s->ended)
        return;
    if (s->out_len > 0 || s->stage != STREAM_OPEN) {
        for (int i = 0; i < n; i++)
            queue(s, v[i].iov_base, v[i].iov_len);
        return;
    }
    sent = write_some(s, v, n);
    if (sent == SIZE_MAX) {
        break_later(s);
        return;
    }
    for (int i = 0; i < n; i++) {
        size_t took = sent < v[i].iov_len ? sent : v[i].iov_len;

        queue(s, (uint8_t *)v[i].iov_base + took, v[i].iov_len - took);
        sent -= took;
    }
    if (s->out_len > 0)
        block(s);
}

/* One TLS record is cheaper than two: copy a small run behind the staged bytes. */
static void
join_run(struct net_turn *t)
{
    if (t->run_len == 0 || t->stage_len == 0 || t->stage_len + t->run_len > STREAM_STAGE)
        return;
    memcpy(t->stage + t->stage_len, t->run, t->run_len);
    t->stage_len += t->run_len;
    t->run_len = 0;
}

void
stream_flush_target(struct net_turn *t)
{
    struct iovec v[2];
    int n = 0;

    join_run(t);
    if (t->stage_len > 0)
        v[n++] = (struct iovec){ t->stage, t->stage_len };
    if (t->run_len > 0)
        v[n++] = (struct iovec){ (void *)(uintptr_t)t->run, t->run_len };
    if (n > 0)
        send_pieces(t->target, v, n);
    t->target = NULL;
    t->run_len = t->stage_len = 0;
}

static void
aim(struct net_turn *t, struct stream *s)
{
    if (t->target == s)
        return;
    stream_flush(t);
    t->target = s;
}

void
stream_put_piece(struct stream *s, struct slice bytes)
{
    struct net_turn *t = s->turn;

    if (bytes.len == 0)
        return;
    aim(t, s);
    if (t->run_len > 0) {
        join_run(t);
        if (t->run_len > 0 && t->stage_len == 0 && t->run_len + bytes.len <= STREAM_STAGE) {
            memcpy(t->stage, t->run, t->run_len);
            t->stage_len = t->run_len;
            t->run_len = 0;
        }
        if (t->run_len > 0) {
            stream_flush(t);
            t->target = s;
        }
    }
    t->run = bytes.data;
    t->run_len = bytes.len;
}

void
stream_put_copy(struct stream *s, struct slice bytes)
{
    struct net_turn *t = s->turn;

    if (bytes.len == 0)
        return;
    if (bytes.len > STREAM_STAGE / 2) { /* too big to stage: leaves at once */
        stream_put(s, bytes);
        stream_flush(t);
        return;
    }
    aim(t, s);
    if (t->run_len > 0 && t->stage_len == 0 && t->run_len + bytes.len <= STREAM_STAGE) {
        memcpy(t->stage, t->run, t->run_len);
        t->stage_len = t->run_len;
        t->run_len = 0;
    }
    join_run(t);
    if (t->run_len > 0 || t->stage_len + bytes.len > STREAM_STAGE) {
        stream_flush(t);
        t->target = s;
    }
    memcpy(t->stage + t->stage_len, bytes.data, bytes.len);
    t->stage_len += bytes.len;
}

size_t
stream_send_fd(struct stream *s, struct slice bytes, int fd)
{
    ssize_t n = -1;

    assert(s->tls == NULL);
    stream_flush(s->turn);
    if (s->stage == STREAM_OPEN && !s->ended && s->out_len == 0)
        n = passage_send(s->fd, bytes, fd);
    if (n <= 0)
        return 0;
    s->n_out += (uint64_t)n;
    return (size_t)n;
}

void
stream_drain(struct stream *s)
{
    struct iovec v;
    size_t sent;

    if (s->turn->target == s)
        stream_flush(s->turn); /* it may move what is queued */
    if (s->out_len > 0) {
        v = (struct iovec){ s->out + s->out_at, s->out_len };
        sent = write_some(s, &v, 1);
        if (sent == SIZE_MAX) {
            stream_fail(s);
            return;
        }
        if (sent > 0)
            s->blocked_us = s->turn->worker->now_us;
        s->out_at += (uint32_t)sent;
        s->out_len -= (uint32_t)sent;
        if (s->out_len > 0)
            return;
    }
    mem_free(s->out);
    s->out = NULL;
    s->out_at = 0;
    s->blocked_us = 0;
    io_stop(s->turn->worker, &s->writable);
    if (s->peer != NULL)
        stream_resume(s->peer, STREAM_PAUSE_PEER);
}

void
stream_link(struct stream *a, struct stream *b)
{
    assert(a->peer == NULL && b->peer == NULL);
    a->peer = b;
    b->peer = a;
    if (stream_is_blocked(a))
        stream_pause(b, STREAM_PAUSE_PEER);
    if (stream_is_blocked(b))
        stream_pause(a, STREAM_PAUSE_PEER);
}

void
stream_unlink(struct stream *a)
{
    struct stream *b = a->peer;

    if (b == NULL)
        return;
    a->peer = b->peer = NULL;
    stream_resume(a, STREAM_PAUSE_PEER | STREAM_PAUSE_ADMIN);
    stream_resume(b, STREAM_PAUSE_PEER | STREAM_PAUSE_ADMIN);
}
