/* Sends the datagram of sd_notify(3), whose form is documented and stable. libsystemd would send it
 * too, but it would load libgcrypt, liblzma, liblz4 and libzstd into every sidecar. */
#include "common/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *notify_socket(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    return path == NULL || path[0] == '\0' ? NULL : path;
}

bool notify_is_wanted(void)
{
    return notify_socket() != NULL;
}

bool notify_send(const char *lines)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = notify_socket();
    if (path == NULL)
        return true;
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path) {
        errno = EAFNOSUPPORT;
        return false;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract name, ended by its length and not by a NUL */
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sender < 0)
        return false;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    bool sent = sendto(sender, lines, strlen(lines), MSG_NOSIGNAL,
                       (const struct sockaddr *)&address, size) >= 0;
    int error = errno;
    (void)close(sender);
    errno = error;
    return sent;
}
