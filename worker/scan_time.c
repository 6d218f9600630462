#include <stdbool.h>
#include <stdint.h>

#include "worker/scan.h"

/* So many digits always fit into a uint64_t; the value of those behind them is
 * less than any time stamp shows. */
#define DIGITS_MAX 18

/* Exponents beyond this all mean the same here: far too much, or nothing. */
#define EXPONENT_MAX 1000000

/* From this many seconds on, a number is one of milliseconds. */
#define MILLISECONDS_FROM_US INT64_C(100000000000000000)

/* digits * 10^exponent */
struct decimal {
    uint64_t digits;
    int ndigits;
    int64_t exponent;
};

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

static void add_digit(struct decimal *number, char digit, bool is_fraction)
{
    if (number->ndigits < DIGITS_MAX) {
        number->digits = number->digits * 10 + (uint64_t)(digit - '0');
        number->ndigits += number->digits > 0;
        number->exponent -= is_fraction;
    } else {
        number->exponent += !is_fraction;
    }
}

/* Reads one or more digits. */
static bool take_digits(const char **at, const char *end,
                        struct decimal *number, bool is_fraction)
{
    const char *start = *at;
    while (is_digit(*at, end))
        add_digit(number, *(*at)++, is_fraction);
    return *at > start;
}

/* Reads what follows the letter of an exponent. */
static bool take_exponent(const char **at, const char *end,
                          struct decimal *number)
{
    bool is_negative = *at < end && **at == '-';
    if (*at < end && (**at == '-' || **at == '+'))
        ++*at;
    const char *start = *at;
    int64_t value = 0;
    for (; is_digit(*at, end); ++*at)
        if (value < EXPONENT_MAX)
            value = value * 10 + (**at - '0');
    number->exponent += is_negative ? -value : value;
    return *at > start;
}

static bool parse(const char *at, const char *end, struct decimal *number)
{
    if (!take_digits(&at, end, number, false))
        return false;
    if (at < end && *at == '.') {
        at++;
        if (!take_digits(&at, end, number, true))
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (!take_exponent(&at, end, number))
            return false;
    }
    return at == end;
}

/* The whole part of @number * 10^@more; -1 when it is too much. */
static int64_t scaled(struct decimal number, int more)
{
    int64_t exponent = number.exponent + more;
    uint64_t value = number.digits;
    for (; exponent < 0 && value > 0; exponent++)
        value /= 10;
    for (; exponent > 0 && value > 0; exponent--)
        if (__builtin_mul_overflow(value, UINT64_C(10), &value))
            return -1;
    return value > INT64_MAX ? -1 : (int64_t)value;
}

int64_t scan_time_us(struct scan_range range)
{
    if (!range.at)
        return -1;
    const char *at = range.at;
    const char *end = range.at + range.len;
    if (range.len >= 2 && *at == '"') {
        at++;
        end--;
    }
    struct decimal number = {0};
    if (!parse(at, end, &number))
        return -1;
    int64_t us = scaled(number, 6);
    if (us >= 0 && us < MILLISECONDS_FROM_US)
        return us;
    return scaled(number, 3);
}
