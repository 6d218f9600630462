/*
 * What tests ask the kernel's network for: a pair of cable ends, an address,
 * an interface that is up. Each works in the namespace of the calling thread,
 * and returns 0 or a negative errno value.
 */
#ifndef TESTS_SUPPORT_NETLINK_H
#define TESTS_SUPPORT_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

/** Makes a cable: one end, @name, is here, the other, @peer, in @net_fd. */
int netlink_make_cable(const char *name, const char *peer, int net_fd);

/** Takes a cable away, both its ends. */
int netlink_remove_cable(const char *name);

/** Gives @name the IPv4 address @address (host byte order) with a /30. */
int netlink_add_address(const char *name, uint32_t address);

int netlink_set_up(const char *name, bool is_up);

#endif
