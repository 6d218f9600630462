#include "coro/core/symbol.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "/proc/self/exe"

/* Within a file's first bytes the class of machine is told. */
#define NATIVE_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

struct coro_symbol {
    uintptr_t address; /* as in the file */
    uintptr_t size_bytes;
    const char *name;
};

/* --- the file ------------------------------------------------------------ */

/* The program is what is listed first. */
static int note_bias(struct dl_phdr_info *info, size_t size_bytes,
                     void *argument)
{
    (void)size_bytes;
    *(uintptr_t *)argument = info->dlpi_addr;
    return 1;
}

/* NULL unless @count things of @size_bytes lie at @offset of the file. */
static const void *part_of(const struct coro_symbols *symbols, uint64_t offset,
                           uint64_t count, size_t size_bytes)
{
    if (offset > symbols->file_bytes || offset % sizeof(uint32_t) != 0 ||
        count > (symbols->file_bytes - offset) / size_bytes)
        return NULL;
    return symbols->file + offset;
}

static const ElfW(Ehdr) * header_of(const struct coro_symbols *symbols)
{
    const ElfW(Ehdr) *header = part_of(symbols, 0, 1, sizeof *header);
    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != NATIVE_CLASS ||
        header->e_shentsize != sizeof(ElfW(Shdr)))
        return NULL;
    return header;
}

/* Emulators and checkers run a program from a file that is not what the kernel
 * takes for the program's; the first instruction tells. */
static bool is_ours(const struct coro_symbols *symbols)
{
    const ElfW(Ehdr) *header = header_of(symbols);
    return header && header->e_entry + symbols->bias == getauxval(AT_ENTRY);
}

static bool map_file(struct coro_symbols *symbols, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    void *file = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size > 0)
        file =
            mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (file == MAP_FAILED)
        return false;
    symbols->file = file;
    symbols->file_bytes = (size_t)status.st_size;
    if (is_ours(symbols))
        return true;
    munmap(file, symbols->file_bytes);
    symbols->file = NULL;
    return false;
}

static bool map_program(struct coro_symbols *symbols)
{
    char path[4096];
    if (map_file(symbols, PROGRAM))
        return true;
    ssize_t len = readlink(PROGRAM, path, sizeof path - 1);
    if (len < 0)
        return false;
    path[len] = '\0';
    return map_file(symbols, path);
}

/* --- the table ----------------------------------------------------------- */

static const ElfW(Shdr) *
    find_table(const ElfW(Shdr) * sections, size_t nsections)
{
    for (size_t i = 0; i < nsections; i++)
        if (sections[i].sh_type == SHT_SYMTAB &&
            sections[i].sh_link < nsections)
            return &sections[i];
    return NULL;
}

static int by_address(const void *left, const void *right)
{
    const struct coro_symbol *a = left, *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

static void note_functions(struct coro_symbols *symbols,
                           const ElfW(Sym) * entries, size_t nentries,
                           const ElfW(Shdr) * strings)
{
    const char *names = part_of(symbols, strings->sh_offset & ~(uint64_t)3,
                                strings->sh_size, 1);
    if (!names || strings->sh_size == 0)
        return;
    names = symbols->file + strings->sh_offset;
    symbols->functions = calloc(nentries, sizeof *symbols->functions);
    if (!symbols->functions)
        return;
    for (size_t i = 0; i < nentries; i++) {
        const ElfW(Sym) *entry = &entries[i];
        if ((entry->st_info & 15) != STT_FUNC || entry->st_shndx == SHN_UNDEF ||
            entry->st_name >= strings->sh_size)
            continue;
        symbols->functions[symbols->nfunctions++] = (struct coro_symbol){
            entry->st_value, entry->st_size, names + entry->st_name};
    }
    qsort(symbols->functions, symbols->nfunctions, sizeof *symbols->functions,
          by_address);
}

static void read_table(struct coro_symbols *symbols)
{
    const ElfW(Ehdr) *header = header_of(symbols);
    const ElfW(Shdr) *sections =
        part_of(symbols, header->e_shoff, header->e_shnum, sizeof *sections);
    if (!sections)
        return;
    const ElfW(Shdr) *table = find_table(sections, header->e_shnum);
    if (!table)
        return;
    size_t nentries = table->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *entries =
        part_of(symbols, table->sh_offset, nentries, sizeof *entries);
    if (entries && nentries > 0)
        note_functions(symbols, entries, nentries, &sections[table->sh_link]);
}

void coro_symbols_open(struct coro_symbols *symbols)
{
    *symbols = (struct coro_symbols){0};
    dl_iterate_phdr(note_bias, &symbols->bias);
    if (map_program(symbols))
        read_table(symbols);
}

void coro_symbols_close(struct coro_symbols *symbols)
{
    free(symbols->functions);
    if (symbols->file)
        munmap((void *)(uintptr_t)symbols->file, symbols->file_bytes);
    *symbols = (struct coro_symbols){0};
}

/* --- looking up ---------------------------------------------------------- */

/* The last function that begins at or before @address, in the file. */
static const struct coro_symbol *last_before(const struct coro_symbols *symbols,
                                             uintptr_t address)
{
    size_t low = 0, high = symbols->nfunctions;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->functions[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &symbols->functions[low - 1] : NULL;
}

const char *coro_symbols_name(const struct coro_symbols *symbols,
                              uintptr_t address, uintptr_t *ret_offset)
{
    uintptr_t in_file = address - symbols->bias;
    const struct coro_symbol *function = last_before(symbols, in_file);
    Dl_info info;
    uintptr_t offset;
    const char *name;
    /* The end counts: a call that never returns may be the last thing. */
    if (function && in_file - function->address <= function->size_bytes) {
        offset = in_file - function->address;
        name = function->name;
    } else if (dladdr((void *)address, &info) && info.dli_sname) {
        offset = address - (uintptr_t)info.dli_saddr;
        name = info.dli_sname;
    } else {
        return NULL;
    }
    if (ret_offset)
        *ret_offset = offset;
    return name;
}

void coro_symbols_describe(const struct coro_symbols *symbols,
                           uintptr_t address, char *text, size_t capacity)
{
    uintptr_t offset;
    Dl_info info;
    const char *name = coro_symbols_name(symbols, address, &offset);
    if (!name && dladdr((void *)address, &info) && info.dli_fname) {
        const char *slash = strrchr(info.dli_fname, '/');
        name = slash ? slash + 1 : info.dli_fname;
        offset = address - (uintptr_t)info.dli_fbase;
    }
    if (name)
        snprintf(text, capacity, "%s+0x%llx", name, (unsigned long long)offset);
    else
        snprintf(text, capacity, "0x%llx", (unsigned long long)address);
}

void coro_symbols_calls(const struct coro_symbols *symbols,
                        const uintptr_t *frames, size_t nframes, char *text,
                        size_t capacity)
{
    static const char more[] = "…";
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < nframes; i++) {
        char call[128];
        /* A call that never returns may be the last thing in its function:
         * where it would go on is then the next one's beginning. */
        uintptr_t at = i > 0 ? frames[i] - 1 : frames[i];
        const char *name = coro_symbols_name(symbols, at, NULL);
        if (!name)
            coro_symbols_describe(symbols, at, call, sizeof call);
        int n = snprintf(text + len, capacity - len, "%s%s", len ? " < " : "",
                         name ? name : call);
        if (n < 0 || (size_t)n + sizeof more >= capacity - len) {
            snprintf(text + len, capacity - len, "%s", more);
            return;
        }
        len += (size_t)n;
    }
}
