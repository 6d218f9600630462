#include "worker/log_format.h"

#include "coro/base/buf.h"
#include "coro/base/utf8.h"

/* Padded, so that the messages stand below each other. */
static const struct level_words {
    const char *padded;
    const char *plain;
    const char *priority; /* as syslog counts them */
} level_words[] = {
    [LOG_LEVEL_ERROR] = {"error ", "error", "<3>"},
    [LOG_LEVEL_WARN] = {"warn  ", "warn", "<4>"},
    [LOG_LEVEL_INFO] = {"info  ", "info", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug ", "debug", "<7>"},
};

/*
 * The length of the character at @at if it may be shown as it is, otherwise
 * 0. U+0080 to U+009F are control characters too; a terminal may obey them.
 */
static size_t shown_len(const unsigned char *at, size_t left)
{
    if (at[0] < 0x20 || at[0] == 0x7f)
        return 0;
    size_t len = coro_utf8_char_len(at, left);
    if (len == 2 && at[0] == 0xc2 && at[1] < 0xa0)
        return 0;
    return len;
}

/* Appends @text; control characters and invalid bytes as \xNN. */
static void append_visible(struct coro_buf *out, const char *text, size_t len,
                           bool quoted)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t done = 0;
    size_t i = 0;
    while (i < len) {
        size_t step = shown_len(at + i, len - i);
        bool marked = quoted && (at[i] == '"' || at[i] == '\\');
        if (step > 0 && !marked) {
            i += step;
            continue;
        }
        coro_buf_append(out, text + done, i - done);
        coro_buf_append_string(out, marked ? "\\" : "\\x");
        if (marked)
            coro_buf_append_char(out, text[i]);
        else
            coro_buf_append_hex(out, at + i, 1);
        done = ++i;
    }
    coro_buf_append(out, text + done, len - done);
}

/* Whether a value would be read wrongly without quotes around it. */
static bool needs_quotes(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t i = 0; i < len; i++)
        if (at[i] <= ' ' || at[i] >= 0x7f || at[i] == '"' || at[i] == '=' ||
            at[i] == '\\')
            return true;
    return len == 0;
}

static void append_number(struct coro_buf *out, const struct log_field *field)
{
    if (field->type == LOG_FIELD_INT) {
        coro_buf_append_i64(out, field->number);
        return;
    }
    int64_t half = field->number < 0 ? -5000 : 5000;
    int64_t hundredths = field->number / 10000;
    hundredths += (field->number % 10000 + half) / 10000;
    coro_buf_append_fixed(out, hundredths, 2);
}

static void append_text_field(struct coro_buf *out,
                              const struct log_field *field)
{
    coro_buf_append_char(out, ' ');
    coro_buf_append_string(out, field->key);
    coro_buf_append_char(out, '=');
    if (field->type != LOG_FIELD_STRING) {
        append_number(out, field);
    } else if (needs_quotes(field->string, field->len)) {
        coro_buf_append_char(out, '"');
        append_visible(out, field->string, field->len, true);
        coro_buf_append_char(out, '"');
    } else {
        coro_buf_append(out, field->string, field->len);
    }
}

void log_format_text(struct coro_buf *out, const struct log_record *record)
{
    const struct level_words *words = &level_words[record->level];
    coro_buf_append_string(out, record->time ? record->time : words->priority);
    if (record->time)
        coro_buf_append_char(out, ' ');
    coro_buf_append_string(out, words->padded);
    if (record->component) {
        coro_buf_append_string(out, record->component);
        coro_buf_append_string(out, ": ");
    }
    append_visible(out, record->message, record->message_len, false);
    for (size_t i = 0; i < record->nfields; i++)
        append_text_field(out, &record->fields[i]);
    const struct log_field child = log_int("child", record->child);
    if (record->child > 0)
        append_text_field(out, &child);
    coro_buf_append_char(out, '\n');
}

/* Appends any bytes as a JSON string, what is not UTF-8 replaced. */
static void append_json_bytes(struct coro_buf *out, const char *text,
                              size_t len, struct coro_buf *scratch)
{
    if (coro_utf8_is_valid(text, len)) {
        coro_buf_append_json_string(out, text, len);
        return;
    }
    coro_utf8_append_scrubbed(scratch, text, len, SIZE_MAX);
    coro_buf_append_json_string(out, scratch->data, scratch->len);
    out->failed |= scratch->failed;
    coro_buf_clear(scratch);
}

static void append_json_field(struct coro_buf *out,
                              const struct log_field *field,
                              struct coro_buf *scratch)
{
    coro_buf_append_string(out, ",\"");
    coro_buf_append_string(out, field->key);
    coro_buf_append_string(out, "\":");
    if (field->type == LOG_FIELD_STRING)
        append_json_bytes(out, field->string, field->len, scratch);
    else
        append_number(out, field);
}

void log_format_json(struct coro_buf *out, const struct log_record *record,
                     struct coro_buf *scratch)
{
    coro_buf_append_string(out, "{\"time\":\"");
    coro_buf_append_string(out, record->time);
    coro_buf_append_string(out, "\",\"level\":\"");
    coro_buf_append_string(out, level_words[record->level].plain);
    if (record->component) {
        coro_buf_append_string(out, "\",\"component\":\"");
        coro_buf_append_string(out, record->component);
    }
    coro_buf_append_string(out, "\",\"message\":");
    append_json_bytes(out, record->message, record->message_len, scratch);
    for (size_t i = 0; i < record->nfields; i++)
        append_json_field(out, &record->fields[i], scratch);
    const struct log_field child = log_int("child", record->child);
    if (record->child > 0)
        append_json_field(out, &child, scratch);
    coro_buf_append_string(out, "}\n");
}
