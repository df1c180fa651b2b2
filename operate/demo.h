/* The parts of `keepstep demo`: three services in one folder, their processes, and the comparison.
 */
#ifndef OPERATE_DEMO_H
#define OPERATE_DEMO_H

#include "common/buffer.h"
#include "common/status.h"

#include <stdint.h>
#include <sys/types.h>

#define DEMO_SERVICES     3
#define DEMO_TYPES        4 /* one a service, and one they share */
#define DEMO_PATH_SIZE    1024
#define DEMO_ADDRESS_SIZE 256
#define DEMO_TOKEN_FILE   "token" /* for the buttons of the pages */

extern const char *const demo_services[DEMO_SERVICES]; /* of the demo without --joint */
extern const char *const demo_types[DEMO_TYPES];
extern const char *const demo_tables[DEMO_TYPES];
extern const char demo_try_insert[]; /* for a person to type, quoted for a shell */

/* A JSON Schema of rows with a key `id` and further properties. */
#define DEMO_SCHEMA(key_type, properties)                                                          \
    "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  \"type\": \"object\",\n"    \
    "  \"x-keepstep-key\": [\"id\"],\n  \"properties\": {\n"                                       \
    "    \"id\": {\"type\": " key_type "},\n" properties "  },\n"
#define DEMO_INTEGER "\"integer\", \"x-keepstep-type\": \"integer\""
#define DEMO_TEXT    "\"string\", \"x-keepstep-type\": \"text\""
#define DEMO_DECIMAL "\"string\", \"x-keepstep-type\": \"decimal\""

struct demo {
    const char *const *services; /* the names of DEMO_SERVICES of them */
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

/* demo_files.c */

/** Remove what an earlier demo made: only a folder with a demo's mark in it. */
enum status demo_clean(const struct demo *demo, struct error *err) MUST_CHECK;
/** Make the folder, its mark, and a folder in it for schemas. */
enum status demo_make_folder(const struct demo *demo, struct error *err) MUST_CHECK;
enum status demo_write_file(const struct demo *demo, const char *name, const char *text,
                            struct error *err) MUST_CHECK;
/** Write a random token that only its owner can read. */
enum status demo_write_token(const struct demo *demo, struct error *err) MUST_CHECK;
/** Append what every configuration begins with: service, database, page, Kafka. */
void demo_append_head(struct demo *demo, int service, struct buffer *text);
/** Run SQL in a service's database, through the program sqlite3. */
enum status demo_sql(const struct demo *demo, int service, const char *sql,
                     struct error *err) MUST_CHECK;
/** The same where it must be refused. @param word  in what sqlite3 says of it. @return whether it
 * was refused with that word. */
bool demo_sql_is_refused(const struct demo *demo, int service, const char *sql, const char *word,
                         struct buffer *ret_text) MUST_CHECK;

/* demo_services.c */

/** Write schemas, configurations and the services' own tables. */
enum status demo_lay_out(struct demo *demo, struct error *err) MUST_CHECK;
enum status demo_write_configurations(struct demo *demo, struct error *err) MUST_CHECK;

/** One transaction of a service, which knows nothing of Kafka. */
enum status demo_write(struct demo *demo, int service, int64_t round, struct error *err) MUST_CHECK;

/* demo_kafka.c */

/** Append to the log a copy of one of its records, and one invalid event. */
enum status demo_publish_twice(struct demo *demo, struct error *err) MUST_CHECK;
enum status demo_publish_poison(struct demo *demo, struct error *err) MUST_CHECK;

/* demo_sqlite.c */

/** The first column of the first row of a service's database; -1 where it cannot be had. */
int64_t demo_number(const struct demo *demo, int service, const char *sql);
/** The same as text; "" where it cannot be had. */
void demo_text(const struct demo *demo, int service, const char *sql, struct buffer *ret_text);
/** Rows of a table in a service's database; -1 where it cannot be read. */
int64_t demo_rows(const struct demo *demo, int service, int type);
/** Records that a service's agent has still to apply. */
int64_t demo_lag(const struct demo *demo, int service);
int64_t demo_parked(const struct demo *demo, int service);
/** @return records of shop's events that a service read and did not apply, as duplicates. */
int64_t demo_duplicates(const struct demo *demo, int service);
/** @return rows that differ between a service's copy and the first service's table, both ways. */
int64_t demo_differences(const struct demo *demo, int service, int type);

/* demo_process.c */

/** Start this program with arguments up to NULL; output goes to DIRECTORY/`log`. */
enum status demo_start(const struct demo *demo, const char *log, const char *const *arguments,
                       pid_t *ret_process, struct error *err) MUST_CHECK;
/** Start and wait; a failure's text is the end of its log. */
enum status demo_call(const struct demo *demo, const char *log, const char *const *arguments,
                      struct error *err) MUST_CHECK;
/** Start a broker of its own, unless there is another. @param topics  NAME:PARTITIONS, up to NULL.
 */
enum status demo_start_broker(struct demo *demo, const char *const *topics,
                              struct error *err) MUST_CHECK;
enum status demo_start_sidecar(struct demo *demo, int service, struct error *err) MUST_CHECK;
/** `keepstep init` of each service, and its sidecar. */
enum status demo_start_services(struct demo *demo, struct error *err) MUST_CHECK;
void demo_stop(pid_t *process, int signal_number);
/** Stop all of them. After a demo that was kept, say how to remove what it made. */
void demo_end(struct demo *demo);

/* demo_say.c */

/** Print a line to copy: this program with words and a file of the demo's; SQL in one; how to
 * remove all of it. */
void demo_say_command(const struct demo *demo, const char *words, const char *file);
void demo_say_sql(const struct demo *demo, const char *file, const char *sql);
void demo_say_clean(const struct demo *demo);
/** Print the addresses of the pages. */
void demo_say_pages(const struct demo *demo);

/* demo_joint.c */

/** The demo of joint transactions. @return the exit code. */
int demo_joint(struct demo *demo);

#endif
