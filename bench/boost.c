#include "bench/boost.h"

#include <dlfcn.h>
#include <stdio.h>

/* dlsym() has no type for functions. */
static void find(void *library, const char *name, void *ret_function)
{
    *(void **)ret_function = dlsym(library, name);
}

/* The name without a number is there with the development files only. */
static void *open_library(void)
{
    void *library = dlopen("libboost_context.so", RTLD_NOW | RTLD_LOCAL);
    for (int minor = 99; minor >= 60 && !library; minor--) {
        char name[40];
        snprintf(name, sizeof name, "libboost_context.so.1.%d.0", minor);
        library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

bool boost_open(boost_jump_fn **ret_jump, boost_make_fn **ret_make)
{
    void *library = open_library();
    if (!library)
        return false;
    find(library, "jump_fcontext", ret_jump);
    find(library, "make_fcontext", ret_make);
    return *ret_jump && *ret_make;
}
