/*
 * Several `corq run` with several processes each, all on one queue.
 *
 *     struct fleet fleet;
 *     fleet_start(&fleet, &server, &shapes[i], &options);
 *     …
 *     fleet_stop(&fleet);
 *     struct fleet_share share = fleet_share(&fleet);
 *
 * Everything that is in the server goes when a fleet starts.
 */
#ifndef BENCH_FLEET_H
#define BENCH_FLEET_H

#include <stddef.h>

#include "bench/program.h"
#include "bench/server.h"

#define FLEET_SUPERVISORS_MOST 8

struct fleet_shape {
    const char *name; /* for people */
    const char *key;  /* for the JSON file */
    size_t nsupervisors;
    size_t nprocesses; /* of each supervisor */
};

struct fleet {
    const struct fleet_shape *shape;
    struct server *server;
    struct program programs[FLEET_SUPERVISORS_MOST];
};

/* How jobs were shared out among processes. */
struct fleet_share {
    double least; /* what the one with the fewest had, by the mean */
    double most;
    double jain; /* (sum x)^2 / (n sum x^2): 1 when all had the same */
    double njobs;
};

/** How many processes take jobs. */
size_t fleet_size(const struct fleet_shape *shape);

/**
 * Empties the server, and starts a fleet there. @options say what all processes
 * have in common; their number is taken from @shape.
 */
void fleet_start(struct fleet *fleet, struct server *server,
                 const struct fleet_shape *shape,
                 const struct program_options *options);

/** Asks all to end, and waits for them. */
void fleet_stop(struct fleet *fleet);

/** CPU seconds of all supervisors and processes. */
double fleet_cpu(const struct fleet *fleet);

/** Resident bytes of all of them, those that they share counted in each. */
double fleet_bytes(const struct fleet *fleet);

/** What each has run since the start. Only after fleet_stop(). */
struct fleet_share fleet_share(const struct fleet *fleet);

#endif
