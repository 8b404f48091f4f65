/* SPDX-License-Identifier: ISC */
/* The process as the system sees it: limits, user, pidfile, background. Before the first thread starts. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app_private.h"
#include "base/log.h"

void
process_raise_limits(const struct conf_general *g)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == -1)
        return;
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) == -1)
        log_warning("cannot raise the limit of open files");
    if (r.rlim_cur != RLIM_INFINITY && (int64_t)r.rlim_cur < g->max_client_conn + 100)
        log_warning("at most %llu files may be open, which is too few for max_client_conn = %lld",
                    (unsigned long long)r.rlim_cur, (long long)g->max_client_conn);
}

bool
process_change_user(const char *user, struct fault *why)
{
    struct passwd *pw;

    if (user[0] == '\0')
        return geteuid() != 0 ||
               fault_set(why, "58030", "pgweir should not run as root: set the option user, or -u");
    pw = getpwnam(user);
    if (pw == NULL)
        return fault_set(why, "58030", "there is no user \"%s\" to become", user);
    if (pw->pw_uid == geteuid())
        return true;
    if (initgroups(user, pw->pw_gid) == -1 || setgid(pw->pw_gid) == -1 || setuid(pw->pw_uid) == -1)
        return fault_errno(why, "cannot become user %s", user);
    return true;
}

/* The parent: ends with what the child said or how it ended. */
static void __attribute__((noreturn)) wait_for_child(pid_t child, int from)
{
    char byte;
    ssize_t n;
    int status;

    do
        n = read(from, &byte, 1);
    while (n == -1 && errno == EINTR);
    if (n == 1)
        _exit(EXIT_ENDED);
    while (waitpid(child, &status, 0) == -1 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EXIT_RUNTIME);
}

bool
process_daemonize(int *tell, struct fault *why)
{
    int fds[2];
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) == -1)
        return fault_errno(why, "cannot make a pipe");
    child = fork();
    if (child == -1) {
        fault_errno(why, "cannot go to the background");
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    if (child > 0) {
        close(fds[1]);
        wait_for_child(child, fds[0]);
    }
    close(fds[0]);
    setsid();
    *tell = fds[1];
    return true;
}

void
process_tell_ready(int tell)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null != -1) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
    (void)!write(tell, "", 1);
    close(tell);
}

/* Who stands in PATH; 0: nobody. */
static long
pid_in(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd == -1)
        return 0;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

static bool
is_taken(const char *path)
{
    long pid = pid_in(path);

    return pid > 0 && pid != getpid() && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

bool
process_write_pidfile(const char *path, bool replace, struct fault *why)
{
    char text[32];
    int fd, n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (path[0] == '\0')
        return true;
    if (!replace && is_taken(path))
        return fault_set(why, "58030", "pidfile %s belongs to a process that runs", path);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd == -1 || write(fd, text, (size_t)n) != n) {
        fault_errno(why, "cannot write the pidfile %s", path);
        if (fd != -1)
            close(fd);
        return false;
    }
    close(fd);
    return true;
}

void
process_remove_pidfile(const char *path)
{
    if (path[0] != '\0' && pid_in(path) == getpid())
        unlink(path);
}

void
process_block_signals(void)
{
    static const int handled[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(handled) / sizeof(*handled); i++)
        sigaddset(&set, handled[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}
