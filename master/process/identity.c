#include "master/process/identity.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "coro/base/random.h"

#define RANDOM_BYTES 8

int identity_make(char identity[IDENTITY_MAX])
{
    char host[65] = "";
    if (gethostname(host, sizeof host - 1) < 0 || host[0] == '\0')
        snprintf(host, sizeof host, "localhost");
    for (char *c = host; *c; c++)
        if (*c == ':' || *c <= ' ' || *c > '~')
            *c = '-';
    char random[2 * RANDOM_BYTES + 1];
    int status = coro_random_hex(random, RANDOM_BYTES);
    if (status < 0)
        return status;
    snprintf(identity, IDENTITY_MAX, "%s:%ld:%s", host, (long)getpid(), random);
    return 0;
}
