/* Matches regular expressions of ECMA-262 by PCRE2, with a limit on the cost of a match. */
#include "schemas/json_schema/internal.h"

#include "common/buffer.h"

#include <ctype.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define PATTERN_SIZE_MAX    65536
#define PATTERN_MATCH_LIMIT 500000
#define PATTERN_DEPTH_LIMIT 20000
#define PATTERN_HEAP_LIMIT  20000 /* KiB */

#define ECMA_SPACES                                                                                \
    "\\t\\n\\x0b\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"    \
    "\\x{3000}\\x{feff}"
#define ECMA_ANY_CHARACTER "[^\\n\\r\\x{2028}\\x{2029}]"

struct json_pattern {
    struct json_pattern *next;
    pcre2_code *code;
    pcre2_match_context *limits;
};

/** A pattern that is being rewritten. */
struct translation {
    struct slice from;
    size_t at;
    struct buffer to;
    bool in_class;
    bool after_quantifier;
};

static char peek(const struct translation *t, size_t ahead)
{
    return t->at + ahead < t->from.length ? t->from.data[t->at + ahead] : '\0';
}

/** Read `count` hexadecimal digits from `ahead` on.
 * @return -1 where there are too few. */
static long read_hexadecimal(const struct translation *t, size_t ahead, size_t count)
{
    char digits[9] = "";
    for (size_t i = 0; i < count && i < sizeof digits - 1; i++) {
        digits[i] = peek(t, ahead + i);
        if (!isxdigit((unsigned char)digits[i]))
            return -1;
    }
    return strtol(digits, NULL, 16);
}

/** Rewrite "\uXXXX", a pair of surrogates, "\u{XXXX}" or "\xXX". */
static bool translate_code_point(struct translation *t)
{
    long high = 0;
    size_t used = 6;
    if (peek(t, 1) == 'x') {
        used = 4;
        high = read_hexadecimal(t, 2, 2);
    } else if (peek(t, 2) == '{') {
        size_t count = 0;
        while (isxdigit((unsigned char)peek(t, 3 + count)))
            count++;
        high = count > 0 && count <= 6 && peek(t, 3 + count) == '}' ? read_hexadecimal(t, 3, count)
                                                                    : -1;
        used = count + 4;
    } else {
        high = read_hexadecimal(t, 2, 4);
        long low = peek(t, 6) == '\\' && peek(t, 7) == 'u' ? read_hexadecimal(t, 8, 4) : -1;
        if (high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            used = 12;
        }
    }
    if (high < 0)
        return false;
    buffer_append_format(&t->to, "\\x{%lx}", (unsigned long)high);
    t->at += used;
    return true;
}

static bool translate_escape(struct translation *t)
{
    char c = peek(t, 1);
    if (c == 'u' || c == 'x')
        return translate_code_point(t);
    if (c == 's' && t->in_class) {
        buffer_append_text(&t->to, ECMA_SPACES);
    } else if ((c == 's' || c == 'S') && !t->in_class) {
        buffer_append_text(&t->to, c == 's' ? "[" ECMA_SPACES "]" : "[^" ECMA_SPACES "]");
    } else if (c == 'v') {
        buffer_append_text(&t->to, "\\x0b");
    } else if (c == '0' && !isdigit((unsigned char)peek(t, 2))) {
        buffer_append_text(&t->to, "\\x{0}");
    } else {
        bool is_known = c != '\0' && strchr("123456789dDwWSbBfnrtcpPk", c) != NULL;
        if (c == '\0' || (isalnum((unsigned char)c) && !is_known))
            return false; /* \A, \Z and others have a meaning only in Perl */
        buffer_append(&t->to, t->from.data + t->at, 2);
    }
    t->at += 2;
    return true;
}

/** Rewrite an opening parenthesis. Only the groups of ECMA-262 are allowed. */
static bool is_known_group(const struct translation *t)
{
    if (peek(t, 1) == '*')
        return false;
    if (peek(t, 1) != '?')
        return true;
    char kind = peek(t, 2);
    if (kind == '<')
        return peek(t, 3) == '=' || peek(t, 3) == '!' || isalpha((unsigned char)peek(t, 3)) ||
               peek(t, 3) == '_';
    return kind == ':' || kind == '=' || kind == '!';
}

static bool translate_in_class(struct translation *t)
{
    char c = peek(t, 0);
    if (c == '[')
        buffer_append_text(&t->to, "\\["); /* ECMA-262 has no "[:alpha:]" */
    else
        buffer_append(&t->to, &c, 1);
    t->in_class = c != ']';
    t->at++;
    return true;
}

static bool translate_one(struct translation *t)
{
    char c = peek(t, 0);
    bool after_quantifier = t->after_quantifier;
    t->after_quantifier = false;
    if (c == '\\')
        return translate_escape(t);
    if (t->in_class)
        return translate_in_class(t);
    if (c == '(' && !is_known_group(t))
        return false;
    if (c == '+' && after_quantifier)
        return false; /* possessive in Perl, an error in ECMA-262 */
    t->after_quantifier = strchr("*+?}", c) != NULL && c != '\0';
    if (c == '.')
        buffer_append_text(&t->to, ECMA_ANY_CHARACTER);
    else
        buffer_append(&t->to, &c, 1);
    t->at++;
    t->in_class = c == '[';
    if (c == '[' && peek(t, 0) == '^') {
        buffer_append_text(&t->to, "^");
        t->at++;
    }
    return true;
}

static bool translate(struct translation *t)
{
    while (t->at < t->from.length) {
        if (!translate_one(t))
            return false;
    }
    return !t->to.failed;
}

static enum status pattern_compile(struct json_pattern *pattern, struct slice text,
                                   struct error *err)
{
    int code = 0;
    PCRE2_SIZE offset = 0;
    PCRE2_UCHAR message[128] = "";
    pattern->code = pcre2_compile((PCRE2_SPTR)(text.data == NULL ? "" : text.data), text.length,
                                  PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
                                      PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C,
                                  &code, &offset, NULL);
    if (pattern->code == NULL) {
        (void)pcre2_get_error_message(code, message, sizeof message);
        return error_set_native(err, STATUS_FATAL, code, "not a regular expression: %s",
                                (const char *)message);
    }
    pattern->limits = pcre2_match_context_create(NULL);
    if (pattern->limits == NULL)
        return error_set(err, STATUS_FATAL, "no memory for a pattern");
    (void)pcre2_set_match_limit(pattern->limits, PATTERN_MATCH_LIMIT);
    (void)pcre2_set_depth_limit(pattern->limits, PATTERN_DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(pattern->limits, PATTERN_HEAP_LIMIT);
    return STATUS_OK;
}

enum status json_pattern_new(struct slice text, struct json_pattern **list, struct error *err)
{
    enum status status = STATUS_OK;
    struct translation t = {.from = text};
    buffer_init(&t.to, PATTERN_SIZE_MAX);
    struct json_pattern *pattern = calloc(1, sizeof *pattern);
    if (pattern == NULL) {
        status = error_set(err, STATUS_FATAL, "no memory for a pattern");
        goto out;
    }
    if (!translate(&t))
        status = error_set(err, STATUS_FATAL, "not a regular expression of ECMA-262, at byte %zu",
                           t.at);
    else
        status = pattern_compile(pattern, buffer_slice(&t.to), err);
    if (status == STATUS_OK) {
        pattern->next = *list;
        *list = pattern;
        pattern = NULL;
    }
out:
    json_pattern_free_all(pattern);
    buffer_done(&t.to);
    return status;
}

enum json_pattern_result json_pattern_match(const struct json_pattern *pattern, struct slice text)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (data == NULL)
        return JSON_PATTERN_GAVE_UP;
    int count = pcre2_match(pattern->code, (PCRE2_SPTR)text.data, text.length, 0, 0, data,
                            pattern->limits);
    pcre2_match_data_free(data);
    if (count >= 0)
        return JSON_PATTERN_YES;
    return count == PCRE2_ERROR_NOMATCH ? JSON_PATTERN_NO : JSON_PATTERN_GAVE_UP;
}

void json_pattern_free_all(struct json_pattern *list)
{
    while (list != NULL) {
        struct json_pattern *pattern = list;
        list = pattern->next;
        pcre2_match_context_free(pattern->limits);
        pcre2_code_free(pattern->code);
        free(pattern);
    }
}
