/*
 * What has to be true of the job codec for any bytes whatever, with Jansson
 * as the second opinion. A fuzzer and an ordinary test both ask.
 */
#ifndef TESTS_FUZZ_CODEC_H
#define TESTS_FUZZ_CODEC_H

#include <stddef.h>

/**
 * Takes @bytes for a payload and tries everything with it. Returns NULL, or
 * what turned out not to be true of them, in words. Ends the process when there
 * is no memory.
 */
const char *codec_check(const char *bytes, size_t len);

#endif
