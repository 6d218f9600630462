/*
 * The faults that corq is tried with, in the order of docs/reliability.md: what
 * verdict.h calls each, and the words that stand in the table.
 */
#ifndef TESTS_SUPPORT_VERDICT_ROWS_H
#define TESTS_SUPPORT_VERDICT_ROWS_H

#define VERDICT_ROWS(ROW)                                                     \
    ROW(CALM, "no fault")                                                     \
    ROW(IDLE, "nothing to do")                                                \
    ROW(KILLED, "kill -9 of everything, again and again")                     \
    ROW(KILLED_FOR_GOOD, "kill -9, never restarted")                          \
    ROW(CHILD_KILLED, "kill -9 of a child")                                   \
    ROW(SUPERVISOR_KILLED, "kill -9 of the supervisor")                       \
    ROW(SEGFAULT, "a handler crashes")                                        \
    ROW(POISON, "a job that always kills its process")                        \
    ROW(HANDLER_FAILS, "a handler fails")                                     \
    ROW(TERM_LOADED, "SIGTERM under load")                                    \
    ROW(TERM_ENDLESS, "SIGTERM, and jobs that do not end")                    \
    ROW(TERM_IDLE, "SIGTERM with nothing to do")                              \
    ROW(TERM_TWICE, "SIGTERM twice")                                          \
    ROW(TERM_EARLY, "SIGTERM while it starts, or while Redis is away")        \
    ROW(RESTARTED, "Redis is restarted")                                      \
    ROW(ABSENT, "Redis is not there at the start")                            \
    ROW(REFUSING, "Redis loads, is busy, full, can't save, is a replica")     \
    ROW(CUT, "connections are closed, reset, cut in the middle of an answer") \
    ROW(REDIS_FROZEN, "Redis stands still")                                   \
    ROW(PROCESS_FROZEN, "a process stands still, or is cut off, too long")    \
    ROW(VANISHED, "packets vanish")                                           \
    ROW(SLOW, "a slow link, byte by byte")                                    \
    ROW(REFUSED, "connections are refused")                                   \
    ROW(FAILOVER, "a failover that loses writes")                             \
    ROW(WRONG_TYPE, "a key of the wrong type")                                \
    ROW(PASSWORD, "a password missing, wrong, changed")                       \
    ROW(BYTES, "payloads of any bytes")                                       \
    ROW(LARGE, "jobs of 16 MiB")                                              \
    ROW(MILLION, "a million jobs in the queue")                               \
    ROW(DESCRIPTORS, "no file descriptors")                                   \
    ROW(CLOCK, "the wall clock jumps")                                        \
    ROW(IDENTITY, "two processes of the same number")                         \
    ROW(EVERYTHING, "everything at once")

#endif
