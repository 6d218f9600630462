#include "master/process/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC      UINT64_C(0x636f72712d766974) /* "corq-vit" */
#define PAGE_BYTES ((size_t)4096)

struct shared_head {
    uint64_t magic;
    uint64_t nplaces;
    uint64_t nmarks;
    uint64_t stride; /* from one place to the next, in bytes */
    uint64_t offset; /* of the first */
    uint64_t words_bytes;
    uint32_t nwords;
    int32_t supervisor;
    char words[];
};

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static size_t words_bytes(int nwords, char *const *words)
{
    size_t bytes = 0;
    for (int i = 0; i < nwords; i++)
        bytes += strlen(words[i]) + 1;
    return bytes;
}

static int map(struct shared *shared)
{
    void *base = mmap(NULL, shared->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                      shared->fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    shared->head = base;
    return 0;
}

static void note_head(struct shared *shared, const struct shared_head *head)
{
    shared->supervisor = head->supervisor;
    shared->nplaces = head->nplaces;
    shared->nmarks = head->nmarks;
    shared->stride = head->stride;
    shared->offset = head->offset;
}

static void fill(struct shared *shared, const struct shared_head *head,
                 const struct shared_options *options)
{
    memcpy(shared->head, head, sizeof *head);
    note_head(shared, head);
    char *at = shared->head->words;
    for (int i = 0; i < options->nwords; i++)
        at = stpcpy(at, options->words[i]) + 1;
    for (size_t i = 0; i < options->nplaces; i++)
        shared_clear(shared, i);
}

int shared_create(struct shared *shared, const struct shared_options *options)
{
    struct shared_head head = {
        .magic = MAGIC,
        .nplaces = options->nplaces,
        .nmarks = options->nmarks,
        .stride = whole_pages(vitals_bytes(options->nmarks)),
        .words_bytes = words_bytes(options->nwords, options->words),
        .nwords = (uint32_t)options->nwords,
        .supervisor = getpid(),
    };
    head.offset = whole_pages(sizeof head + head.words_bytes);
    *shared = (struct shared){
        .fd = memfd_create("corq", MFD_CLOEXEC | MFD_ALLOW_SEALING),
        .bytes = head.offset + head.nplaces * head.stride,
    };
    if (shared->fd < 0)
        return -errno;
    int status = 0;
    if (ftruncate(shared->fd, (off_t)shared->bytes) < 0 ||
        fcntl(shared->fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        status = -errno;
    if (status == 0)
        status = map(shared);
    if (status < 0) {
        shared_release(shared);
        return status;
    }
    fill(shared, &head, options);
    return 0;
}

/* Whether what was mapped is as large as it says. */
static bool is_sound(const struct shared *shared)
{
    const struct shared_head *head = shared->head;
    size_t least = sizeof *head;
    return shared->bytes >= least && head->magic == MAGIC &&
           head->words_bytes <= shared->bytes - least &&
           head->offset >= least + head->words_bytes &&
           head->stride >= vitals_bytes(head->nmarks) &&
           head->offset + head->nplaces * head->stride == shared->bytes;
}

int shared_attach(struct shared *shared, int fd)
{
    struct stat about;
    *shared = (struct shared){.fd = fd};
    if (fstat(fd, &about) < 0)
        return -errno;
    shared->bytes = (size_t)about.st_size;
    int status =
        fcntl(fd, F_GET_SEALS) < 0 || shared->bytes < sizeof(struct shared_head)
            ? -EPROTO
            : map(shared);
    if (status == 0 && !is_sound(shared))
        status = -EPROTO;
    close(fd);
    shared->fd = -1;
    if (status < 0)
        shared_release(shared);
    else
        note_head(shared, shared->head);
    return status;
}

void shared_release(struct shared *shared)
{
    if (shared->head)
        munmap(shared->head, shared->bytes);
    if (shared->fd > 0)
        close(shared->fd);
    *shared = (struct shared){.fd = -1};
}

pid_t shared_supervisor(const struct shared *shared)
{
    return shared->supervisor;
}

size_t shared_nplaces(const struct shared *shared)
{
    return shared->nplaces;
}

struct vitals *shared_vitals(const struct shared *shared, size_t place)
{
    char *base = (char *)shared->head;
    return (void *)(base + shared->offset + place * shared->stride);
}

void shared_clear(const struct shared *shared, size_t place)
{
    struct vitals *vitals = shared_vitals(shared, place);
    if (fallocate(shared->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)(shared->offset + place * shared->stride),
                  (off_t)shared->stride) < 0)
        memset(vitals, 0, shared->stride);
    vitals->nmarks = shared->nmarks;
}

char **shared_words(const struct shared *shared, int *ret_nwords)
{
    const struct shared_head *head = shared->head;
    size_t table_bytes = (head->nwords + 1) * sizeof(char *);
    char **words = malloc(table_bytes + head->words_bytes + 1);
    if (!words)
        return NULL;
    char *at = (char *)words + table_bytes;
    char *end = at + head->words_bytes;
    memcpy(at, head->words, head->words_bytes);
    *end = '\0';
    int n = 0;
    for (; n < (int)head->nwords && at < end; at += strlen(at) + 1)
        words[n++] = at;
    words[n] = NULL;
    *ret_nwords = n;
    return words;
}
