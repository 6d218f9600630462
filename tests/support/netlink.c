#include "tests/support/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREFIX_BITS 30

struct request {
    struct nlmsghdr header;
    char body[512];
};

static void *add(struct request *request, const void *bytes, size_t len)
{
    char *at = (char *)request + NLMSG_ALIGN(request->header.nlmsg_len);
    if (bytes)
        memcpy(at, bytes, len);
    request->header.nlmsg_len = (uint32_t)(at + len - (char *)request);
    return at;
}

static struct rtattr *add_attribute(struct request *request, unsigned type,
                                    const void *value, size_t len)
{
    struct rtattr head = {.rta_len = (unsigned short)RTA_LENGTH(len),
                          .rta_type = (unsigned short)type};
    struct rtattr *attribute = add(request, &head, sizeof head);
    if (len > 0)
        add(request, value, len);
    return attribute;
}

/* What was added since belongs to it. */
static void end_nest(struct request *request, struct rtattr *nest)
{
    nest->rta_len = (unsigned short)((char *)request +
                                     request->header.nlmsg_len - (char *)nest);
}

static void begin(struct request *request, uint16_t type, uint16_t flags)
{
    *request = (struct request){
        .header = {.nlmsg_len = NLMSG_HDRLEN,
                   .nlmsg_type = type,
                   .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
                   .nlmsg_seq = 1},
    };
}

/* The kernel answers at once, with an error or with 0 in its place. */
static int ask(const struct request *request)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } answer;

    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    ssize_t n = send(fd, request, request->header.nlmsg_len, 0);
    if (n >= 0)
        n = recv(fd, &answer, sizeof answer, 0);
    int status = n < 0 ? -errno : 0;
    close(fd);
    if (status < 0)
        return status;
    if ((size_t)n < offsetof(__typeof__(answer), rest) ||
        answer.header.nlmsg_type != NLMSG_ERROR)
        return -EPROTO;
    return answer.error.error;
}

int netlink_make_cable(const char *name, const char *peer, int net_fd)
{
    struct request request;
    const struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
    begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    add(&request, &link, sizeof link);
    add_attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = add_attribute(&request, IFLA_LINKINFO, NULL, 0);
    add_attribute(&request, IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = add_attribute(&request, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *other = add_attribute(&request, VETH_INFO_PEER, NULL, 0);
    add(&request, &link, sizeof link);
    add_attribute(&request, IFLA_IFNAME, peer, strlen(peer) + 1);
    add_attribute(&request, IFLA_NET_NS_FD, &net_fd, sizeof net_fd);
    end_nest(&request, other);
    end_nest(&request, data);
    end_nest(&request, info);
    return ask(&request);
}

int netlink_add_address(const char *name, uint32_t address)
{
    struct request request;
    uint32_t wire = htonl(address);
    const struct ifaddrmsg of = {
        .ifa_family = AF_INET,
        .ifa_prefixlen = PREFIX_BITS,
        .ifa_index = if_nametoindex(name),
    };
    begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    add(&request, &of, sizeof of);
    add_attribute(&request, IFA_LOCAL, &wire, sizeof wire);
    add_attribute(&request, IFA_ADDRESS, &wire, sizeof wire);
    return ask(&request);
}

/* Asks for something about the interface @name itself. */
static int ask_of_link(uint16_t type, const char *name, struct ifinfomsg link)
{
    struct request request;
    link.ifi_family = AF_UNSPEC;
    link.ifi_index = (int)if_nametoindex(name);
    if (link.ifi_index == 0)
        return -ENODEV;
    begin(&request, type, 0);
    add(&request, &link, sizeof link);
    return ask(&request);
}

int netlink_remove_cable(const char *name)
{
    return ask_of_link(RTM_DELLINK, name, (struct ifinfomsg){.ifi_flags = 0});
}

int netlink_set_up(const char *name, bool is_up)
{
    return ask_of_link(RTM_NEWLINK, name,
                       (struct ifinfomsg){.ifi_flags = is_up ? IFF_UP : 0,
                                          .ifi_change = IFF_UP});
}
