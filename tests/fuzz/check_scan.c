#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/oracle.h"
#include "worker/scan.h"

/* Said once more, for what the header says is what the format allows. */
#define DEPTH_MAX 512

/* The scanner accepts what Jansson takes for an object, but not too deep. */
static const char *check_acceptance(const struct oracle *oracle)
{
    bool is_ours = scan_find(oracle->bytes, oracle->len, NULL, 0) == 0;
    if (!oracle->root)
        return is_ours ? "the scanner accepts what is no object" : NULL;
    bool is_deep = oracle_depth(oracle) > DEPTH_MAX;
    if (is_ours && is_deep)
        return "the scanner accepts what is nested too deeply";
    if (!is_ours && !is_deep)
        return "the scanner refuses an object";
    return NULL;
}

static struct scan_range find(const struct oracle *oracle, const char *name)
{
    struct scan_wanted wanted = {.name = name};
    scan_find(oracle->bytes, oracle->len, &wanted, 1);
    return wanted.value;
}

/* A number as strtod() reads it, where that is exact enough to tell. */
static bool is_time_right(struct scan_range range, int64_t us)
{
    char text[64];
    if (range.len >= sizeof text)
        return true;
    memcpy(text, range.at, range.len);
    text[range.len] = '\0';
    if (text[0] == '-')
        return us == -1;
    double seconds = strtod(text, NULL);
    if (fabs(seconds - 1e11) < 1)
        return true;
    if (seconds >= 1e11)
        seconds /= 1000;
    if (seconds > 9.2e12)
        return us == -1 || seconds < 9.3e12;
    return fabs((double)us - seconds * 1e6) <= 1 + seconds * 1e-9;
}

static const char *check_time(struct scan_range range)
{
    int64_t us = scan_time_us(range);
    char first = range.at[0];
    if (first == '-' || (first >= '0' && first <= '9'))
        return is_time_right(range, us) ? NULL : "a time is misread";
    if (first != '"' && us != -1)
        return "a time is found where there is no number";
    return NULL;
}

static const char *check_members(const struct oracle *oracle)
{
    static const char absent[] = "\x01 no such name \x01";
    const char *name;
    json_t *value;
    json_object_foreach(oracle->root, name, value)
    {
        struct scan_range range = find(oracle, name);
        if (!oracle_agrees(oracle, range, value))
            return "a member has another value";
        const char *wrong = check_time(range);
        if (wrong)
            return wrong;
    }
    if (!json_object_get(oracle->root, absent) && find(oracle, absent).at)
        return "a member is found that is not there";
    return NULL;
}

static const char *check_job_members(const struct oracle *oracle,
                                     const struct scan_result *job)
{
    const json_t *root = oracle->root;
    const json_t *args = json_object_get(root, "args");
    bool is_right =
        oracle_agrees(oracle, job->class, json_object_get(root, "class")) &&
        oracle_agrees(oracle, job->args, args) &&
        oracle_agrees(oracle, job->first_arg, json_array_get(args, 0)) &&
        oracle_agrees(oracle, job->jid, json_object_get(root, "jid")) &&
        oracle_agrees(oracle, job->retry, json_object_get(root, "retry")) &&
        oracle_agrees(oracle, job->queue, json_object_get(root, "queue")) &&
        oracle_agrees(oracle, job->corq, json_object_get(root, "corq"));
    return is_right ? NULL : "the job has another member";
}

static const char *check_job(const struct oracle *oracle)
{
    struct scan_result job;
    int kind = scan_job(oracle->bytes, oracle->len, &job);
    int expected = SCAN_RAW;
    if (json_is_string(json_object_get(oracle->root, "class")))
        expected = SCAN_DESCRIBED;
    else if (json_is_object(json_object_get(oracle->root, "corq")))
        expected = SCAN_ENVELOPE;
    if (kind != expected)
        return "the job is of another kind";
    return kind == SCAN_RAW ? NULL : check_job_members(oracle, &job);
}

const char *check_scan(const struct oracle *oracle)
{
    const char *wrong = check_acceptance(oracle);
    if (wrong || !oracle->root || oracle_depth(oracle) > DEPTH_MAX)
        return wrong;
    wrong = check_members(oracle);
    return wrong ? wrong : check_job(oracle);
}
