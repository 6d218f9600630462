/*
 * Whether an object was changed in certain members only.
 */
#ifndef TESTS_FUZZ_OTHERS_H
#define TESTS_FUZZ_OTHERS_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Whether two objects have the same bytes but for the members in @names: what
 * is around the braces, and every other member with its white space and in its
 * place. Both are valid JSON.
 */
bool others_are_same(const char *before, size_t before_len, const char *after,
                     size_t after_len, const char *const *names, size_t nnames);

/**
 * Whether the last member @name of @before is the only one of @after, with its
 * key and white space as they were and with @value; or, if that is NULL, is
 * gone with all others of that name. One that was not there has been added.
 */
bool others_member_is_set(const char *before, size_t before_len,
                          const char *after, size_t after_len, const char *name,
                          const char *value);

#endif
