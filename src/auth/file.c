/* SPDX-License-Identifier: ISC */
/* Reads a whole file. It may hold secrets: no stdio buffer, and the memory is wiped. */
#include "file_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* Reads FD until its end or LEN bytes; the number of bytes or -1. */
static ssize_t
read_all(int fd, uint8_t *to, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = read(fd, to + done, len - done);

        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            done += (size_t)n;
    }
    return (ssize_t)done;
}

static bool
read_regular(int fd, const char *path, struct slice *out, struct fault *why)
{
    struct stat st;
    uint8_t *text;
    ssize_t len;

    if (fstat(fd, &st) == -1)
        return fault_errno(why, "cannot read \"%s\"", path);
    errno = EINVAL;
    if (!S_ISREG(st.st_mode))
        return fault_set(why, "58030", "cannot read \"%s\": it is not a regular file", path);
    if (st.st_size > (off_t)FILE_LIMIT)
        return fault_set(why, "54000", "cannot read \"%s\": it is larger than %u MB", path, FILE_LIMIT >> 20);
    text = mem_alloc((size_t)st.st_size + 1);
    len = read_all(fd, text, (size_t)st.st_size);
    *out = slice_of(text, (size_t)st.st_size);
    if (len == (ssize_t)st.st_size)
        return true;
    if (len < 0)
        fault_errno(why, "cannot read \"%s\"", path);
    else
        fault_set(why, "58030", "cannot read \"%s\": it changed meanwhile", path);
    file_done(*out);
    return false;
}

bool
file_read(const char *path, struct slice *out, struct fault *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool done;

    if (fd == -1)
        return fault_errno(why, "cannot open \"%s\"", path);
    done = read_regular(fd, path, out, why);
    close(fd);
    return done;
}

void
file_done(struct slice text)
{
    mem_wipe((void *)(uintptr_t)text.data, text.len);
    mem_free((void *)(uintptr_t)text.data);
}
