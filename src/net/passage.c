/* SPDX-License-Identifier: ISC */
/* Frames and descriptors over a Unix stream: length (of all of it), type, whether a descriptor comes along,
 * body. A descriptor travels with the first byte of its frame, so that both arrive in the same order. */
#include "net/passage.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/ring.h"
#include "base/text.h"

#define HEADER    6
#define AT_TYPE   4
#define READ_SIZE (64 * 1024)
#define MOST_FDS  32 /* received ahead of their frames */

struct parcel_out {
    struct ring in_queue;
    struct text bytes;
    size_t at;
    int fd;
};

struct passage {
    struct io readable, writable;
    struct worker *worker; /* NULL: not on a loop yet */
    const struct passage_events *events;
    void *owner;
    int fd;
    struct ring out;
    struct text in;
    size_t in_at;
    int fds[MOST_FDS];
    unsigned n_fds;
};

struct passage *
passage_new(int fd, void *owner)
{
    struct passage *p = mem_new(struct passage);

    p->fd = fd;
    p->owner = owner;
    ring_init(&p->out);
    return p;
}

void *
passage_owner(const struct passage *p)
{
    return p->owner;
}

static void
drop_first(struct passage *p)
{
    struct parcel_out *o = container_of(ring_first(&p->out), struct parcel_out, in_queue);

    ring_remove(&o->in_queue);
    if (o->fd != -1)
        close(o->fd);
    mem_wipe(o->bytes.data, o->bytes.len);
    text_done(&o->bytes);
    mem_free(o);
}

void
passage_free(struct passage *p)
{
    if (p == NULL)
        return;
    if (p->worker != NULL) {
        io_stop(p->worker, &p->readable);
        io_stop(p->worker, &p->writable);
    }
    close(p->fd);
    while (!ring_is_empty(&p->out))
        drop_first(p);
    for (unsigned i = 0; i < p->n_fds; i++)
        close(p->fds[i]);
    if (p->in.cap > 0)
        mem_wipe(p->in.data, p->in.len);
    text_done(&p->in);
    mem_free(p);
}

/* ---- sending ---- */

ssize_t
passage_send(int to, struct slice bytes, int fd)
{
    struct iovec piece = { (void *)(uintptr_t)bytes.data, bytes.len };
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1 };
    ssize_t n;

    if (fd != -1) {
        m.msg_control = &control;
        m.msg_controllen = sizeof(control);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
    }
    do
        n = sendmsg(to, &m, MSG_NOSIGNAL);
    while (n == -1 && errno == EINTR);
    return n;
}

/* False: the socket takes no more now, or never: that is seen when it is read. */
static bool
send_first(struct passage *p)
{
    struct parcel_out *o = container_of(ring_first(&p->out), struct parcel_out, in_queue);
    ssize_t n = passage_send(p->fd, slice_of(o->bytes.data + o->at, o->bytes.len - o->at), o->fd);

    if (n == -1 && errno != EAGAIN && errno != EWOULDBLOCK)
        shutdown(p->fd, SHUT_RDWR);
    if (n == -1)
        return false;
    if (o->fd != -1)
        close(o->fd);
    o->fd = -1;
    o->at += (size_t)n;
    if (o->at == o->bytes.len)
        drop_first(p);
    return true;
}

static void
send_all(struct passage *p)
{
    while (!ring_is_empty(&p->out) && send_first(p))
        ;
    if (p->worker == NULL)
        return;
    if (ring_is_empty(&p->out) || (errno != EAGAIN && errno != EWOULDBLOCK))
        io_stop(p->worker, &p->writable);
    else
        io_start(p->worker, &p->writable);
}

void
passage_put(struct passage *p, uint8_t type, struct slice body, int fd)
{
    struct parcel_out *o = mem_new(struct parcel_out);
    uint32_t len = (uint32_t)(HEADER + body.len);
    uint8_t head[HEADER] = {
        (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, fd != -1
    };

    text_add(&o->bytes, slice_of(head, sizeof(head)));
    text_add(&o->bytes, body);
    o->fd = fd;
    ring_append(&p->out, &o->in_queue);
    send_all(p);
}

void
passage_finish(struct passage *p, unsigned seconds)
{
    struct timeval most = { .tv_sec = seconds };

    if (p == NULL || ring_is_empty(&p->out) ||
        setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most)) == -1 ||
        fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) & ~O_NONBLOCK) == -1)
        return;
    while (!ring_is_empty(&p->out) && send_first(p))
        ;
}

unsigned
passage_count(const struct passage *p, uint8_t type)
{
    unsigned n = 0;

    ring_each (r, &p->out)
        n += (uint8_t)container_of(r, struct parcel_out, in_queue)->bytes.data[AT_TYPE] == type;
    return n;
}

/* ---- receiving ---- */

static bool
keep_fds(struct passage *p, struct msghdr *m)
{
    bool fine = (m->msg_flags & MSG_CTRUNC) == 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (p->n_fds < MOST_FDS)
                p->fds[p->n_fds++] = fd;
            else
                close(fd);
            fine = fine && p->n_fds < MOST_FDS;
        }
    }
    return fine;
}

/* Bytes read; 0: the other side is gone; -1: nothing is there now. */
static ssize_t
read_some(struct passage *p)
{
    struct iovec piece = { text_room(&p->in, READ_SIZE), READ_SIZE };
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct msghdr m = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
    };
    ssize_t n;

    do
        n = recvmsg(p->fd, &m, MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
    if (!keep_fds(p, &m))
        return 0;
    text_grew(&p->in, (size_t)n);
    return n;
}

enum answer { NOTHING, FRAME, BROKEN };

static int
take_fd(struct passage *p)
{
    int fd = p->fds[0];

    memmove(p->fds, p->fds + 1, --p->n_fds * sizeof(int));
    return fd;
}

static enum answer
next_frame(struct passage *p, struct passage_frame *f)
{
    size_t left = p->in.len - p->in_at;
    const uint8_t *at;
    uint32_t len;

    if (left < HEADER)
        return NOTHING;
    at = (const uint8_t *)p->in.data + p->in_at;
    len = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    if (len < HEADER || len > PASSAGE_MAX || at[5] > 1)
        return BROKEN;
    if (left < len)
        return NOTHING;
    if (at[5] > p->n_fds)
        return BROKEN;
    *f = (struct passage_frame){ .type = at[AT_TYPE], .body = slice_of(at + HEADER, len - HEADER), .fd = -1 };
    if (at[5] == 1)
        f->fd = take_fd(p);
    p->in_at += len;
    return FRAME;
}

static void
forget_used(struct passage *p)
{
    size_t left = p->in.len - p->in_at;

    if (p->in_at == 0)
        return;
    memmove(p->in.data, p->in.data + p->in_at, left);
    p->in.len = left;
    p->in_at = 0;
}

bool
passage_wait(struct passage *p, unsigned seconds, struct passage_frame *f, struct fault *why)
{
    struct timeval most = { .tv_sec = seconds };

    if (setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) == -1)
        return fault_errno(why, "cannot wait");
    for (;;) {
        enum answer a = next_frame(p, f);
        ssize_t n;

        if (a == FRAME)
            return true;
        if (a == BROKEN)
            return fault_set(why, "08P01", "the other process sends nonsense");
        forget_used(p);
        n = read_some(p);
        if (n <= 0)
            return fault_set(why, "08006", n == 0 ? "the other process hung up" : "no answer in time");
    }
}

static void
end(struct passage *p)
{
    io_stop(p->worker, &p->readable);
    io_stop(p->worker, &p->writable);
    p->events->on_end(p);
}

static void
on_readable(struct io *io)
{
    struct passage *p = container_of(io, struct passage, readable);
    struct passage_frame f;
    ssize_t n = read_some(p);
    enum answer a;

    while ((a = next_frame(p, &f)) == FRAME)
        p->events->on_frame(p, &f);
    forget_used(p);
    if (n == 0 || a == BROKEN)
        end(p);
}

static void
on_writable(struct io *io)
{
    send_all(container_of(io, struct passage, writable));
}

void
passage_start(struct passage *p, struct worker *w, const struct passage_events *e)
{
    (void)!fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK);
    p->worker = w;
    p->events = e;
    io_init(&p->readable, p->fd, IO_READ, on_readable);
    io_init(&p->writable, p->fd, IO_WRITE, on_writable);
    io_start(w, &p->readable);
    send_all(p);
    if (p->in.len > 0) /* it came while we waited for another */
        io_again(w, &p->readable);
}
