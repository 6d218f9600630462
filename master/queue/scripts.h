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

extern const struct script script_add_due;
extern const struct script script_bury;
extern const struct script script_beat;
extern const struct script script_dead;
extern const struct script script_due;
extern const struct script script_give_back;
extern const struct script script_move;
extern const struct script script_prune;
extern const struct script script_put_off;
extern const struct script script_resign;

/* at-least-once: what is in flight stays in Redis until it is settled */
extern const struct script script_lease;
extern const struct script script_claim;
extern const struct script script_retire;
extern const struct script script_requeue;
extern const struct script script_requeue_inbox;
extern const struct script script_forget;
extern const struct script script_release;
extern const struct script script_identify;
extern const struct script script_count;

#endif
