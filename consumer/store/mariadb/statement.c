/* The MariaDB store's statements: prepared at their first use, rows read one by one as text. */
#include "consumer/store/mariadb/internal.h"

#include "consumer_mariadb_sql.h"

#define PACKET_OVERHEAD 256
#define VALUE_OVERHEAD  16

static const char *const statement_texts[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name) [STATEMENT_##name] = SQL_##name,
    STORE_MARIADB_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

/* The server, or the connection, would break at it. */
static bool packet_fits(const struct store_mariadb *self,
                        const struct mariadb_parameter *parameters, size_t count)
{
    size_t size = PACKET_OVERHEAD;
    for (size_t i = 0; i < count; i++)
        size += parameters[i].text.length + VALUE_OVERHEAD;
    return size <= self->packet_size;
}

static enum status packet_check(const struct store_mariadb *self,
                                const struct mariadb_parameter *parameters, size_t count,
                                struct error *err)
{
    if (packet_fits(self, parameters, count))
        return STATUS_OK;
    return error_set(err, STATUS_STOP,
                     "more than the server's max_allowed_packet of %zu bytes takes: raise it and "
                     "start the agent again",
                     self->packet_size);
}

/* Prepared, and with parameters that the server takes. */
static enum status statement_ready(struct store_mariadb *self, enum statement_id id,
                                   const struct mariadb_parameter *parameters, size_t count,
                                   struct mariadb_statement **ret_statement, struct error *err)
{
    struct mariadb_statement **statement = &self->statements[id];
    enum status status = STATUS_OK;
    if (*statement == NULL)
        status = mariadb_statement_new(self->session, statement_texts[id], statement_texts[id],
                                       statement, err);
    if (status == STATUS_OK)
        status = packet_check(self, parameters, count, err);
    if (status == STATUS_OK)
        *ret_statement = *statement;
    return status;
}

enum status store_mariadb_start(struct store_mariadb *self, enum statement_id id,
                                const struct mariadb_parameter *parameters, size_t count,
                                struct mariadb_statement **ret_statement, bool *ret_row,
                                struct error *err)
{
    enum status status = statement_ready(self, id, parameters, count, ret_statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(*ret_statement, parameters, count, ret_row, err);
    return status;
}

enum status store_mariadb_run(struct store_mariadb *self, enum statement_id id,
                              const struct mariadb_parameter *parameters, size_t count,
                              uint64_t *ret_matched, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    enum status status = statement_ready(self, id, parameters, count, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, parameters, count, ret_matched, err);
    mariadb_statement_end(statement);
    return status;
}

enum status store_mariadb_run_rows(struct store_mariadb *self, enum statement_id id,
                                   const struct mariadb_parameter *parameters, size_t count,
                                   size_t rows, uint64_t *ret_matched, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    enum status status = STATUS_OK;
    uint64_t sum = 0;
    size_t at_once = packet_fits(self, parameters, count * rows) ? rows : 1;
    for (size_t i = 0; status == STATUS_OK && i < rows; i += at_once) {
        const struct mariadb_parameter *row = &parameters[i * count];
        uint64_t matched = 0;
        status = statement_ready(self, id, row, count * at_once, &statement, err);
        if (status == STATUS_OK)
            status = mariadb_statement_run_rows(statement, row, count, at_once, &matched, err);
        sum += matched;
    }
    if (ret_matched != NULL)
        *ret_matched = sum;
    return status;
}

enum status store_mariadb_number(struct store_mariadb *self, enum statement_id id,
                                 const struct mariadb_parameter *parameters, size_t count,
                                 int64_t absent, int64_t *ret_number, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(self, id, parameters, count, &statement, &row, err);
    if (status == STATUS_OK)
        *ret_number = row ? mariadb_statement_integer(statement, 0) : absent;
    mariadb_statement_end(statement);
    return status;
}

static int64_t row_integer(const struct store_row *row, int column)
{
    return mariadb_statement_integer(row->result, (size_t)column);
}

static bool row_keep(const struct store_row *row, int column, struct arena *arena,
                     struct slice *ret_bytes)
{
    return mariadb_statement_text(row->result, (size_t)column, arena, ret_bytes);
}

static void row_copy(const struct store_row *row, int column, char *ret_text, size_t size)
{
    mariadb_statement_copy(row->result, (size_t)column, ret_text, size);
}

struct store_row store_mariadb_row(struct mariadb_statement *statement)
{
    return (struct store_row){
        .integer = row_integer, .keep = row_keep, .copy = row_copy, .result = statement};
}
