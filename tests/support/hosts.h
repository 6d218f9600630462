/*
 * Several hosts on one machine: network namespaces, each with a host name of
 * its own and a cable to ours, which can be pulled out and put back.
 *
 *     hosts_begin();
 *     struct host web;
 *     host_make(&web, "web", 1);
 *     host_enter(&web);
 *     … start a program that connects to web.server …
 *     host_leave(&web);
 *     host_cut(&web);
 *     host_join(&web);
 *     host_release(&web);
 *
 * There is no way from there, or from us after hosts_begin(), to any other
 * network. All of it goes with the processes that are in it.
 *
 * It takes what root has in a container that may make namespaces, or else a
 * kernel that lets every user have them; where neither is so the test fails and
 * says why. Context of all: the test's only thread.
 */
#ifndef TESTS_SUPPORT_HOSTS_H
#define TESTS_SUPPORT_HOSTS_H

struct host {
    char name[32];
    char server[16]; /* our address, as it is known there */
    char cable[16];  /* our end */
    int net_fd, uts_fd;
};

/** Puts this thread, and what it starts, into a network of its own. Once. */
void hosts_begin(void);

/** Makes a host. @number, from 1 to 250, is of no other one. */
void host_make(struct host *host, const char *name, unsigned number);

/** What is started between these two runs on @host. */
void host_enter(const struct host *host);
void host_leave(const struct host *host);

/** Nothing goes through the cable any more. Nobody is told. */
void host_cut(const struct host *host);

/** It goes through again. */
void host_join(const struct host *host);

/** Forgets it; it ends with the last process in it. A zeroed one is fine. */
void host_release(struct host *host);

#endif
