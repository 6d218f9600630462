/*
 * The steps that Redis runs as one: their text, from scripts/<name>.lua, where
 * each says what its keys and arguments are.
 */
#ifndef MASTER_QUEUE_SCRIPTS_H
#define MASTER_QUEUE_SCRIPTS_H

struct script {
    const char *name;
    const char *sha; /* by which a server that has seen it knows it */
    const char *text;
};

extern const struct script script_beat;
extern const struct script script_dead;
extern const struct script script_give_back;
extern const struct script script_prune;

#endif
