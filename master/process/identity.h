/*
 * Who this process is, in Redis: host:pid:random. No two processes ever share
 * one, whatever becomes of host names and process numbers.
 */
#ifndef MASTER_PROCESS_IDENTITY_H
#define MASTER_PROCESS_IDENTITY_H

#define IDENTITY_MAX 112

/**
 * Makes a new identity in @identity: the host's name without colons and
 * spaces, the pid, 16 random hexadecimal digits.
 * Returns 0 or a negative errno. Context: any thread.
 */
int identity_make(char identity[IDENTITY_MAX]);

#endif
