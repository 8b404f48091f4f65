/* SPDX-License-Identifier: ISC */
/* Threads for work that would stall a loop: PBKDF2, name look-ups. */
#ifndef LOOP_HELPER_H
#define LOOP_HELPER_H

#include "loop/worker.h"

/* One piece of work, embedded in a larger struct. The submitter owns it again when DONE is delivered. */
struct job {
    struct mail done;           /* done.deliver runs on FROM's thread afterwards */
    void (*run)(struct job *j); /* runs on a helper thread: touches nothing but J */
    struct worker *from;
    struct job *next;
    bool dropped;                /* the helper ended before RUN was called */
    void (*lose)(struct job *j); /* for helper_abandon(): frees J, on the helper thread */
};

struct helper;

/* At most THREADS threads, started when they are needed, and MAX_JOBS jobs waiting. */
struct helper *helper_new(unsigned threads, unsigned max_jobs);
/* Waits for the jobs that run; those that wait come back as dropped. */
void helper_free(struct helper *h);
/* The same for work that may never end: jobs that run do not come back but are lost, and H goes with the last
 * of its threads. True: some run. */
bool helper_abandon(struct helper *h);
/* Any thread. False when the queue is full: nothing was taken. */
bool helper_submit(struct helper *h, struct job *j);

#endif
