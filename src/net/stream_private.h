/* SPDX-License-Identifier: ISC */
/* What stream.c and output.c share. */
#ifndef NET_STREAM_PRIVATE_H
#define NET_STREAM_PRIVATE_H

#include <sys/syscall.h>
#include <unistd.h>

#include "net/stream.h"

/* recv(2) and send(2) without being cancellation points: in a program with threads that costs the C library
 * more instructions than the call itself, twice for each query and side. Nobody cancels our threads. Sanitizers
 * know the library's functions only. */
static inline ssize_t
net_recv(int fd, void *buf, size_t len)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return recv(fd, buf, len, 0);
#else
    return syscall(SYS_recvfrom, fd, buf, len, 0, NULL, NULL);
#endif
}

static inline ssize_t
net_send(int fd, const void *buf, size_t len)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return send(fd, buf, len, MSG_NOSIGNAL);
#else
    return syscall(SYS_sendto, fd, buf, len, MSG_NOSIGNAL, NULL, 0);
#endif
}

void stream_fail(struct stream *s);    /* end with the text of errno */
void stream_dialled(struct stream *s); /* the connect is decided */
void stream_shake(struct stream *s);   /* next step of the handshake */
void stream_drain(struct stream *s);   /* the socket takes bytes again */

#endif
