#include "worker/json_escape.h"

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Reads four digits; -1 when they are not. */
static int32_t take_hex4(const char **at, const char *end)
{
    if (end - *at < 4)
        return -1;
    int32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int value = hex_value(*(*at)++);
        if (value < 0)
            return -1;
        code = code << 4 | value;
    }
    return code;
}

/* Reads what follows a backslash and the u: one code, or a surrogate pair. */
static int32_t take_unicode(const char **at, const char *end)
{
    int32_t code = take_hex4(at, end);
    if (code < 0xd800 || code > 0xdfff)
        return code;
    if (code > 0xdbff || end - *at < 2 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return -1;
    *at += 2;
    int32_t low = take_hex4(at, end);
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

int32_t json_take_escape(const char **at, const char *end)
{
    if (*at == end)
        return -1;
    char letter = *(*at)++;
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        return take_unicode(at, end);
    default:
        return -1;
    }
}
