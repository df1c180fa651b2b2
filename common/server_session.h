/* What the sessions of all database servers share: options, limits, advice. */
#ifndef COMMON_SERVER_SESSION_H
#define COMMON_SERVER_SESSION_H

#include <stdbool.h>

struct server_session_options {
    const char *url;         /* as common/database_url.h reads it */
    const char *application; /* the name that the server shows, "keepstep agent" */
    bool wait_for_disk;      /* false: PostgreSQL's synchronous_commit is off (rule 7) */
    bool read_only;
    bool lasting; /* the client sets no limit to the time of a statement */
};

#define SERVER_CONNECT_TIMEOUT_S    5 /* not even SIGTERM ends it earlier */
#define SERVER_KEEPALIVE_IDLE_S     30
#define SERVER_KEEPALIVE_INTERVAL_S 10
#define SERVER_KEEPALIVE_COUNT      3
#define SERVER_UNSENT_TIMEOUT_MS    60000
#define SERVER_ANSWER_TIMEOUT_S     90 /* above the statement timeout of 60 s: the server ends it */

#define SERVER_SILENT_ADVICE                                                                       \
    "; check whether the server answers others: it may hang or be overloaded, or a firewall "      \
    "on the way may drop the packets"

#endif
