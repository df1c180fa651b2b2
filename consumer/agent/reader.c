/* Polls and decodes in a thread of its own, between two hand-overs. */
#include "consumer/agent/reader.h"

#include "common/failpoint.h"
#include "common/worker.h"

#include <stdlib.h>

#define READER_POLL_MS 50

struct reader {
    struct worker *worker;
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
    if (partition->anchor_offset >= 0 || partition->type_is_paused ||
        partition->large_state != LARGE_NONE)
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

static void reader_work(void *context)
{
    reader_fill(context);
    failpoint(FAILPOINT_AGENT_READER_AFTER_FILL);
}

enum status reader_new(struct reader **ret_reader, struct error *err)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the reader");
    enum status status = worker_new(reader_work, reader, &reader->worker, err);
    if (status == STATUS_OK)
        *ret_reader = reader;
    else
        free(reader);
    return status;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL)
        return;
    worker_free(reader->worker);
    free(reader);
}

void reader_begin(struct reader *reader, const struct reader_loan *loan)
{
    failpoint(FAILPOINT_AGENT_BEFORE_HAND_OVER);
    reader->loan = *loan;
    atomic_store(&reader->is_wanted_back, false);
    worker_begin(reader->worker);
    failpoint(FAILPOINT_AGENT_AFTER_HAND_OVER);
}

void reader_end(struct reader *reader)
{
    failpoint(FAILPOINT_AGENT_BEFORE_TAKE_BACK);
    atomic_store(&reader->is_wanted_back, true);
    if (worker_is_busy(reader->worker))
        feed_wake(reader->loan.feed);
    worker_wait(reader->worker);
    failpoint(FAILPOINT_AGENT_AFTER_TAKE_BACK);
}
