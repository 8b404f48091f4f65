/* SPDX-License-Identifier: ISC */
/* A non-blocking byte stream: reading, dialling, TLS handshake, closing. Writing
 * is in output.c. Owned by one worker. */
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "stream_private.h"

#define STREAM_SMALL 512
#define MOST_SPARE   64

struct spare_buffer {
    struct spare_buffer *next;
};

void
net_turn_init(struct net_turn *t, struct worker *w)
{
    memset(t, 0, sizeof(*t));
    t->worker = w;
    t->recv = mem_alloc(STREAM_RECV);
    t->recv_len = STREAM_RECV;
    t->rounds = 1;
}

void
net_turn_widen(struct net_turn *t, int64_t len)
{
    if (len <= STREAM_RECV)
        return;
    t->recv_len = len < STREAM_RECV_MOST ? (size_t)len : STREAM_RECV_MOST;
    t->recv = mem_realloc(t->recv, t->recv_len);
}

/* ---- buffers of kept input ---- */

/* Most of what waits for a server is one short query: its buffer comes from a list of spare ones. */
static uint8_t *
take_buffer(struct net_turn *t, size_t *len)
{
    struct spare_buffer *b = t->spare;

    if (*len > STREAM_SMALL)
        return mem_alloc(*len);
    *len = STREAM_SMALL;
    if (b == NULL)
        return mem_alloc(STREAM_SMALL);
    t->spare = b->next;
    t->n_spare--;
    return (uint8_t *)b;
}

static void
drop_buffer(struct net_turn *t, uint8_t *buffer, size_t len)
{
    struct spare_buffer *b = (void *)buffer;

    if (b == NULL)
        return;
    if (len != STREAM_SMALL || t->n_spare == MOST_SPARE) {
        mem_free(buffer);
        return;
    }
    b->next = t->spare;
    t->spare = b;
    t->n_spare++;
}

static void
drop_input(struct stream *s)
{
    drop_buffer(s->turn, s->in, s->in_cap);
    s->in = NULL;
    s->in_len = s->in_cap = 0;
}

void
net_turn_done(struct net_turn *t)
{
    size_t len = STREAM_SMALL;

    while (t->spare != NULL)
        mem_free(take_buffer(t, &len));
    mem_free(t->recv);
    t->recv = NULL;
}

/* on_end may close S; nothing of it is touched afterwards. */
static void
end_with(struct stream *s, const struct fault *why)
{
    if (s->stage == STREAM_CLOSED || s->ended)
        return;
    s->ended = true;
    io_stop(s->turn->worker, &s->readable);
    io_stop(s->turn->worker, &s->writable);
    s->events->on_end(s, why);
    stream_flush(s->turn);
}

void
stream_fail(struct stream *s)
{
    struct fault why;

    fault_errno(&why, "connection lost");
    end_with(s, &why);
}

/* ---- reading ---- */

/* Keep the last LEN of TOTAL bytes at BUF. */
static void
keep(struct stream *s, const uint8_t *buf, size_t total, size_t len)
{
    size_t cap = len;

    if (len == 0) {
        drop_input(s);
        return;
    }
    if (buf == s->in) {
        if (len < total)
            memmove(s->in, s->in + (total - len), len);
    } else {
        if (s->in_cap < len) {
            drop_input(s);
            s->in = take_buffer(s->turn, &cap);
            s->in_cap = (uint32_t)cap;
        }
        memcpy(s->in, buf + (total - len), len);
    }
    s->in_len = (uint32_t)len;
}

/* Show BYTES until the owner uses no more of them; it may change its mind about what they are on the way. */
static size_t
show_all(struct stream *s, struct slice bytes)
{
    size_t used = 0;

    while (used < bytes.len) {
        size_t n = s->events->on_bytes(s, slice_tail(bytes, used));

        used += n;
        if (n == 0 || s->stage != STREAM_OPEN || s->ended || s->paused != 0)
            break;
    }
    return used;
}

static void
show(struct stream *s, const uint8_t *buf, size_t total)
{
    size_t used;

    s->in_callback = true;
    used = show_all(s, slice_of(buf, total));
    s->in_callback = false;
    stream_flush(s->turn);
    if (s->stage == STREAM_CLOSED) {
        drop_input(s);
        return;
    }
    assert(used <= total);
    keep(s, buf, total, total - used);
}

static bool
read_some(struct stream *s, uint8_t *buf, size_t len, size_t *n)
{
    struct fault why;
    ssize_t got;
    enum tls_result r;

    if (s->tls == NULL) {
        do
            got = net_recv(s->fd, buf, len);
        while (got == -1 && errno == EINTR);
        if (got > 0)
            *n = (size_t)got;
        else if (got == 0)
            end_with(s, NULL);
        else if (errno != EAGAIN && errno != EWOULDBLOCK)
            stream_fail(s);
        return got > 0;
    }
    r = tls_read(s->tls, buf, len, n);
    if (r == TLS_EOF)
        end_with(s, NULL);
    else if (r == TLS_FAILED) {
        fault_set(&why, "08006", "TLS failed");
        end_with(s, &why);
    }
    return r == TLS_DONE;
}

/* Where the next read goes: behind kept input, or into the worker's buffer. */
static uint8_t *
room_for_input(struct stream *s, size_t *len)
{
    if (s->in_len <= STREAM_JOIN) {
        if (s->in_len > 0)
            memcpy(s->turn->recv, s->in, s->in_len);
        *len = s->turn->recv_len - s->in_len;
        return s->turn->recv + s->in_len;
    }
    if (s->in_cap - s->in_len < 4096) {
        s->in_cap = s->in_len * 2 < s->in_len + 8192 ? s->in_len + 8192 : s->in_len * 2;
        s->in = mem_realloc(s->in, s->in_cap);
    }
    *len = s->in_cap - s->in_len;
    return s->in + s->in_len;
}

static bool
is_tls_hello(struct stream *s)
{
    uint8_t first;

    s->peek = false;
    return recv(s->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && first == 0x16;
}

static void
quiet(struct stream *s)
{
    struct net_turn *t = s->turn;

    if (s->events->on_quiet == NULL || s->stage != STREAM_OPEN || s->ended)
        return;
    s->events->on_quiet(s);
    stream_flush(t);
}

/* True: there may be more. */
static bool
read_once(struct stream *s)
{
    size_t len, n;
    uint8_t *buf = room_for_input(s, &len);

    if (!read_some(s, buf, len, &n))
        return false;
    s->n_in += n;
    show(s, buf - s->in_len, s->in_len + n);
    return n == len && s->stage == STREAM_OPEN && !s->ended && s->paused == 0;
}

static void
on_readable(struct io *io)
{
    struct stream *s = container_of(io, struct stream, readable);
    uint64_t before = s->n_in;
    unsigned round = 1;

    if (s->stage == STREAM_HANDSHAKE) {
        stream_shake(s);
        return;
    }
    if (s->peek && is_tls_hello(s)) {
        s->events->on_tls_hello(s);
        return;
    }
    while (read_once(s) && round != s->turn->rounds)
        round++;
    if (s->n_in == before)
        return;
    if (s->stage == STREAM_OPEN && s->tls != NULL && s->paused == 0 && tls_has_pending(s->tls))
        io_again(s->turn->worker, &s->readable);
    quiet(s);
}

void
stream_again(struct stream *s)
{
    if (s->in_callback || s->stage != STREAM_OPEN || s->ended)
        return;
    if (s->in_len == 0)
        return;
    show(s, s->in, s->in_len);
    quiet(s);
}

void
stream_unread(struct stream *s, struct slice bytes)
{
    size_t len = bytes.len + s->in_len, cap = len;
    uint8_t *in = take_buffer(s->turn, &cap);

    memcpy(in, bytes.data, bytes.len);
    if (s->in_len > 0)
        memcpy(in + bytes.len, s->in, s->in_len);
    drop_input(s);
    s->in = in;
    s->in_len = (uint32_t)len;
    s->in_cap = (uint32_t)cap;
}

void
stream_pause(struct stream *s, enum stream_pause why)
{
    s->paused |= (uint8_t)why;
    if (s->stage == STREAM_OPEN)
        io_stop(s->turn->worker, &s->readable);
}

void
stream_resume(struct stream *s, enum stream_pause why)
{
    if ((s->paused & why) == 0)
        return;
    s->paused &= (uint8_t)~why;
    if (s->paused != 0 || s->stage != STREAM_OPEN || s->ended)
        return;
    io_start(s->turn->worker, &s->readable);
    if (s->tls != NULL && tls_has_pending(s->tls))
        io_again(s->turn->worker, &s->readable);
}

/* ---- opening and closing ---- */

static void
on_writable(struct io *io)
{
    struct stream *s = container_of(io, struct stream, writable);

    if (s->stage == STREAM_DIALING)
        stream_dialled(s);
    else if (s->stage == STREAM_HANDSHAKE)
        stream_shake(s);
    else
        stream_drain(s);
}

static void
start(struct stream *s, struct net_turn *t, int fd, const struct stream_events *e)
{
    memset(s, 0, sizeof(*s));
    s->turn = t;
    s->events = e;
    s->fd = fd;
    io_init(&s->readable, fd, IO_READ, on_readable);
    io_init(&s->writable, fd, IO_WRITE, on_writable);
}

void
stream_open(struct stream *s, struct net_turn *t, int fd, const struct stream_events *e)
{
    start(s, t, fd, e);
    s->stage = STREAM_OPEN;
    io_start(t->worker, &s->readable);
}

bool
stream_dial(struct stream *s, struct net_turn *t, const struct net_address *a, const struct stream_events *e,
            struct fault *why)
{
    char text[NET_ADDRESS_TEXT];
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    net_address_print(a, text);
    if (fd == -1)
        return fault_errno(why, "cannot make a socket for %s", text);
    if (connect(fd, &a->any, a->len) == -1 && errno != EINPROGRESS) {
        fault_errno(why, "cannot connect to %s", text);
        close(fd);
        return false;
    }
    start(s, t, fd, e);
    s->stage = STREAM_DIALING;
    io_start(t->worker, &s->writable);
    return true;
}

void
stream_dialled(struct stream *s)
{
    int code = 0;
    socklen_t len = sizeof(code);

    io_stop(s->turn->worker, &s->writable);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &len) == -1)
        code = errno;
    if (code != 0) {
        errno = code;
        stream_fail(s);
        return;
    }
    s->stage = STREAM_OPEN;
    io_start(s->turn->worker, &s->readable);
    s->events->on_open(s);
    stream_flush(s->turn);
}

void
stream_start_tls(struct stream *s, struct tls *tls)
{
    assert(s->stage == STREAM_OPEN && s->tls == NULL);
    stream_flush(s->turn);
    s->tls = tls;
    s->stage = STREAM_HANDSHAKE;
    if (!s->in_callback)
        stream_shake(s);
    else
        io_again(s->turn->worker, &s->readable);
}

void
stream_shake(struct stream *s)
{
    struct worker *w = s->turn->worker;
    struct fault why;
    enum tls_result r = tls_handshake(s->tls, &why);

    if (r == TLS_WANT_WRITE) {
        io_start(w, &s->writable);
        return;
    }
    io_stop(w, &s->writable);
    if (r == TLS_WANT_READ)
        return;
    if (r != TLS_DONE) {
        end_with(s, &why);
        return;
    }
    s->stage = STREAM_OPEN;
    s->events->on_open(s);
    stream_flush(s->turn);
    if (s->stage == STREAM_OPEN && s->tls != NULL && tls_has_pending(s->tls))
        io_again(w, &s->readable);
}

/* Unread input would turn our close into a reset, which can destroy the last message on its way. */
static void
discard_input(struct stream *s)
{
    uint8_t junk[4096];

    for (int i = 0; i < 4; i++)
        if (recv(s->fd, junk, sizeof(junk), MSG_DONTWAIT) <= 0)
            return;
}

void
stream_close(struct stream *s)
{
    if (s->stage == STREAM_CLOSED)
        return;
    if (s->turn->target == s)
        stream_flush(s->turn);
    stream_unlink(s);
    io_stop(s->turn->worker, &s->readable);
    io_stop(s->turn->worker, &s->writable);
    tls_free(s->tls);
    if (s->last_words && !s->ended && s->stage == STREAM_OPEN)
        discard_input(s);
    close(s->fd);
    s->fd = -1;
    s->tls = NULL;
    s->stage = STREAM_CLOSED;
    mem_free(s->out);
    s->out = NULL;
    s->out_len = s->out_at = 0;
    if (!s->in_callback)
        drop_input(s);
}

void
stream_leave(struct stream *s)
{
    assert(s->stage == STREAM_OPEN && s->in_len == 0 && s->out_len == 0 && s->peer == NULL);
    if (s->turn->target == s)
        stream_flush(s->turn);
    io_stop(s->turn->worker, &s->readable);
    io_stop(s->turn->worker, &s->writable);
    io_forget(s->turn->worker, s->fd);
    s->turn = NULL;
}

void
stream_join(struct stream *s, struct net_turn *t)
{
    s->turn = t;
    s->in_callback = false;
    io_start(t->worker, &s->readable);
}

size_t
stream_memory(const struct stream *s)
{
    return s->in_cap + s->out_at + s->out_len;
}

bool
stream_has_input(struct stream *s)
{
    uint8_t byte;

    if (s->ended || recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != -1)
        return true;
    if (errno == EAGAIN || errno == EINTR)
        return false;
    shutdown(s->fd, SHUT_RDWR); /* whatever was wrong, its end is seen now */
    return true;
}
