#include "coro/base/parse.h"

#include <errno.h>
#include <stdbool.h>

#define nitems(array) (sizeof(array) / sizeof((array)[0]))

/* A run of characters inside the text that is being read. */
struct span {
    const char *at;
    size_t len;
};

/* A number as it is written: 12.50MiB is "12", "50" and "MiB". */
struct decimal {
    struct span whole;
    struct span fraction;
    struct span unit;
};

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"", 1000},   {"ms", 1},      {"s", 1000},
    {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

static const struct unit size_units[] = {
    {"", 1},
    {"b", 1},
    {"k", UINT64_C(1) << 10},
    {"kib", UINT64_C(1) << 10},
    {"m", UINT64_C(1) << 20},
    {"mib", UINT64_C(1) << 20},
    {"g", UINT64_C(1) << 30},
    {"gib", UINT64_C(1) << 30},
    {"t", UINT64_C(1) << 40},
    {"tib", UINT64_C(1) << 40},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Takes the digits at the front of @rest. */
static struct span take_digits(struct span *rest)
{
    struct span digits = {rest->at, 0};
    while (digits.len < rest->len && is_digit(rest->at[digits.len]))
        digits.len++;
    rest->at += digits.len;
    rest->len -= digits.len;
    return digits;
}

/* Both sides of a point must have digits: neither "5." nor ".5" is one. */
static int decimal_split(const char *text, size_t len, struct decimal *ret)
{
    if (len == 0)
        return -EINVAL;
    struct span rest = {text, len};
    struct decimal number = {.whole = take_digits(&rest)};
    if (number.whole.len == 0)
        return -EINVAL;
    if (rest.len > 0 && *rest.at == '.') {
        rest.at++;
        rest.len--;
        number.fraction = take_digits(&rest);
        if (number.fraction.len == 0)
            return -EINVAL;
    }
    number.unit = rest;
    *ret = number;
    return 0;
}

static int digits_value(struct span digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t digit = (uint64_t)(digits.at[i] - '0');
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, digit, &value))
            return -ERANGE;
    }
    *ret_value = value;
    return 0;
}

/*
 * The value of 0.@digits times @factor, rounded up, exact for any number of
 * digits: from the last to the first, each step divides by ten and remembers
 * only whether anything was ever cut off.
 */
static uint64_t fraction_times(struct span digits, uint64_t factor)
{
    uint64_t value = 0;
    bool cut = false;
    for (size_t i = digits.len; i-- > 0;) {
        value += (uint64_t)(digits.at[i] - '0') * factor;
        cut = cut || value % 10 != 0;
        value /= 10;
    }
    return value + cut;
}

static bool unit_is(struct span written, const char *name, bool any_case)
{
    size_t i = 0;
    for (; i < written.len && name[i]; i++) {
        char c = any_case ? lower(written.at[i]) : written.at[i];
        if (c != name[i])
            return false;
    }
    return i == written.len && !name[i];
}

int coro_parse_u64(const char *text, size_t len, uint64_t min, uint64_t max,
                   uint64_t *ret_value)
{
    struct span rest = {text, len};
    struct span digits = len > 0 ? take_digits(&rest) : rest;
    if (digits.len == 0 || rest.len > 0)
        return -EINVAL;
    uint64_t value;
    int status = digits_value(digits, &value);
    if (status < 0)
        return status;
    if (value < min || value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

int coro_parse_duration_ms(const char *text, size_t len, int64_t *ret_ms)
{
    struct decimal number;
    int status = decimal_split(text, len, &number);
    if (status < 0)
        return status;
    uint64_t factor = 0;
    for (size_t i = 0; i < nitems(duration_units); i++)
        if (unit_is(number.unit, duration_units[i].name, false))
            factor = duration_units[i].factor;
    if (factor == 0)
        return -EINVAL;

    uint64_t ms;
    status = digits_value(number.whole, &ms);
    if (status < 0)
        return status;
    uint64_t more = fraction_times(number.fraction, factor);
    if (__builtin_mul_overflow(ms, factor, &ms) ||
        __builtin_add_overflow(ms, more, &ms) || ms >= INT64_MAX)
        return -ERANGE;
    *ret_ms = (int64_t)ms;
    return 0;
}

int coro_parse_seconds(const char *text, size_t len, double *ret_seconds)
{
    struct decimal number;
    int status = decimal_split(text, len, &number);
    if (status < 0)
        return status;
    if (number.unit.len > 0)
        return -EINVAL;
    uint64_t digits;
    status = digits_value(number.whole, &digits);
    if (status < 0)
        return status;
    bool has_fraction = fraction_times(number.fraction, 1) > 0;
    if (digits > CORO_PARSE_SECONDS_MAX ||
        (digits == CORO_PARSE_SECONDS_MAX && has_fraction))
        return -ERANGE;

    /* One exact integer over one exact power of ten is rounded only once;
     * digits beyond the fifteenth could not change what a sleep does. */
    double scale = 1;
    for (size_t i = 0;
         i < number.fraction.len && digits < UINT64_C(100000000000000); i++) {
        digits = digits * 10 + (uint64_t)(number.fraction.at[i] - '0');
        scale *= 10;
    }
    *ret_seconds = (double)digits / scale;
    return 0;
}

int coro_parse_size(const char *text, size_t len, uint64_t min, uint64_t max,
                    uint64_t *ret_size_bytes)
{
    struct decimal number;
    int status = decimal_split(text, len, &number);
    if (status < 0)
        return status;
    uint64_t factor = 0;
    for (size_t i = 0; i < nitems(size_units); i++)
        if (unit_is(number.unit, size_units[i].name, true))
            factor = size_units[i].factor;
    if (factor == 0 || number.fraction.len > 0)
        return -EINVAL;

    uint64_t size_bytes;
    status = digits_value(number.whole, &size_bytes);
    if (status < 0)
        return status;
    if (__builtin_mul_overflow(size_bytes, factor, &size_bytes) ||
        size_bytes < min || size_bytes > max)
        return -ERANGE;
    *ret_size_bytes = size_bytes;
    return 0;
}

/* --- points in time ------------------------------------------------------- */

#define US_PER_S INT64_C(1000000)

/* Where the year 10000 begins, in seconds. */
#define SECONDS_END UINT64_C(253402300800)

/* The parts of a date and time, in their order. */
enum { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, NPARTS };

static bool take_byte(struct span *rest, char byte)
{
    if (rest->len == 0 || *rest->at != byte)
        return false;
    rest->at++;
    rest->len--;
    return true;
}

/* Reads YYYY-MM-DDTHH:MM:SS and leaves what follows it in @rest. */
static int take_parts(struct span *rest, uint64_t parts[NPARTS])
{
    static const struct {
        size_t ndigits;
        uint64_t min, max;
        char before;
    } rules[NPARTS] = {
        [YEAR] = {4, 1970, 9999, '\0'}, [MONTH] = {2, 1, 12, '-'},
        [DAY] = {2, 1, 31, '-'},        [HOUR] = {2, 0, 23, 'T'},
        [MINUTE] = {2, 0, 59, ':'},     [SECOND] = {2, 0, 59, ':'},
    };

    bool in_range = true;
    for (size_t i = 0; i < NPARTS; i++) {
        if (rules[i].before && !take_byte(rest, rules[i].before))
            return -EINVAL;
        struct span digits = take_digits(rest);
        if (digits.len != rules[i].ndigits)
            return -EINVAL;
        digits_value(digits, &parts[i]);
        in_range =
            in_range && parts[i] >= rules[i].min && parts[i] <= rules[i].max;
    }
    return in_range ? 0 : -ERANGE;
}

static bool is_leap(uint64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days since 1970; -1 when the month has no such day. */
static int64_t days_since_1970(uint64_t year, uint64_t month, uint64_t day)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30,
                                       31, 31, 30, 31, 30, 31};
    if (day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return -1;
    uint64_t days = (year - 1970) * 365 + day - 1;
    for (uint64_t y = 1970; y < year; y++)
        days += is_leap(y);
    for (uint64_t m = 1; m < month; m++)
        days += lengths[m - 1] + (m == 2 && is_leap(year));
    return (int64_t)days;
}

static int parse_date_us(const char *text, size_t len, int64_t *ret_us)
{
    struct span rest = {text, len};
    uint64_t parts[NPARTS];
    int status = take_parts(&rest, parts);
    if (status == -EINVAL)
        return status;
    struct span fraction = {rest.at, 0};
    if (take_byte(&rest, '.')) {
        fraction = take_digits(&rest);
        if (fraction.len == 0)
            return -EINVAL;
    }
    if (!take_byte(&rest, 'Z') || rest.len > 0)
        return -EINVAL;
    if (status < 0)
        return status;
    int64_t days = days_since_1970(parts[YEAR], parts[MONTH], parts[DAY]);
    if (days < 0)
        return -ERANGE;
    int64_t seconds = days * 86400 + (int64_t)parts[HOUR] * 3600 +
                      (int64_t)parts[MINUTE] * 60 + (int64_t)parts[SECOND];
    *ret_us = seconds * US_PER_S +
              (int64_t)fraction_times(fraction, (uint64_t)US_PER_S);
    return 0;
}

int coro_parse_time_us(const char *text, size_t len, int64_t *ret_us)
{
    struct decimal number;
    int status = decimal_split(text, len, &number);
    if (status < 0 || number.unit.len > 0)
        return parse_date_us(text, len, ret_us);
    uint64_t seconds;
    status = digits_value(number.whole, &seconds);
    if (status < 0 || seconds >= SECONDS_END)
        return -ERANGE;
    *ret_us = (int64_t)seconds * US_PER_S +
              (int64_t)fraction_times(number.fraction, (uint64_t)US_PER_S);
    return 0;
}
