/* Checks the formats around URIs, by RFC 3986, 3987 and 6570. */
#include "schemas/json_schema/internal.h"

#include <ctype.h>

/** @return whether every byte is allowed in a part of a URI, as itself or escaped. */
static bool check_characters(struct slice part, const char *extra, bool is_international)
{
    for (size_t i = 0; i < part.length; i++) {
        unsigned char c = (unsigned char)part.data[i];
        if (c == '%') {
            if (i + 2 >= part.length || !isxdigit((unsigned char)part.data[i + 1]) ||
                !isxdigit((unsigned char)part.data[i + 2]))
                return false;
            i += 2;
        } else if (c >= 0x80) {
            if (!is_international)
                return false;
        } else if (!isalnum(c) && (c == '\0' || (strchr("-._~!$&'()*+,;=", c) == NULL &&
                                                 strchr(extra, c) == NULL))) {
            return false;
        }
    }
    return true;
}

/** Take off `text` what precedes the first of `stops`. The stop itself stays in `text`. */
static struct slice take_until(struct slice *text, const char *stops)
{
    size_t length = 0;
    while (length < text->length &&
           (text->data[length] == '\0' || strchr(stops, text->data[length]) == NULL))
        length++;
    struct slice part = {text->data, length};
    text->data += length;
    text->length -= length;
    return part;
}

static bool check_port(struct slice port)
{
    for (size_t i = 0; i < port.length; i++) {
        if (!isdigit((unsigned char)port.data[i]))
            return false;
    }
    return true;
}

static bool check_authority(struct slice authority, bool is_international)
{
    const char *at = authority.length == 0 ? NULL : memrchr(authority.data, '@', authority.length);
    if (at != NULL) {
        struct slice user = {authority.data, (size_t)(at - authority.data)};
        if (!check_characters(user, ":", is_international))
            return false;
        authority = (struct slice){at + 1, authority.length - user.length - 1};
    }
    if (authority.length > 0 && authority.data[0] == '[') {
        struct slice host = take_until(&authority, "]");
        if (authority.length == 0)
            return false;
        authority.data++;
        authority.length--;
        if (!json_format_ipv6((struct slice){host.data + 1, host.length - 1}))
            return false;
    } else if (!check_characters(take_until(&authority, ":"), "", is_international)) {
        return false;
    }
    if (authority.length == 0)
        return true;
    return authority.data[0] == ':' &&
           check_port((struct slice){authority.data + 1, authority.length - 1});
}

static bool check_rest(struct slice text, bool is_international)
{
    if (text.length >= 2 && memcmp(text.data, "//", 2) == 0) {
        text = (struct slice){text.data + 2, text.length - 2};
        if (!check_authority(take_until(&text, "/?#"), is_international))
            return false;
    }
    if (!check_characters(take_until(&text, "?#"), "/:@", is_international) ||
        (text.length > 0 && text.data[0] == '?' &&
         !check_characters(take_until(&text, "#"), "?/:@", is_international)))
        return false;
    if (text.length == 0)
        return true;
    return check_characters((struct slice){text.data + 1, text.length - 1}, "?/:@",
                            is_international);
}

static bool check_uri(struct slice text, bool needs_scheme, bool is_international)
{
    struct slice rest = text;
    struct slice scheme = take_until(&rest, ":/?#");
    bool has_colon = rest.length > 0 && rest.data[0] == ':';
    if (!has_colon)
        return !needs_scheme && check_rest(text, is_international);
    if (scheme.length == 0 || !isalpha((unsigned char)scheme.data[0]))
        return false;
    for (size_t i = 0; i < scheme.length; i++) {
        char c = scheme.data[i];
        if (!isalnum((unsigned char)c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    return check_rest((struct slice){rest.data + 1, rest.length - 1}, is_international);
}

bool json_format_uri(struct slice text)
{
    return check_uri(text, true, false);
}

bool json_format_uri_reference(struct slice text)
{
    return check_uri(text, false, false);
}

bool json_format_iri(struct slice text)
{
    return check_uri(text, true, true);
}

bool json_format_iri_reference(struct slice text)
{
    return check_uri(text, false, true);
}

bool json_format_uri_template(struct slice text)
{
    bool is_open = false;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= 0x20 || c == 0x7f || strchr("\"'<>\\^`|", c) != NULL)
            return false;
        if ((c == '{' && is_open) || (c == '}' && !is_open))
            return false;
        if (c == '}' && text.data[i - 1] == '{')
            return false;
        is_open = c == '{' || (is_open && c != '}');
    }
    return !is_open;
}
