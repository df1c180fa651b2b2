/* Answers the five questions of the page from numbers. Nothing here asks anybody. */
#ifndef OPERATE_PAGE_VERDICT_H
#define OPERATE_PAGE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_QUESTIONS    5
#define PAGE_REASON_SIZE  700
#define PAGE_COMMAND_SIZE 640

enum page_verdict {
    PAGE_OK,
    PAGE_BEHIND,  /* it goes on, and will be well by itself or soon */
    PAGE_STALLED, /* it waits for something outside: a broker, a database, a process */
    PAGE_STOPPED, /* a person must act */
    PAGE_UNKNOWN,
};

/** @return "ok", "behind" … */
const char *page_verdict_name(enum page_verdict verdict);

/** A number below 0 is not known, except for the trends. Durations are seconds. */
struct page_agent_facts {
    bool is_here;    /* an agent runs in this process */
    bool is_wanted;  /* the service applies something */
    bool is_checked; /* its database was checked once since the start */
    double database_silent_s;
    double broker_silent_s;
    int64_t topics_missing;
    int64_t partitions; /* that it owns */
    int64_t partitions_unknown;
    int64_t partitions_stopped;
    const char *stopped_topic; /* of the first one that stands still; NULL: none */
    int32_t stopped_partition;
    const char *stopped_reason; /* "": not known */
    const char *paused_type;    /* the first one; NULL: none is */
    double paused_s;
    const char *filling_topic; /* NULL: no copy is being filled */
    int64_t filling_rows;
    bool is_given_up; /* that fill: nobody goes on with it */
    double lag_s;     /* the longest */
    const char *lag_topic;
    int32_t lag_partition;
    int64_t lag_records; /* of all partitions */
    int64_t parked;
    int64_t parked_held;
    int64_t parked_waiting;
    int64_t diverged;
};

struct page_relay_facts {
    bool is_here;
    bool is_wanted;
    bool holds_lease;
    bool is_standby;
    bool is_held_back;
    double broker_silent_s;
    double database_silent_s;
    double stalled_s;
    int64_t pending; /* -1 without the lease */
    int64_t in_flight;
    int64_t set_aside;
    double oldest_s;
    int64_t voided;
    const char *paused_type; /* the first one; NULL: none is */
    double paused_s;
    int64_t capture_broken;
    int64_t capture_unknown;
    int64_t rests_lost;       /* partitions */
    const char *capture_type; /* the first broken one */
};

/** How the numbers move. NaN: not known yet. */
struct page_trends {
    double applied_per_s;
    double published_per_s;
    double lag_per_s; /* records; below 0: the lag shrinks */
    double pending_per_s;
    double catch_up_s; /* NaN too where the lag does not shrink */
};

/** What the control topic says of the types that this service publishes or applies. */
struct page_fleet_facts {
    bool is_wanted; /* there is a control topic */
    double read_s;  /* how long ago it was read; below 0: never */
    int64_t copies; /* that can be compared, with those of other services */
    int64_t different;
    int64_t equal;           /* or the reference of a comparison */
    int64_t unverified;      /* never compared, or not any more */
    double verified_s;       /* the oldest comparison of those that are equal; below 0: none */
    double verified_limit_s; /* a comparison that is older says nothing of now */
    const char *type;    /* of the first copy that is different, or else unverified, or else of the
                          * oldest comparison; NULL: none */
    const char *service; /* whose copy that is */
    double retention_s;  /* of this service's copies, by what it has reported; below 0: not known,
                          * or not in sight */
    const char *retention_topic;
};

struct page_source_facts {
    double retention_s; /* until retention deletes what this copy has not read; below 0: not known,
                         * or not in sight */
    const char *retention_topic;
    int64_t disk_free; /* bytes, where the database is a file; -1 */
    int64_t disk_size;
};

struct page_facts {
    struct page_agent_facts agent;
    struct page_relay_facts relay;
    struct page_trends trends;
    struct page_fleet_facts fleet;
    struct page_source_facts source;
};

struct page_question {
    const char *id;
    enum page_verdict verdict;
    char reason[PAGE_REASON_SIZE];
    const char *command; /* "lag": a subcommand, with its arguments; NULL: nothing to type */
};

/** Answer all of them. Pure. */
void page_judge(const struct page_facts *facts, struct page_question ret_questions[PAGE_QUESTIONS]);

#endif
