/* Checks the formats other than URIs: times, addresses, names, pointers. */
#include "schemas/json_schema/internal.h"

#include <arpa/inet.h>
#include <ctype.h>

#define HOSTNAME_LENGTH_MAX 253
#define LABEL_LENGTH_MAX    63

/** Take `count` digits off the front of `text`, and check that the number is within the limits. */
static bool take_digits(struct slice *text, size_t count, int least, int most, int *ret)
{
    int number = 0;
    if (text->length < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!isdigit((unsigned char)text->data[i]))
            return false;
        number = number * 10 + (text->data[i] - '0');
    }
    text->data += count;
    text->length -= count;
    *ret = number;
    return number >= least && number <= most;
}

static bool take_one_of(struct slice *text, const char *choices)
{
    if (text->length == 0 || text->data[0] == '\0' || strchr(choices, text->data[0]) == NULL)
        return false;
    text->data++;
    text->length--;
    return true;
}

static bool take_date(struct slice *text)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year;
    int month;
    int day;
    if (!take_digits(text, 4, 0, 9999, &year) || !take_one_of(text, "-") ||
        !take_digits(text, 2, 1, 12, &month) || !take_one_of(text, "-") ||
        !take_digits(text, 2, 1, 31, &day))
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= lengths[month - 1] + (month == 2 && is_leap);
}

/** Read "Z" or "+01:00".
 * @param ret_minutes  east of UTC. */
static bool take_offset(struct slice *text, int *ret_minutes)
{
    int hour;
    int minute;
    *ret_minutes = 0;
    if (take_one_of(text, "Zz"))
        return true;
    bool is_behind = text->length > 0 && text->data[0] == '-';
    if (!take_one_of(text, "+-") || !take_digits(text, 2, 0, 23, &hour) ||
        !take_one_of(text, ":") || !take_digits(text, 2, 0, 59, &minute))
        return false;
    *ret_minutes = (hour * 60 + minute) * (is_behind ? -1 : 1);
    return true;
}

static bool take_time(struct slice *text)
{
    int hour;
    int minute;
    int second;
    int offset;
    if (!take_digits(text, 2, 0, 23, &hour) || !take_one_of(text, ":") ||
        !take_digits(text, 2, 0, 59, &minute) || !take_one_of(text, ":") ||
        !take_digits(text, 2, 0, 60, &second))
        return false;
    if (take_one_of(text, ".")) {
        if (!take_one_of(text, "0123456789"))
            return false;
        while (take_one_of(text, "0123456789"))
            continue;
    }
    if (!take_offset(text, &offset))
        return false;
    /* a leap second is only at midnight in UTC */
    return second < 60 || ((hour * 60 + minute - offset) % 1440 + 1440) % 1440 == 1439;
}

static bool check_date(struct slice text)
{
    return take_date(&text) && text.length == 0;
}

static bool check_time(struct slice text)
{
    return take_time(&text) && text.length == 0;
}

static bool check_date_time(struct slice text)
{
    return take_date(&text) && take_one_of(&text, "Tt") && check_time(text);
}

static bool check_label(struct slice label)
{
    if (label.length == 0 || label.length > LABEL_LENGTH_MAX || label.data[0] == '-' ||
        label.data[label.length - 1] == '-')
        return false;
    for (size_t i = 0; i < label.length; i++) {
        if (!isalnum((unsigned char)label.data[i]) && label.data[i] != '-')
            return false;
    }
    return true;
}

static bool check_hostname(struct slice text)
{
    if (text.length == 0 || text.length > HOSTNAME_LENGTH_MAX)
        return false;
    size_t start = 0;
    for (size_t i = 0; i <= text.length; i++) {
        if (i < text.length && text.data[i] != '.')
            continue;
        if (!check_label((struct slice){text.data + start, i - start}))
            return false;
        start = i + 1;
    }
    return true;
}

static bool check_address(struct slice text, int family)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    if (text.length == 0 || text.length >= sizeof copy || memchr(text.data, 0, text.length) != NULL)
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    return inet_pton(family, copy, address) == 1;
}

bool json_format_ipv4(struct slice text)
{
    return check_address(text, AF_INET);
}

bool json_format_ipv6(struct slice text)
{
    return check_address(text, AF_INET6);
}

static bool check_local_part(struct slice part)
{
    if (part.length == 0 || part.length > 64)
        return false;
    if (part.data[0] == '"')
        return part.length > 2 && part.data[part.length - 1] == '"';
    for (size_t i = 0; i < part.length; i++) {
        char c = part.data[i];
        bool is_dot_misplaced = c == '.' &&
                                (i == 0 || i + 1 == part.length || part.data[i + 1] == '.');
        if (is_dot_misplaced || (unsigned char)c <= 0x20 || c == 0x7f ||
            strchr("()<>[]:;@\\,\"", c) != NULL)
            return false;
    }
    return true;
}

/** Split at the last "@". */
static bool split_email(struct slice text, struct slice *ret_local, struct slice *ret_domain)
{
    const char *at = text.length == 0 ? NULL : memrchr(text.data, '@', text.length);
    if (at == NULL)
        return false;
    *ret_local = (struct slice){text.data, (size_t)(at - text.data)};
    *ret_domain = (struct slice){at + 1, text.length - ret_local->length - 1};
    return true;
}

static bool check_idn_email(struct slice text)
{
    struct slice local;
    struct slice domain;
    return split_email(text, &local, &domain) && check_local_part(local) && domain.length > 0 &&
           memchr(domain.data, ' ', domain.length) == NULL;
}

static bool check_email(struct slice text)
{
    struct slice local;
    struct slice domain;
    for (size_t i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    }
    if (!split_email(text, &local, &domain) || !check_local_part(local))
        return false;
    if (domain.length > 2 && domain.data[0] == '[' && domain.data[domain.length - 1] == ']') {
        struct slice address = {domain.data + 1, domain.length - 2};
        if (address.length > 5 && memcmp(address.data, "IPv6:", 5) == 0)
            return json_format_ipv6((struct slice){address.data + 5, address.length - 5});
        return json_format_ipv4(address);
    }
    return check_hostname(domain);
}

static bool check_uuid(struct slice text)
{
    if (text.length != 36)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text.data[i] != '-' : !isxdigit((unsigned char)text.data[i]))
            return false;
    }
    return true;
}

static bool check_regex(struct slice text)
{
    struct json_pattern *list = NULL;
    bool valid = json_pattern_new(text, &list, NULL) == STATUS_OK;
    json_pattern_free_all(list);
    return valid;
}

static bool check_json_pointer(struct slice text)
{
    if (text.length > 0 && text.data[0] != '/')
        return false;
    for (size_t i = 0; i < text.length; i++) {
        bool is_escape = i + 1 < text.length &&
                         (text.data[i + 1] == '0' || text.data[i + 1] == '1');
        if (text.data[i] == '~' && !is_escape)
            return false;
    }
    return true;
}

static bool check_relative_json_pointer(struct slice text)
{
    size_t digits = 0;
    while (digits < text.length && isdigit((unsigned char)text.data[digits]))
        digits++;
    if (digits == 0 || (digits > 1 && text.data[0] == '0'))
        return false;
    struct slice rest = {text.data + digits, text.length - digits};
    return slice_is(rest, "#") || check_json_pointer(rest);
}

json_format_check json_format_find(const char *name)
{
    static const struct {
        const char *name;
        json_format_check check;
    } formats[] = {
        {"date", check_date},
        {"date-time", check_date_time},
        {"email", check_email},
        {"hostname", check_hostname},
        {"idn-email", check_idn_email},
        {"ipv4", json_format_ipv4},
        {"ipv6", json_format_ipv6},
        {"iri", json_format_iri},
        {"iri-reference", json_format_iri_reference},
        {"json-pointer", check_json_pointer},
        {"regex", check_regex},
        {"relative-json-pointer", check_relative_json_pointer},
        {"time", check_time},
        {"uri", json_format_uri},
        {"uri-reference", json_format_uri_reference},
        {"uri-template", json_format_uri_template},
        {"uuid", check_uuid},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, name) == 0)
            return formats[i].check;
    }
    return NULL;
}
