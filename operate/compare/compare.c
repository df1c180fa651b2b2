/* The rounds of a comparison: all rows first, then by key what was left out. */
#include "common/utf8.h"
#include "operate/compare/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define LEFT_OUT_BYTES_MAX    ((size_t)256 * 1024 * 1024)
#define DIFFERENCES_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define DIFFERENCES_FIRST     16
#define DOUBLED_KEY_MAX       100 /* bytes of it that are said */
#define KEEP_INTERVAL_US      1000000
#define STOPPED               "the comparison was stopped"

void compare_drop(struct compare *compare, size_t index, const char *format, ...)
{
    struct copy_result *copy = &compare->result->copies[index];
    va_list arguments;
    compare->comparable &= ~participant_bit(index);
    if (copy->reason[0] != '\0')
        return;
    va_start(arguments, format);
    utf8_vformat(copy->reason, sizeof copy->reason, format, arguments);
    va_end(arguments);
}

void compare_drop_all(struct compare *compare, const char *reason)
{
    for (size_t i = 1; i < compare->options->count; i++)
        compare_drop(compare, i, "%s", reason);
}

void compare_drop_participant(struct compare *compare, size_t index, const char *reason)
{
    for (size_t i = 1; index == 0 && i < compare->options->count; i++)
        compare_drop(compare, i, "%s: %s", compare_participant(compare, 0)->name, reason);
    if (index != 0)
        compare_drop(compare, index, "%s", reason);
}

/* SQLite keeps a text and a blob with the same bytes as two keys, and a published table need not
 * have a unique key. Nobody can say which row is meant. */
void compare_drop_doubled(struct compare *compare, struct slice key)
{
    char reason[COMPARE_REASON_SIZE];
    int length = key.length < DOUBLED_KEY_MAX ? (int)key.length : DOUBLED_KEY_MAX;
    (void)snprintf(reason, sizeof reason,
                   "several of its rows are read with the key %.*s: correct its type, or leave one "
                   "row",
                   length, key.data);
    for (size_t i = 1; i < compare->options->count; i++)
        compare->result->copies[i].is_doubled |= compare->asked == 0 || compare->asked == i;
    compare_drop_participant(compare, compare->asked, reason);
}

void compare_drop_failed(struct compare *compare, size_t index, const struct error *err)
{
    bool is_private = err->native_code != 0 || err->connection_lost;
    for (size_t i = 1; is_private && i < compare->options->count; i++) {
        struct copy_result *copy = &compare->result->copies[i];
        if ((index == 0 || index == i) && copy->reason[0] == '\0')
            copy->is_private = true;
    }
    compare_drop_participant(compare, index, err->text);
}

/* A snapshot that is not read must be kept meanwhile, or it has to give way. */
static enum status compare_tick(void *context, uint64_t count, struct error *err)
{
    struct compare *compare = context;
    const struct compare_options *options = compare->options;
    if (options->progress != NULL && compare->asked < options->count)
        options->progress(options->context, compare_participant(compare, compare->asked), count);
    if (options->stop != NULL && atomic_load(options->stop)) {
        compare_drop_all(compare, STOPPED);
        return error_set(err, STATUS_RETRY, STOPPED);
    }
    int64_t now_us = clock_monotonic_us();
    if (now_us - compare->kept_at_us < KEEP_INTERVAL_US)
        return STATUS_OK;
    compare->kept_at_us = now_us;
    for (size_t i = 0; i < options->count; i++) {
        struct error ended = ERROR_INIT;
        struct participant *participant = compare_participant(compare, i);
        if (i != compare->asked && compare_asks(compare, i) &&
            participant->ops->keep(participant, &ended) != STATUS_OK)
            compare_drop_failed(compare, i, &ended);
    }
    return STATUS_OK;
}

struct question compare_question(struct compare *compare, size_t index)
{
    compare->asked = index;
    return (struct question){.columns = &compare->columns[index],
                             .tick = {.call = compare_tick, .context = compare}};
}

bool compare_is_answered(struct compare *compare, size_t index, enum status status,
                         struct error *err)
{
    if (status == STATUS_OK)
        return compare_asks(compare, index);
    compare_drop_failed(compare, index, err);
    error_clear(err);
    return false;
}

/* @return room for one more difference; NULL without memory. */
static struct difference *compare_add(struct copy_result *copy)
{
    if (copy->difference_count == copy->difference_size) {
        size_t size = copy->difference_size == 0 ? DIFFERENCES_FIRST : copy->difference_size * 2;
        struct difference *more = realloc(copy->differences, size * sizeof *more);
        if (more == NULL)
            return NULL;
        copy->differences = more;
        copy->difference_size = size;
    }
    return &copy->differences[copy->difference_count++];
}

enum status compare_note(struct compare *compare, size_t index, enum difference_kind kind,
                         struct slice key, struct error *err)
{
    struct copy_result *copy = &compare->result->copies[index];
    copy->counts[kind]++;
    if (copy->difference_count == COMPARE_DIFFERENCES_MAX)
        return STATUS_OK;
    struct slice named = arena_copy(&compare->result->arena, key);
    struct difference *difference = named.data == NULL ? NULL : compare_add(copy);
    if (difference == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the differences");
    *difference = (struct difference){.kind = kind, .key = named};
    return STATUS_OK;
}

static void compare_end(struct compare *compare)
{
    for (size_t i = 0; i < compare->options->count; i++) {
        struct participant *participant = compare_participant(compare, i);
        participant->ops->end(participant);
    }
}

/* Rule 35. The columns are compared with the stamps. */
static void compare_topics(struct compare *compare)
{
    const struct participant *reference = compare_participant(compare, 0);
    for (size_t i = 1; i < compare->options->count; i++) {
        const struct participant *participant = compare_participant(compare, i);
        if (strcmp(participant->topic, reference->topic) != 0)
            compare_drop(compare, i, "it reads the topic %s, not %s", participant->topic,
                         reference->topic);
    }
}

/* @return whether another round may compare something that this one could not. */
static bool compare_goes_on(const struct compare *compare, int round)
{
    for (size_t i = 0; i < compare->result->left_out.count; i++) {
        const struct left_entity *entity = &compare->result->left_out.entities[i];
        if ((entity->pending & compare->comparable) != 0 &&
            (round == 0 || entity->reason != LEFT_PARKED))
            return true;
    }
    return false;
}

/* Where some entities alone are compared, it is as if they had been left out of all others. */
static enum status compare_choose_keys(struct compare *compare, struct error *err)
{
    struct left_out *left_out = &compare->result->left_out;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < compare->options->key_count; i++) {
        const struct closing closing = {.key = compare->options->keys[i],
                                        .copies = compare->comparable};
        status = left_out_close(left_out, &closing, err);
    }
    for (size_t i = 0; i < left_out->count; i++)
        left_out->entities[i].pending = compare->comparable;
    return status;
}

static enum status compare_begin(struct compare *compare, struct error *err)
{
    if (compare->options->keys != NULL)
        return compare_choose_keys(compare, err);
    enum status status = compare_stamps(compare, true, err);
    failpoint(FAILPOINT_VERIFY_STAMPED);
    if (status == STATUS_OK)
        status = compare_all_rows(compare, err);
    compare_end(compare);
    return status;
}

static enum status compare_rounds(struct compare *compare, struct error *err)
{
    enum status status = compare_begin(compare, err);
    for (int round = 0;
         status == STATUS_OK && round < COMPARE_ROUNDS_MAX && compare_goes_on(compare, round);
         round++) {
        if (compare->options->wait != NULL && (round > 0 || compare->options->keys == NULL))
            compare->options->wait(round);
        left_out_open_all(&compare->result->left_out);
        status = compare_stamps(compare, false, err);
        if (status == STATUS_OK)
            status = compare_left_rows(compare, err);
        compare_end(compare);
    }
    return status;
}

static int compare_differences(const void *left, const void *right)
{
    return slice_compare(((const struct difference *)left)->key,
                         ((const struct difference *)right)->key);
}

static void compare_conclude(struct compare *compare)
{
    struct comparison *result = compare->result;
    for (size_t i = 1; i < result->count; i++) {
        struct copy_result *copy = &result->copies[i];
        bool differs = copy->is_partial;
        for (size_t kind = 0; kind < DIFFERENCE_KINDS; kind++)
            differs = differs || copy->counts[kind] > 0;
        copy->state = differs                   ? COPY_DIFFERENT
                      : copy->reason[0] != '\0' ? COPY_NOT_COMPARED
                                                : COPY_EQUAL;
        if (copy->difference_count > 0)
            qsort(copy->differences, copy->difference_count, sizeof *copy->differences,
                  compare_differences);
    }
    for (size_t i = 0; i < result->left_out.count; i++)
        result->left_out.entities[i].pending &= compare->comparable;
}

enum status compare_copies(const struct compare_options *options, struct comparison *ret_comparison,
                           struct error *err)
{
    struct compare *compare = calloc(1, sizeof *compare);
    *ret_comparison = (struct comparison){.count = options->count};
    arena_init(&ret_comparison->arena, DIFFERENCES_BYTES_MAX);
    left_out_init(&ret_comparison->left_out, LEFT_OUT_BYTES_MAX);
    if (compare == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a comparison");
    compare->options = options;
    compare->result = ret_comparison;
    for (size_t i = 1; i < options->count; i++)
        compare->comparable |= participant_bit(i);
    compare_topics(compare);
    enum status status = compare_rounds(compare, err);
    compare_conclude(compare);
    free(compare->left_out);
    free(compare);
    return status;
}

void comparison_done(struct comparison *comparison)
{
    for (size_t i = 0; i < COMPARE_PARTICIPANTS_MAX; i++)
        free(comparison->copies[i].differences);
    left_out_done(&comparison->left_out);
    arena_done(&comparison->arena);
    *comparison = (struct comparison){0};
}

int comparison_exit_code(const struct comparison *comparison)
{
    int code = EX_OK;
    for (size_t i = 1; i < comparison->count; i++) {
        if (comparison->copies[i].state == COPY_DIFFERENT)
            return EX_DATAERR;
        if (comparison->copies[i].reason[0] != '\0')
            code = EX_TEMPFAIL;
    }
    for (size_t i = 0; i < comparison->left_out.count; i++) {
        if (comparison->left_out.entities[i].pending != 0)
            code = EX_TEMPFAIL;
    }
    return code;
}
