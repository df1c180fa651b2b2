/* Matches paths and host names. Nothing here knows the server. */
#include "operate/http_route.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* @return whether the path fits; then the part under the star. */
static bool route_fits(const char *pattern, const char *path, struct http_match *match)
{
    match->part = NULL;
    match->part_length = 0;
    while (*pattern != '\0' && *path != '\0') {
        if (*pattern == '*') {
            match->part = path;
            match->part_length = strcspn(path, "/");
            path += match->part_length;
            pattern++;
            continue;
        }
        if (*pattern++ != *path++)
            return false;
    }
    return *pattern == '\0' && *path == '\0' && (match->part == NULL || match->part_length > 0);
}

void http_match(const struct http_route *routes, size_t count, const char *method, const char *path,
                struct http_match *ret_match)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    struct http_match match = {0};
    *ret_match = (struct http_match){0};
    for (size_t i = 0; i < count; i++) {
        const char *allowed = strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD" : routes[i].method;
        if (!route_fits(routes[i].path, path, &match))
            continue;
        (void)snprintf(ret_match->allow + strlen(ret_match->allow),
                       sizeof ret_match->allow - strlen(ret_match->allow), "%s%s",
                       ret_match->allow[0] == '\0' ? "" : ", ", allowed);
        if (strcmp(routes[i].method, wanted) != 0)
            continue;
        ret_match->route = &routes[i];
        ret_match->part = match.part;
        ret_match->part_length = match.part_length;
    }
}

bool http_parse_listen(const char *listen, char ret_host[static HTTP_HOST_SIZE],
                       char ret_port[static 8])
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    if (strtol(colon + 1, NULL, 10) > 65535)
        return false;
    size_t length = (size_t)(colon - listen);
    const char *host = listen;
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    if (length >= HTTP_HOST_SIZE)
        return false;
    if (length == 0)
        (void)snprintf(ret_host, HTTP_HOST_SIZE, "127.0.0.1");
    else
        (void)snprintf(ret_host, HTTP_HOST_SIZE, "%.*s", (int)length, host);
    (void)snprintf(ret_port, 8, "%s", colon + 1);
    return true;
}

/* Take the port and a final dot off. @return false where the name is too long to be one. */
static bool host_name(const char *host, char ret_name[static HTTP_HOST_SIZE])
{
    bool is_bracketed = host[0] == '[';
    const char *start = is_bracketed ? host + 1 : host;
    size_t length = strcspn(start, is_bracketed ? "]" : ":");
    if (!is_bracketed && length > 1 && start[length - 1] == '.')
        length--;
    if (length == 0 || length >= HTTP_HOST_SIZE)
        return false;
    memcpy(ret_name, start, length);
    ret_name[length] = '\0';
    return true;
}

bool http_host_is_known(const char *host, const char *const *hosts, size_t count)
{
    static const char below[] = ".localhost";
    unsigned char address[sizeof(struct in6_addr)];
    char name[HTTP_HOST_SIZE];
    if (host == NULL || !host_name(host, name))
        return false;
    size_t length = strlen(name);
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1 ||
        strcasecmp(name, "localhost") == 0 ||
        (length >= sizeof below && strcasecmp(name + length + 1 - sizeof below, below) == 0))
        return true;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(name, hosts[i]) == 0)
            return true;
    }
    return false;
}
