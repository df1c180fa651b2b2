/* Polls and decodes in a thread of its own, between two hand-overs. */
#include "consumer/agent/reader.h"

#include "common/failpoint.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define READER_POLL_MS 50

enum reader_state {
    READER_RESTING, /* it waits for a loan */
    READER_READING, /* it fills the batch of the loan */
    READER_ENDING,  /* the thread is to return */
};

struct reader {
    pthread_t thread;
    pthread_mutex_t lock; /* of the state */
    pthread_cond_t changed;
    enum reader_state state;
    atomic_bool is_wanted_back; /* the loan: stop after this record */
    struct reader_loan loan;
    size_t last_index; /* of the partition that was read last: mostly the next one too */
};

/** @return whether the event needed no decision, so that the reader may go on. */
static bool reader_note(struct reader *reader, const struct feed_event *event, struct error *err)
{
    const struct reader_loan *loan = &reader->loan;
    if (event->type == FEED_NONE)
        return true;
    if (event->type != FEED_RECORD && event->type != FEED_END)
        return false;
    size_t index = agent_partition_find(loan->partitions, loan->partition_count, reader->last_index,
                                        event->tp);
    if (index == SIZE_MAX || loan->partitions[index].paused)
        return true;
    struct agent_partition *partition = &loan->partitions[index];
    if (event->type == FEED_END) {
        partition->next_end = event->offset;
        return true;
    }
    if (partition->anchor_offset >= 0 || partition->type_is_paused)
        return false;
    struct record record = event->record;
    record.form = partition->form;
    reader->last_index = index;
    if (batch_add(loan->batch, &record, index, loan->finder, err) != STATUS_OK)
        return false;
    agent_note_waiting(partition, batch_last(loan->batch));
    return true;
}

/* A failure is not reported: the agent's thread polls the same event again and meets it there. */
static void reader_fill(struct reader *reader)
{
    const struct reader_loan *loan = &reader->loan;
    struct error unused = ERROR_INIT;
    struct feed_event event;
    bool goes_on = true;
    while (goes_on && !batch_is_full(loan->batch) && !atomic_load(&reader->is_wanted_back)) {
        goes_on = feed_poll(loan->feed, READER_POLL_MS, &event, &unused) == STATUS_OK &&
                  reader_note(reader, &event, &unused);
        if (!goes_on)
            feed_unread(loan->feed);
    }
}

/** The one setter. The caller holds the lock. */
static void reader_set_state(struct reader *reader, enum reader_state state)
{
    reader->state = state;
    (void)pthread_cond_signal(&reader->changed); /* only one thread waits at a time */
}

static void *reader_run(void *context)
{
    struct reader *reader = context;
    (void)pthread_mutex_lock(&reader->lock);
    while (reader->state != READER_ENDING) {
        if (reader->state == READER_RESTING) {
            (void)pthread_cond_wait(&reader->changed, &reader->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&reader->lock);
        reader_fill(reader);
        failpoint(FAILPOINT_AGENT_READER_AFTER_FILL);
        (void)pthread_mutex_lock(&reader->lock);
        reader_set_state(reader, READER_RESTING);
    }
    (void)pthread_mutex_unlock(&reader->lock);
    return NULL;
}

enum status reader_new(struct reader **ret_reader, struct error *err)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the reader");
    (void)pthread_mutex_init(&reader->lock, NULL);
    (void)pthread_cond_init(&reader->changed, NULL);
    int code = pthread_create(&reader->thread, NULL, reader_run, reader);
    if (code != 0) {
        (void)pthread_cond_destroy(&reader->changed);
        (void)pthread_mutex_destroy(&reader->lock);
        free(reader);
        err->exit_code = EX_OSERR;
        return error_set_native(err, STATUS_FATAL, code,
                                "no thread to read with: %s; allow this process more threads "
                                "(ulimit -u, TasksMax= of the unit, pids of the container)",
                                strerror(code));
    }
    *ret_reader = reader;
    return STATUS_OK;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL)
        return;
    (void)pthread_mutex_lock(&reader->lock);
    reader_set_state(reader, READER_ENDING);
    (void)pthread_mutex_unlock(&reader->lock);
    (void)pthread_join(reader->thread, NULL);
    (void)pthread_cond_destroy(&reader->changed);
    (void)pthread_mutex_destroy(&reader->lock);
    free(reader);
}

void reader_begin(struct reader *reader, const struct reader_loan *loan)
{
    failpoint(FAILPOINT_AGENT_BEFORE_HAND_OVER);
    (void)pthread_mutex_lock(&reader->lock);
    reader->loan = *loan;
    atomic_store(&reader->is_wanted_back, false);
    reader_set_state(reader, READER_READING);
    (void)pthread_mutex_unlock(&reader->lock);
    failpoint(FAILPOINT_AGENT_AFTER_HAND_OVER);
}

void reader_end(struct reader *reader)
{
    failpoint(FAILPOINT_AGENT_BEFORE_TAKE_BACK);
    atomic_store(&reader->is_wanted_back, true);
    (void)pthread_mutex_lock(&reader->lock);
    if (reader->state == READER_READING)
        feed_wake(reader->loan.feed);
    while (reader->state == READER_READING)
        (void)pthread_cond_wait(&reader->changed, &reader->lock);
    (void)pthread_mutex_unlock(&reader->lock);
    failpoint(FAILPOINT_AGENT_AFTER_TAKE_BACK);
}
