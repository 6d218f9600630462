/*
 * Telling the service manager how we are, by the protocol of sd_notify(3): one
 * datagram of lines to the socket that NOTIFY_SOCKET names.
 */
#ifndef MASTER_PROCESS_NOTIFY_H
#define MASTER_PROCESS_NOTIFY_H

/**
 * Sends @state, such as "READY=1" or "STOPPING=1\nSTATUS=…". Without a service
 * manager nothing happens; that it could not be told is not an error either.
 *
 * Returns 1 when it was sent, 0 when there is nobody to tell, or a negative
 * errno. Context: any thread; does not suspend or block.
 */
int notify(const char *state);

#endif
