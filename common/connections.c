/* A list of open sessions behind a lock. It is short: a process has one or two sessions. */
#include "common/connections.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    struct connection *next;
    const void *session;
    int socket; /* a duplicate, because the client library may close its own at any time */
    int answer_ms;
    bool is_cut;
};

static pthread_mutex_t connections_lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection *connections;
static bool connections_are_cut;

/* The client library takes this for an end of the connection by the server. */
static void connection_cut(struct connection *connection)
{
    connection->is_cut = true;
    (void)shutdown(connection->socket, SHUT_RDWR);
}

enum status connections_add(const void *session, int socket, int answer_ms, struct error *err)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    *connection = (struct connection){
        .session = session, .socket = fcntl(socket, F_DUPFD_CLOEXEC, 0), .answer_ms = answer_ms};
    if (connection->socket < 0) {
        free(connection);
        return error_set(err, STATUS_RETRY, "no file descriptor for a session: %s",
                         strerror(errno));
    }
    (void)pthread_mutex_lock(&connections_lock);
    connection->next = connections;
    connections = connection;
    if (connections_are_cut)
        connection_cut(connection);
    (void)pthread_mutex_unlock(&connections_lock);
    return STATUS_OK;
}

/* The caller holds the lock. @return the pointer to the session's entry; it points to NULL where
 * the session is unknown. */
static struct connection **connections_find(const void *session)
{
    struct connection **place = &connections;
    while (*place != NULL && (*place)->session != session)
        place = &(*place)->next;
    return place;
}

void connections_remove(const void *session)
{
    (void)pthread_mutex_lock(&connections_lock);
    struct connection **place = connections_find(session);
    struct connection *found = *place;
    if (found != NULL)
        *place = found->next;
    (void)pthread_mutex_unlock(&connections_lock);
    if (found != NULL)
        (void)close(found->socket);
    free(found);
}

int connections_answer_ms(const void *session)
{
    (void)pthread_mutex_lock(&connections_lock);
    const struct connection *found = *connections_find(session);
    int answer_ms = found == NULL ? -1 : found->answer_ms;
    (void)pthread_mutex_unlock(&connections_lock);
    return answer_ms;
}

void connections_give_up(const void *session)
{
    (void)pthread_mutex_lock(&connections_lock);
    struct connection *found = *connections_find(session);
    if (found != NULL)
        connection_cut(found);
    (void)pthread_mutex_unlock(&connections_lock);
}

bool connections_gave_up(const void *session)
{
    (void)pthread_mutex_lock(&connections_lock);
    const struct connection *found = *connections_find(session);
    bool is_cut = found != NULL && found->is_cut;
    (void)pthread_mutex_unlock(&connections_lock);
    return is_cut;
}

void connections_cut(void)
{
    (void)pthread_mutex_lock(&connections_lock);
    connections_are_cut = true;
    for (struct connection *each = connections; each != NULL; each = each->next)
        connection_cut(each);
    (void)pthread_mutex_unlock(&connections_lock);
}

enum status connections_refuse(struct error *err)
{
    (void)pthread_mutex_lock(&connections_lock);
    bool refused = connections_are_cut;
    (void)pthread_mutex_unlock(&connections_lock);
    return refused ? error_set(err, STATUS_RETRY,
                               "no database session is opened any more: the process ends")
                   : STATUS_OK;
}
