/*
 * The memory that a supervisor and its children share: a file in memory whose
 * descriptor the children inherit.
 *
 *     head     who the supervisor is, and how large everything is
 *     words    the command line's, as they were before secrets were wiped
 *     place 0  a struct vitals (worker/vitals.h), from a page's beginning on
 *     place 1  …
 *
 * A child has one place, which outlives it until its jobs have been recovered.
 * Its size is sealed: nobody can cut off what another one looks at.
 */
#ifndef MASTER_PROCESS_SHARED_H
#define MASTER_PROCESS_SHARED_H

#include <stddef.h>
#include <sys/types.h>

#include "worker/vitals.h"

struct shared_head;

struct shared {
    int fd; /* to be inherited; -1 in a child */
    struct shared_head *head;
    size_t bytes;
    /* What the head said at first: a job that writes where it must not, in
     * whatever child, does not lead anybody else astray. */
    pid_t supervisor;
    size_t nplaces, nmarks, stride, offset;
};

struct shared_options {
    size_t nplaces;
    size_t nmarks; /* in each place */
    int nwords;
    char *const *words;
};

/** Makes it. Returns 0 or a negative errno. Ownership: shared_release(). */
int shared_create(struct shared *shared, const struct shared_options *options);

/**
 * Maps what a supervisor has made, by its descriptor, which is closed.
 * Returns 0, -EPROTO when it is no such thing, or another negative errno.
 * Ownership: shared_release().
 */
int shared_attach(struct shared *shared, int fd);

/** Unmaps it; one that is all zeroes is allowed. */
void shared_release(struct shared *shared);

/** The process that has made it. */
pid_t shared_supervisor(const struct shared *shared);

size_t shared_nplaces(const struct shared *shared);

/** What lies at @place. */
struct vitals *shared_vitals(const struct shared *shared, size_t place);

/** Empties a place for a child to come, and gives its memory back. */
void shared_clear(const struct shared *shared, size_t place);

/**
 * The words, in an array on the heap that ends with a NULL: one allocation,
 * texts included. Returns NULL when there is no memory. Ownership: free().
 */
char **shared_words(const struct shared *shared, int *ret_nwords);

#endif
