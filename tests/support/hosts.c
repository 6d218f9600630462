#include "tests/support/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/netlink.h"

#define SPACES (CLONE_NEWNET | CLONE_NEWUTS)

/* 10.77.N.1 and 10.77.N.2 are the ends of cable N. */
#define NETWORK 0x0a4d0000u
#define OURS    1u
#define THEIRS  2u

#define THEIR_CABLE "eth0"

static int own_net_fd, own_uts_fd;

/* Fails the test unless @status is 0; @what could not be done. */
static void must(int status, const char *what)
{
    if (status < 0)
        fail_msg("%s: %s", what, strerror(-status));
}

static int open_space(const char *name)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/ns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void go_to(int net_fd, int uts_fd)
{
    must(setns(net_fd, CLONE_NEWNET) < 0 ? -errno : 0,
         "can't change to another network namespace");
    must(setns(uts_fd, CLONE_NEWUTS) < 0 ? -errno : 0,
         "can't change to another host name");
}

void hosts_begin(void)
{
    int flags = SPACES | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
    if (unshare(flags) < 0)
        fail_msg("this test makes network namespaces, which the kernel refuses "
                 "(%s): it has to run as root with CAP_SYS_ADMIN, or where "
                 "every user may make user namespaces",
                 strerror(errno));
    own_net_fd = open_space("net");
    own_uts_fd = open_space("uts");
    must(netlink_set_up("lo", true), "can't set up the loopback");
}

void host_make(struct host *host, const char *name, unsigned number)
{
    uint32_t network = NETWORK | number << 8;
    *host = (struct host){.net_fd = -1};
    snprintf(host->name, sizeof host->name, "%s", name);
    snprintf(host->server, sizeof host->server, "10.77.%u.%u", number, OURS);
    snprintf(host->cable, sizeof host->cable, "cable%u", number);
    must(unshare(SPACES) < 0 ? -errno : 0, "can't make a namespace");
    host->net_fd = open_space("net");
    host->uts_fd = open_space("uts");
    must(sethostname(name, strlen(name)) < 0 ? -errno : 0, "can't name a host");
    go_to(own_net_fd, own_uts_fd);
    must(netlink_make_cable(host->cable, THEIR_CABLE, host->net_fd),
         "can't make a cable (a pair of veth)");
    must(netlink_add_address(host->cable, network | OURS), "no address");
    host_join(host);
    host_enter(host);
    must(netlink_set_up("lo", true), "can't set up a host's loopback");
    must(netlink_add_address(THEIR_CABLE, network | THEIRS), "no address");
    must(netlink_set_up(THEIR_CABLE, true), "can't set up a host's cable");
    host_leave(host);
}

void host_enter(const struct host *host)
{
    go_to(host->net_fd, host->uts_fd);
}

void host_leave(const struct host *host)
{
    (void)host;
    go_to(own_net_fd, own_uts_fd);
}

void host_cut(const struct host *host)
{
    must(netlink_set_up(host->cable, false), "can't pull a cable out");
}

void host_join(const struct host *host)
{
    must(netlink_set_up(host->cable, true), "can't put a cable back");
}

/* Its namespace goes some time after its last process; the cable at once. */
void host_release(struct host *host)
{
    if (host->cable[0])
        netlink_remove_cable(host->cable);
    if (host->net_fd > 0)
        close(host->net_fd);
    if (host->uts_fd > 0)
        close(host->uts_fd);
    *host = (struct host){.net_fd = -1};
}
