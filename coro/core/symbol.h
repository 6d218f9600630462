/*
 * Names for addresses of code: what a backtrace is made readable with.
 *
 * The program's own functions, static ones included, are looked up in the
 * symbol table of its file, those of shared libraries by dladdr(). In a program
 * that was stripped there is no such table, and an address is then shown as
 * "file+offset", which addr2line takes with the file's debug information.
 *
 *     struct coro_symbols symbols;
 *     coro_symbols_open(&symbols);
 *     coro_symbols_describe(&symbols, frames[0], text, sizeof text);
 *     coro_symbols_close(&symbols);
 */
#ifndef CORO_CORE_SYMBOL_H
#define CORO_CORE_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

struct coro_symbol;

struct coro_symbols {
    const char *file; /* the program's, mapped; NULL: not available */
    size_t file_bytes;
    uintptr_t bias;                /* what is added to the addresses in it */
    struct coro_symbol *functions; /* in the order of their addresses */
    size_t nfunctions;
};

/**
 * Reads the program's symbol table. Without one, or without memory, @symbols is
 * good all the same, and knows less. Ownership: coro_symbols_close(). Context:
 * any thread; does not suspend; reads a file.
 */
void coro_symbols_open(struct coro_symbols *symbols);

/** Frees what @symbols holds. */
void coro_symbols_close(struct coro_symbols *symbols);

/**
 * The name of the function that lies at @address; borrowed from @symbols.
 *
 * @ret_offset  NULL, or where to put how far into it @address lies.
 *
 * Returns NULL when it is not known.
 */
const char *coro_symbols_name(const struct coro_symbols *symbols,
                              uintptr_t address, uintptr_t *ret_offset);

/** Writes "function+0x1f", "file+0x1234" or "0x1234" as a string to @text. */
void coro_symbols_describe(const struct coro_symbols *symbols,
                           uintptr_t address, char *text, size_t capacity);

/**
 * Writes the names of the functions in @frames, a backtrace, to @text, as a
 * string in one line: "innermost < its caller < …"; what does not fit is cut
 * off with a "…". Context: any thread; any signal, if it interrupts neither
 * the dynamic linker nor anything that holds its lock.
 *
 * @capacity  of @text in bytes, at least 8.
 */
void coro_symbols_calls(const struct coro_symbols *symbols,
                        const uintptr_t *frames, size_t nframes, char *text,
                        size_t capacity);

#endif
