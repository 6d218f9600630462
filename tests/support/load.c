#include "tests/support/load.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void load_push(struct load *load, struct scene *scene, size_t njobs)
{
    load->scene = scene;
    ledger_open(&load->ledger, LOAD_PREFIX, njobs);
    scene_push_sleeps(scene, LOAD_QUEUE, LOAD_PREFIX, njobs);
}

void load_see_progress(struct load *load, size_t part, size_t of)
{
    size_t njobs = load->ledger.njobs;
    assert_true(
        scene_sees_waiting(load->scene, LOAD_QUEUE, njobs - part * njobs / of));
}

void load_enter(struct load *load, struct program *program)
{
    ledger_enter(&load->ledger, program);
}

static void end(struct load *load, struct program *program)
{
    if (!program->is_started)
        return;
    if (program_is_running(program)) {
        program_signal(program, SIGTERM);
        assert_int_equal(program_wait_exit(program, PATIENCE_MS), 0);
        ledger_enter(&load->ledger, program);
    }
}

void load_judge(struct load *load, struct verdict verdict)
{
    struct scene *scene = load->scene;
    sees_drained(&scene->redis, QUEUES(LOAD_QUEUE));
    end(load, &scene->corq);
    end(load, &scene->second);
    verdict_of_ledger(verdict, &load->ledger, &scene->redis,
                      QUEUES(LOAD_QUEUE));
    ledger_close(&load->ledger);
}
