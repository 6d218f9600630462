/*
 * The steps that Redis runs as one: their text, from scripts/<name>.lua, where
 * each says what its keys and arguments are.
 */
#ifndef MASTER_QUEUE_SCRIPTS_H
#define MASTER_QUEUE_SCRIPTS_H

extern const char script_dead[];
extern const char script_give_back[];

#endif
