/* The desk's loop. It has its own session and its own Kafka handles, so that a broker or a control
 * topic that does not answer slows down nobody else. */
#include "operate/desk/desk.h"

#include "common/clock.h"
#include "common/log.h"
#include "operate/desk/reading.h"
#include "operate/fill/asking.h"
#include "operate/page/fleet.h"
#include "operate/retention_watch.h"

#include <stdlib.h>

#define DESK_ROUND_US      (INT64_C(1) * 1000 * 1000)
#define DESK_TICK_US       (INT64_C(100) * 1000)
#define DESK_REPORT_US     (INT64_C(10) * 1000 * 1000) /* at least so often */
#define DESK_WISH_US       (INT64_C(200) * 1000)       /* between two that are wished for */
#define DESK_HEAR_US       (INT64_C(2) * 1000 * 1000)
#define DESK_TOPICS_LOOKED 2 /* at what retention does, each time: the end waits for no more */
#define DESK_BACKOFF_US    (INT64_C(8) * 1000 * 1000) /* at most */

struct desk {
    const struct desk_options *options;
    const atomic_bool *stop;
    char group[256];
    struct control_topic *topic; /* NULL: open it first */
    bool checked;                /* it is as it has to be */
    struct members members;
    struct retention_watch watch;
    int64_t heard_us; /* monotonic, when it was read last; 0: not since it was opened */
    struct desk_reading reading;
    struct buffer written;     /* the last record that was written, without its time */
    int64_t written_us;        /* monotonic; 0: none yet */
    unsigned long long wishes; /* that were made before the last record was written */
    char said[ERROR_TEXT_SIZE];
};

bool desk_is_wanted(const struct config *config, const struct metrics_sources *sources)
{
    return config->control_topic[0] != '\0' && (sources->agent != NULL || config->apply_count == 0);
}

static void desk_forget_topic(struct desk *desk)
{
    control_topic_close(desk->topic);
    desk->topic = NULL;
    desk->checked = false;
    desk->heard_us = 0;
    members_done(&desk->members);
}

static enum status desk_open(struct desk *desk, struct error *err)
{
    enum status status = STATUS_OK;
    if (desk->topic == NULL) {
        struct control_options options = members_control(desk->options->service->config,
                                                         desk->group, sizeof desk->group);
        options.make = true;
        options.stop = desk->stop;
        status = control_topic_open(&options, &desk->topic, err);
    }
    if (status == STATUS_OK && !desk->checked)
        status = control_topic_check(desk->topic, err);
    desk->checked = desk->checked || status == STATUS_OK;
    return status;
}

static enum status desk_hear(struct desk *desk, struct error *err)
{
    int64_t now = clock_monotonic_us();
    if (desk->heard_us != 0 && now - desk->heard_us < DESK_HEAR_US)
        return STATUS_OK;
    enum status status = members_read(&desk->members, desk->topic, err);
    if (status != STATUS_OK)
        return status;
    desk->heard_us = now;
    retention_watch_look(&desk->watch, &desk->members, desk->topic, DESK_TOPICS_LOOKED);
    const struct members_seen seen = {&desk->members, desk->topic, &desk->watch};
    members_page_write(desk->options->sources->members, desk->options->sources->config->service,
                       &seen);
    fleet_write(desk->options->fleet, &seen);
    return STATUS_OK;
}

static enum status desk_write(struct desk *desk, const struct member_record *record,
                              struct error *err)
{
    struct buffer key;
    struct buffer value;
    buffer_init(&key, MEMBER_KEY_MAX);
    buffer_init(&value, MEMBER_RECORD_BYTES_MAX);
    member_key_append(record, &key);
    member_record_append(record, &value);
    enum status status = key.failed || value.failed
                             ? error_set(err, STATUS_REJECT,
                                         "this service has too many partitions for one record")
                             : control_topic_write(desk->topic, buffer_slice(&key),
                                                   buffer_slice(&value), err);
    buffer_done(&key);
    buffer_done(&value);
    return status;
}

/* Write the record if it says something new, if the last one is old, or if it is wished for. */
static enum status desk_report(struct desk *desk, struct error *err)
{
    struct member_record record;
    struct buffer value;
    if (!desk_reading_is_settled(&desk->reading, desk->options))
        return STATUS_OK;
    enum status status = desk_reading_record(&desk->reading, desk->options, &desk->members, &record,
                                             err);
    if (status != STATUS_OK)
        return status;
    int64_t now = clock_monotonic_us();
    buffer_init(&value, MEMBER_RECORD_BYTES_MAX);
    member_record_append(&record, &value);
    unsigned long long wishes = atomic_load(desk->options->report_wishes);
    bool is_news = desk->written_us == 0 || wishes != desk->wishes ||
                   !slice_equal(buffer_slice(&value), buffer_slice(&desk->written));
    if (is_news || now - desk->written_us >= DESK_REPORT_US) {
        record.at_us = clock_wall_us();
        status = desk_write(desk, &record, err);
        if (status == STATUS_OK) {
            desk->written_us = now;
            desk->wishes = wishes;
            buffer_reset(&desk->written);
            buffer_append(&desk->written, value.data, value.length);
        }
    }
    buffer_done(&value);
    return status;
}

static enum status desk_round(struct desk *desk, struct error *err)
{
    const struct agent_metrics *agent = desk->options->sources->agent;
    if (agent != NULL && !atomic_load(&agent->database_checked))
        return STATUS_OK;
    enum status status = desk_open(desk, err);
    if (status == STATUS_OK)
        status = desk_hear(desk, err);
    if (status != STATUS_OK) {
        desk_forget_topic(desk);
        return status;
    }
    if (desk->options->fill_wishes != NULL)
        fill_asking_tend(desk->options->service, &desk->members, desk->options->fill_wishes,
                         desk->stop);
    status = desk_reading_take(&desk->reading, desk->options, err);
    return status == STATUS_OK ? desk_report(desk, err) : status;
}

/* Say each failure once, until something else happens. Where a broker or a database is silent,
 * agent and relay say so too. */
static void desk_say(struct desk *desk, enum status status, const struct error *err)
{
    const char *text = status == STATUS_OK ? "" : err->text;
    if (strcmp(desk->said, text) == 0)
        return;
    bool is_silence = status == STATUS_RETRY || status == STATUS_STOP;
    if (status != STATUS_OK)
        log_write(is_silence ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "desk",
                  "the other services do not hear of this one: %s; trying again", text);
    else if (desk->said[0] != '\0')
        log_info("desk", "reports to the control topic %s",
                 desk->options->service->config->control_topic);
    memcpy(desk->said, text, strlen(text) + 1);
}

/* @return whether a report is wished for. After a failure that can wait. */
static bool desk_is_wished(const struct desk *desk)
{
    return desk->said[0] == '\0' && atomic_load(desk->options->report_wishes) != desk->wishes &&
           clock_monotonic_us() - desk->written_us >= DESK_WISH_US;
}

static void desk_rest(const struct desk *desk, int64_t duration_us)
{
    int64_t until = clock_monotonic_us() + duration_us;
    while (!atomic_load(desk->stop) && clock_monotonic_us() < until && !desk_is_wished(desk))
        clock_sleep_us(DESK_TICK_US);
}

void desk_run(const struct desk_options *options, const atomic_bool *stop)
{
    struct desk desk = {.options = options, .stop = stop};
    int64_t rest_us = DESK_ROUND_US;
    members_init(&desk.members);
    desk_reading_init(&desk.reading);
    buffer_init(&desk.written, MEMBER_RECORD_BYTES_MAX);
    while (!atomic_load(stop)) {
        struct error err = ERROR_INIT;
        enum status status = desk_round(&desk, &err);
        if (!atomic_load(stop))
            desk_say(&desk, status, &err);
        rest_us = status == STATUS_OK             ? DESK_ROUND_US
                  : rest_us < DESK_BACKOFF_US / 2 ? 2 * rest_us
                                                  : DESK_BACKOFF_US;
        desk_rest(&desk, rest_us);
    }
    desk_forget_topic(&desk);
    retention_watch_done(&desk.watch);
    desk_reading_done(&desk.reading);
    buffer_done(&desk.written);
}
