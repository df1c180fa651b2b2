/* A whole transaction as one compound statement, so that it is one message and one answer. */
#include "producer/mariadb/compound.h"
#include "producer/mariadb/parameters.h"

#define TEXT_SIZE_MAX ((size_t)64 * 1024)

/* The error by which the first step says that it missed a row; the next step's is one more. No
 * error of the server has such a number. */
#define MISSED_NUMBER 64000

/* A step, and which of the transaction's values is its first one. Its text stands there once for
 * each row, unless it takes all of them as a list. */
struct compound_step {
    const struct sql_step *step;
    const char *text;
    size_t repeats;
    size_t first;
    size_t columns; /* values of one repeat */
    struct buffer list;
};

#define VALUES_MAX (SQL_STEPS_MAX * (SQL_COLUMNS_MAX + 1))

struct compound_transaction {
    struct compound_step steps[SQL_STEPS_MAX];
    size_t step_count;
    struct mariadb_parameter values[VALUES_MAX];
    size_t value_count;
    size_t size; /* bytes of the values */
};

static void compound_done(struct compound_transaction *transaction)
{
    for (size_t i = 0; i < transaction->step_count; i++)
        buffer_done(&transaction->steps[i].list);
}

static void compound_add_value(struct compound_transaction *transaction,
                               struct mariadb_parameter value)
{
    transaction->values[transaction->value_count++] = value;
    transaction->size += value.text.length + sizeof value.integer;
}

/* The values of a repeat are a row's parameters or the list, and then how many rows it must change
 * if that is checked. @return whether they can be bound. */
static bool compound_add(struct compound_transaction *transaction, const struct sql_step *step,
                         const char *text, size_t size_max)
{
    struct compound_step *added = &transaction->steps[transaction->step_count++];
    bool takes_list = sql_mariadb_takes_list(text);
    *added = (struct compound_step){.step = step,
                                    .text = text,
                                    .repeats = takes_list ? 1 : step->rows,
                                    .first = transaction->value_count,
                                    .columns = (takes_list ? 1 : step->columns) +
                                               (step->if_missed != NULL)};
    buffer_init(&added->list, SQL_LIST_SIZE_MAX);
    if (transaction->value_count + added->repeats * added->columns > VALUES_MAX)
        return false;
    if (takes_list && sql_mariadb_append_list(step, 0, size_max, &added->list) != step->rows)
        return false;
    for (size_t row = 0; row < added->repeats; row++) {
        if (takes_list)
            compound_add_value(transaction, mariadb_text(buffer_slice(&added->list)));
        for (size_t i = 0; !takes_list && i < step->columns; i++)
            compound_add_value(transaction,
                               sql_mariadb_parameter(&step->parameters[row * step->columns + i]));
        if (step->if_missed != NULL)
            compound_add_value(transaction, mariadb_integer(takes_list ? (int64_t)step->rows : 1));
    }
    return !added->list.failed;
}

/* The caller ends the transaction. @return whether it fits into one message. */
static bool compound_init(struct compound_transaction *transaction,
                          const struct sql_mariadb *session, const struct sql_step *steps,
                          size_t count)
{
    bool fits = count <= SQL_STEPS_MAX;
    transaction->step_count = transaction->value_count = transaction->size = 0;
    for (size_t i = 0; fits && i < count; i++) {
        const char *text = sql_statement_text(&session->base, steps[i].statement);
        if (steps[i].rows > 0 && text != NULL)
            fits = compound_add(transaction, &steps[i], text, session->message_size) &&
                   transaction->size <= session->message_size;
    }
    return fits;
}

/* Replaces ?1 by the variable that has the first value of a repeat. */
static void compound_append_repeat(const struct compound_step *step, size_t repeat, size_t error,
                                   struct buffer *text)
{
    size_t first = step->first + repeat * step->columns;
    for (const char *at = step->text; *at != '\0'; at++) {
        if (at[0] == '?' && at[1] >= '1' && at[1] <= '9')
            buffer_append_format(text, "keepstep_%zu", first + (size_t)(*++at - '1'));
        else
            buffer_append(text, at, 1);
    }
    if (step->step->if_missed != NULL)
        buffer_append_format(text,
                             ";\nIF ROW_COUNT() <> keepstep_%zu THEN SIGNAL SQLSTATE '45000' "
                             "SET MYSQL_ERRNO = %zu; END IF",
                             first + step->columns - 1, error);
    buffer_append_text(text, ";\n");
}

/* A `?` stands only where a variable is declared. In a statement that reads a table it crashes
 * MariaDB 11.4: that parses the statement anew once the table was altered, and loses the `?`. */
static void compound_append(const struct compound_transaction *transaction, struct buffer *text)
{
    static const char *const types[] = {
        [MARIADB_NULL] = "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        [MARIADB_INTEGER] = "BIGINT",
        [MARIADB_TEXT] = "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        [MARIADB_BYTES] = "LONGBLOB"};
    buffer_append_text(text, "BEGIN NOT ATOMIC\n");
    for (size_t i = 0; i < transaction->value_count; i++)
        buffer_append_format(text, "DECLARE keepstep_%zu %s DEFAULT ?;\n", i,
                             types[transaction->values[i].kind]);
    buffer_append_text(text,
                       "DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;\n"
                       "START TRANSACTION;\n");
    for (size_t i = 0; i < transaction->step_count; i++) {
        for (size_t repeat = 0; repeat < transaction->steps[i].repeats; repeat++)
            compound_append_repeat(&transaction->steps[i], repeat, MISSED_NUMBER + i, text);
    }
    buffer_append_text(text, "COMMIT;\nEND");
}

static bool compound_is(const struct sql_compound *compound,
                        const struct compound_transaction *transaction)
{
    if (compound->prepared == NULL || compound->step_count != transaction->step_count)
        return false;
    for (size_t i = 0; i < compound->step_count; i++) {
        const struct sql_step *step = transaction->steps[i].step;
        if (compound->steps[i].statement != step->statement ||
            compound->steps[i].columns != step->columns ||
            compound->steps[i].repeats != transaction->steps[i].repeats ||
            compound->steps[i].checked != (step->if_missed != NULL))
            return false;
    }
    return true;
}

/* Prepares the statement at its first use in this session. */
static enum status compound_prepare(struct sql_mariadb *session,
                                    const struct compound_transaction *transaction,
                                    struct mariadb_statement **ret_statement, struct error *err)
{
    struct buffer text;
    for (size_t i = 0; i < SQL_COMPOUNDS_MAX; i++) {
        if (compound_is(&session->compounds[i], transaction)) {
            *ret_statement = session->compounds[i].prepared;
            return STATUS_OK;
        }
    }
    struct sql_compound *compound =
        &session->compounds[session->compound_count++ % SQL_COMPOUNDS_MAX];
    mariadb_statement_free(compound->prepared);
    *compound = (struct sql_compound){.step_count = transaction->step_count};
    for (size_t i = 0; i < transaction->step_count; i++) {
        const struct sql_step *step = transaction->steps[i].step;
        compound->steps[i].statement = step->statement;
        compound->steps[i].columns = step->columns;
        compound->steps[i].repeats = transaction->steps[i].repeats;
        compound->steps[i].checked = step->if_missed != NULL;
    }
    buffer_init(&text, TEXT_SIZE_MAX);
    compound_append(transaction, &text);
    enum status status = text.failed
                             ? error_set(err, STATUS_RETRY, "no memory")
                             : mariadb_statement_new(session->handle, "outbox", buffer_text(&text),
                                                     &compound->prepared, err);
    buffer_done(&text);
    *ret_statement = compound->prepared;
    return status;
}

enum status sql_compound_run(struct sql_mariadb *session, const struct sql_step *steps,
                             size_t count, bool *ret_fits, struct error *err)
{
    struct compound_transaction transaction;
    struct mariadb_statement *statement = NULL;
    struct error failed = ERROR_INIT;
    enum status status = STATUS_OK;
    *ret_fits = compound_init(&transaction, session, steps, count);
    if (!*ret_fits)
        goto out;
    status = compound_prepare(session, &transaction, &statement, &failed);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, transaction.values, transaction.value_count, NULL,
                                       &failed);
    size_t missed = (size_t)failed.native_code - MISSED_NUMBER;
    if (status != STATUS_OK && failed.native_code >= MISSED_NUMBER &&
        missed < transaction.step_count)
        status = error_set(err, STATUS_ABORT, "%s", transaction.steps[missed].step->if_missed);
    else if (status != STATUS_OK)
        *err = failed;
out:
    compound_done(&transaction);
    return status;
}

void sql_compound_forget(struct sql_mariadb *session)
{
    for (size_t i = 0; i < SQL_COMPOUNDS_MAX; i++) {
        mariadb_statement_free(session->compounds[i].prepared);
        session->compounds[i] = (struct sql_compound){0};
    }
}
