/* SPDX-License-Identifier: ISC */
/* A PostgreSQL of the tests' own: a listener and a thread that says what a script says, one connection after
 * the other. */
#ifndef TEST_UNIT_SERVER_FAKE_POSTGRES_H
#define TEST_UNIT_SERVER_FAKE_POSTGRES_H

#include "base/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

/* One step: wait for a message of TYPE (0: a packet without type; CONNECT: a new connection), then say SAYS
 * and, when HANGS_UP, close. */
#define CONNECT 1
#define NEXT    2 /* wait for nothing */
struct step {
    char type;
    struct slice says;
    bool hangs_up;
};

struct fake {
    int listening;
    uint16_t port;
    struct step steps[8];
    size_t n;
    size_t at_once; /* bytes of each write: 1 cuts everything everywhere */
    pthread_t thread;
    struct text heard; /* all that came; read it after fake_stop() */
    bool off_script;
    bool keeps_old; /* the connection before the last stays open until fake_stop() */
    _Atomic bool stopping;
};

static inline bool
fake_read(struct fake *f, int fd, size_t len)
{
    char *room = text_room(&f->heard, len);

    while (len > 0) {
        ssize_t n = recv(fd, room, len, 0);

        if (n <= 0)
            return false;
        text_grew(&f->heard, (size_t)n);
        room += n;
        len -= (size_t)n;
    }
    return true;
}

static inline bool
fake_wait(struct fake *f, int fd, char type)
{
    uint32_t len;

    do {
        size_t start = f->heard.len;

        if (!fake_read(f, fd, type == 0 ? 4 : 5))
            return false;
        memcpy(&len, f->heard.data + f->heard.len - 4, 4);
        if (!fake_read(f, fd, ntohl(len) - 4))
            return false;
        if (type == 0 || f->heard.data[start] == type)
            return true;
    } while (true);
}

static inline bool
fake_say(const struct fake *f, int fd, struct slice bytes)
{
    size_t at_once = f->at_once == 0 ? SIZE_MAX : f->at_once;

    for (; bytes.len > 0; bytes = slice_tail(bytes, at_once))
        if (send(fd, bytes.data, slice_head(bytes, at_once).len, MSG_NOSIGNAL) < 0)
            return false;
    return true;
}

static inline void *
fake_main(void *arg)
{
    struct fake *f = arg;
    int fd = -1, old = -1;

    for (size_t i = 0; i < f->n && !f->off_script; i++) {
        const struct step *s = &f->steps[i];

        if (s->type == CONNECT) {
            if (f->keeps_old)
                old = fd;
            else if (fd != -1)
                close(fd);
            fd = accept(f->listening, NULL, NULL);
        } else if (s->type != NEXT && !fake_wait(f, fd, s->type)) {
            f->off_script = true;
        }
        if (fd == -1 || !fake_say(f, fd, s->says))
            f->off_script = true;
        if (s->hangs_up && fd != -1) {
            close(fd);
            fd = -1;
        }
    }
    if (fd != -1)
        close(fd);
    while (old != -1 && !f->stopping)
        usleep(1000);
    if (old != -1)
        close(old);
    return NULL;
}

static inline void
fake_listen(struct fake *f)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);

    f->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listening, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(f->listening, 100), 0);
    assert_int_equal(getsockname(f->listening, (struct sockaddr *)&a, &len), 0);
    f->port = ntohs(a.sin_port);
}

static inline void
fake_start(struct fake *f)
{
    f->stopping = false;
    fake_listen(f);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_main, f), 0);
}

/* Waits for the script's end, too. */
static inline void
fake_stop(struct fake *f)
{
    f->stopping = true;
    shutdown(f->listening, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->listening);
}

#define SAYS_OK    "R\0\0\0\10\0\0\0\0"
#define SAYS_ZONE  "S\0\0\0\21TimeZone\0UTC\0"
#define SAYS_KEY   "K\0\0\0\14\0\0\0\7\0\0\0\11"
#define SAYS_READY "Z\0\0\0\5I"
#define SAYS_LOGIN SAYS_OK SAYS_ZONE SAYS_KEY SAYS_READY
#define SAYS_FATAL "E\0\0\0\36SFATAL\0VFATAL\0C57P03\0Mno\0\0"

#endif
