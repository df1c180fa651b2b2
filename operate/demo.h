/* The parts of `keepstep demo`: three services in one folder, their processes, and the comparison.
 */
#ifndef OPERATE_DEMO_H
#define OPERATE_DEMO_H

#include "common/status.h"

#include <stdint.h>
#include <sys/types.h>

#define DEMO_SERVICES     3
#define DEMO_TYPES        4 /* one a service, and one they share */
#define DEMO_PATH_SIZE    1024
#define DEMO_ADDRESS_SIZE 256
#define DEMO_TOKEN_FILE   "token" /* for the buttons of the pages */

extern const char *const demo_services[DEMO_SERVICES];
extern const char *const demo_types[DEMO_TYPES];
extern const char *const demo_tables[DEMO_TYPES];
extern const char demo_try_insert[]; /* for a person to type, quoted for a shell */

struct demo {
    char directory[DEMO_PATH_SIZE];
    char bootstrap[DEMO_ADDRESS_SIZE];
    bool own_broker;
    bool terminal;
    bool keep; /* broker and sidecars stay until somebody stops the demo, and have pages */
    unsigned ports[DEMO_SERVICES]; /* of the pages; 0: there is none */
    pid_t broker;
    pid_t sidecars[DEMO_SERVICES];
    int64_t injected[DEMO_TYPES]; /* records that no service wrote */
    uint32_t random;
};

/** Write schemas, configurations and the services' own tables; SQL goes through the program
 * sqlite3. */
enum status demo_lay_out(struct demo *demo, struct error *err) MUST_CHECK;
enum status demo_write_configurations(struct demo *demo, struct error *err) MUST_CHECK;

/** One transaction of a service, which knows nothing of Kafka. */
enum status demo_write(struct demo *demo, int service, int64_t round, struct error *err) MUST_CHECK;

/** Append to the log a copy of one of its records, and one invalid event. */
enum status demo_publish_twice(struct demo *demo, struct error *err) MUST_CHECK;
enum status demo_publish_poison(struct demo *demo, struct error *err) MUST_CHECK;

/** Rows of a table in a service's database; -1 where it cannot be read. */
int64_t demo_rows(const struct demo *demo, int service, int type);
/** Records that a service's agent has still to apply. */
int64_t demo_lag(const struct demo *demo, int service);
int64_t demo_parked(const struct demo *demo, int service);
/** @return records of shop's events that a service read and did not apply, as duplicates. */
int64_t demo_duplicates(const struct demo *demo, int service);
/** @return rows that differ between a service's copy and the first service's table, both ways. */
int64_t demo_differences(const struct demo *demo, int service, int type);

/** Start this program with arguments up to NULL; output goes to DIRECTORY/`log`. */
enum status demo_start(const struct demo *demo, const char *log, const char *const *arguments,
                       pid_t *ret_process, struct error *err) MUST_CHECK;
/** Start and wait; a failure's text is the end of its log. */
enum status demo_call(const struct demo *demo, const char *log, const char *const *arguments,
                      struct error *err) MUST_CHECK;
void demo_stop(pid_t *process, int signal_number);

#endif
