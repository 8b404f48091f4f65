/* SPDX-License-Identifier: ISC */
/* A non-blocking byte stream, plain or TLS: bytes in by event, bytes out by
 * one write per event, back-pressure between two linked streams. Embedded by its
 * owner; belongs to one worker at a time. An idle stream owns no buffer. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/fault.h"
#include "base/slice.h"
#include "loop/worker.h"
#include "net/address.h"
#include "net/tls.h"

#define STREAM_RECV      (60 * 1024)   /* read at once: with its overhead what an unread result may cost, */
#define STREAM_RECV_MOST (1024 * 1024) /* unless more was asked for */
#define STREAM_JOIN      (16 * 1024) /* kept input up to this size is put before what is read next, by copying */
#define STREAM_STAGE     (16 * 1024) /* small pieces gathered for one write */

/* What the streams of one worker share: the buffer that is read into, and the write being gathered. */
struct net_turn {
    struct worker *worker;
    struct stream *target; /* whose bytes are being gathered */
    const uint8_t *run;    /* bytes of the target that lie in one piece elsewhere */
    size_t run_len, stage_len;
    uint8_t *recv;
    size_t recv_len;
    struct spare_buffer *spare; /* for short input that must be kept */
    unsigned n_spare;
    unsigned rounds; /* how often a stream that has more is read before others get their turn; 0: no limit */
    uint8_t stage[STREAM_STAGE];
};
void net_turn_init(struct net_turn *t, struct worker *w);
/* Read so much at once, if that is more than STREAM_RECV. Before any stream is open. */
void net_turn_widen(struct net_turn *t, int64_t len);
void net_turn_done(struct net_turn *t);

struct stream;
struct stream_events {
    /* BYTES came. Returns how many were used up; the rest is kept and shown again with what follows. BYTES are
     * valid until the call returns. The stream may be closed in it. */
    size_t (*on_bytes)(struct stream *s, struct slice bytes);
    /* The other side is gone: WHY is NULL for an orderly end. Not called after stream_close(). */
    void (*on_end)(struct stream *s, const struct fault *why);
    /* A dial, or a TLS handshake, is done. */
    void (*on_open)(struct stream *s);
    /* After all else of an event with bytes: nothing of S is touched any more by its caller. May be NULL. */
    void (*on_quiet)(struct stream *s);
    /* PEEK was set, and the first byte, still unread, is that of a TLS handshake. */
    void (*on_tls_hello)(struct stream *s);
};

enum stream_pause {
    STREAM_PAUSE_PEER = 1,
    STREAM_PAUSE_OWNER = 2,
    STREAM_PAUSE_FULL = 4,
    STREAM_PAUSE_ADMIN = 8 /* SUSPEND */
};
enum stream_stage { STREAM_CLOSED, STREAM_DIALING, STREAM_HANDSHAKE, STREAM_OPEN };

struct stream {
    struct io readable, writable;
    struct net_turn *turn;
    const struct stream_events *events;
    struct stream *peer; /* reads nothing while we cannot write */
    struct tls *tls;
    uint8_t *in, *out; /* kept input; unsent output */
    uint32_t in_len, in_cap, out_at, out_len;
    int fd;
    uint8_t stage, paused;
    bool last_words; /* what was written last matters: it must not be destroyed by a reset */
    bool peek;       /* look at the first byte before reading it */
    bool in_callback, ended;
    int64_t blocked_us;   /* since when output is stuck; 0: it is not */
    uint64_t n_in, n_out; /* bytes of payload */
};

/* Take over a connected FD. */
void stream_open(struct stream *s, struct net_turn *t, int fd, const struct stream_events *e);
/* Start to connect; on_open or on_end follows, never before this returns. False: nothing was opened. */
bool stream_dial(struct stream *s, struct net_turn *t, const struct net_address *a,
                 const struct stream_events *e, struct fault *why);
/* Begin a handshake; bytes already received must not exist. on_open or on_end follows. TLS is taken over. */
void stream_start_tls(struct stream *s, struct tls *tls);
/* Flush what the socket takes at once, then close. The struct stays valid, in stage CLOSED. */
void stream_close(struct stream *s);

/* Send bytes that stay valid until stream_flush() or the end of the callback. */
void stream_put_piece(struct stream *s, struct slice bytes) __attribute__((noinline));
static inline void
stream_put(struct stream *s, struct slice bytes)
{
    struct net_turn *t = s->turn;

    if (t->target == s && t->run_len > 0 && t->run + t->run_len == bytes.data)
        t->run_len += bytes.len;
    else
        stream_put_piece(s, bytes);
}
/* Send bytes that may be overwritten at once. */
void stream_put_copy(struct stream *s, struct slice bytes);
/* Send BYTES now, a copy of FD (or -1: none) beside the first of them: a Unix socket, plain. How many the
 * socket took; 0: try again later. */
size_t stream_send_fd(struct stream *s, struct slice bytes, int fd);
/* Write what is gathered, whoever's it is. Called by the stream after each of its events; by others after
 * stream_put() outside of them. */
void stream_flush_target(struct net_turn *t); /* there is some */
static inline void
stream_flush(struct net_turn *t)
{
    if (t->target != NULL)
        stream_flush_target(t);
}
static inline bool
stream_is_blocked(const struct stream *s)
{
    return s->out_len > 0;
}

/* Back-pressure: A reads only while B can be written, and the other way round. */
void stream_link(struct stream *a, struct stream *b);
void stream_unlink(struct stream *a);
/* The owner cannot use input now; disconnects are still seen until a buffer is full. */
void stream_pause(struct stream *s, enum stream_pause why);
void stream_resume(struct stream *s, enum stream_pause why);
/* Show the kept input again, now. No effect inside the stream's own on_bytes (it will be asked again there). */
void stream_again(struct stream *s);

/* Put BYTES before the kept input: they are shown again by stream_again(). Not inside on_bytes. */
void stream_unread(struct stream *s, struct slice bytes);
/* Move an idle stream (nothing kept, nothing unsent) to another worker: leave on the old thread, join on the
 * new one. */
void stream_leave(struct stream *s);
void stream_join(struct stream *s, struct net_turn *t);
/* Bytes, or the end, can be read now: an event follows, also when this look failed. One system call. */
bool stream_has_input(struct stream *s);
/* Bytes of memory that buffers of S take. */
size_t stream_memory(const struct stream *s);

#endif
