/*
 * For tests of what is logged: the log goes to a file in memory.
 */
#ifndef TESTS_UNIT_WORKER_LOG_FILE_H
#define TESTS_UNIT_WORKER_LOG_FILE_H

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/log.h"

struct log_file {
    int fd;
    char text[64 * 1024];
};

/* Has this process log into @file, all levels, as text. */
static inline void log_file_open(struct log_file *file)
{
    file->fd = memfd_create("log", MFD_CLOEXEC);
    log_start(&(struct log_options){.level = LOG_LEVEL_DEBUG, .fd = file->fd});
}

/* All that has been logged by now, as a string. */
static inline const char *log_file_read(struct log_file *file)
{
    log_flush();
    ssize_t n = pread(file->fd, file->text, sizeof file->text - 1, 0);
    file->text[n > 0 ? n : 0] = '\0';
    return file->text;
}

static inline void log_file_close(struct log_file *file)
{
    log_thread_end();
    log_start(&(struct log_options){.level = LOG_LEVEL_ERROR, .fd = 2});
    close(file->fd);
}

#endif
