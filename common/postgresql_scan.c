/* Reads a table through a cursor: between two parts of it the session can look who waits. */
#include "common/postgresql_scan.h"

#include "common/buffer.h"
#include "common/clock.h"

#include <inttypes.h>

#define QUERY_SIZE_MAX   ((size_t)8 * 1024 * 1024)
#define PART_ROWS_MAX    1000
#define PART_ROWS_FIRST  16
#define PART_BYTES       ((size_t)4 * 1024 * 1024)
#define LOOK_INTERVAL_US (INT64_C(200) * 1000)

/* A reader holds up nobody but who wants the table alone (ALTER TABLE, TRUNCATE); and then each
 * query that comes later waits behind that one. */
static const char LOOK[] =
    "WITH l AS MATERIALIZED (SELECT relation, pid, mode, granted, database FROM pg_locks "
    "WHERE locktype = 'relation') "
    "SELECT w.relation::regclass FROM l AS w JOIN l AS h USING (database, relation) "
    "WHERE NOT w.granted AND w.mode = 'AccessExclusiveLock' AND h.granted "
    "AND h.pid = pg_backend_pid() LIMIT 1";

/* Tables are read in the snapshot; functions say what they are now. A partitioned table has no
 * file, and of a foreign one nothing is known. Another table that got the name, or another schema
 * that comes first, has another name in the snapshot. */
static const char HAS[] =
    "WITH RECURSIVE own (oid) AS (SELECT to_regclass($1)::oid), "
    "kept (oid) AS (SELECT oid FROM own UNION "
    "SELECT i.inhrelid FROM kept JOIN pg_inherits AS i ON i.inhparent = kept.oid), "
    "now (oid) AS (SELECT t.relid::oid FROM own, pg_partition_tree(own.oid) AS t) "
    "SELECT coalesce(bool_and(c.oid IS NOT NULL AND (c.relkind IN ('p', 'f') OR "
    "coalesce(c.relfilenode = pg_relation_filenode(c.oid), false))), false) "
    "AND (SELECT count(*) FROM now) IN (0, count(*)) "
    "AND NOT EXISTS (SELECT oid FROM now EXCEPT SELECT oid FROM kept) "
    "AND EXISTS (SELECT FROM own JOIN pg_class AS c USING (oid) "
    "JOIN pg_namespace AS n ON n.oid = c.relnamespace, "
    "pg_identify_object('pg_class'::regclass, own.oid, 0) AS i "
    "WHERE i.schema = quote_ident(n.nspname) AND i.name = quote_ident(c.relname)) "
    "FROM kept LEFT JOIN pg_class AS c ON c.oid = kept.oid";

enum status postgresql_snapshot_begin(PGconn *connection, int64_t seconds, struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, QUERY_SIZE_MAX);
    buffer_append_format(&sql,
                         "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                         "SELECT set_config('idle_in_transaction_session_timeout', '%llds', true)",
                         (long long)seconds);
    enum status status = sql.failed
                             ? error_set(err, STATUS_RETRY, "no memory")
                             : postgresql_session_execute(connection, buffer_text(&sql), err);
    buffer_done(&sql);
    return status;
}

enum status postgresql_snapshot_keep(PGconn *connection, struct error *err)
{
    PGresult *result = NULL;
    enum status status = postgresql_session_query(connection, LOOK, NO_SLICES, &result, err);
    if (status == STATUS_OK && PQntuples(result) > 0)
        status = error_set(err, STATUS_RETRY, "gave way to a session that waits for table %s alone",
                           PQgetvalue(result, 0, 0));
    PQclear(result);
    return status;
}

enum status postgresql_snapshot_has(PGconn *connection, const char *table, struct error *err)
{
    const struct slice name = slice_of(table);
    PGresult *result = NULL;
    enum status status = postgresql_session_query(connection, HAS, (struct slice_list){&name, 1},
                                                  &result, err);
    if (status == STATUS_OK && PQgetvalue(result, 0, 0)[0] != 't') {
        status = error_set(err, STATUS_RETRY,
                           "table %s was rewritten, emptied or replaced after the snapshot began",
                           table);
        error_mark_outdated(err);
    }
    PQclear(result);
    return status;
}

static enum status scan_open(PGconn *connection, const struct postgresql_scan *scan,
                             struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, QUERY_SIZE_MAX);
    buffer_append_format(&sql, "DECLARE keepstep_scan NO SCROLL CURSOR FOR %s", scan->query);
    enum status status = sql.failed ? error_set(err, STATUS_FATAL, "the query grows too large")
                                    : postgresql_session_query(connection, buffer_text(&sql),
                                                               scan->parameters, NULL, err);
    buffer_done(&sql);
    return status;
}

/* What a part has brought. */
struct part {
    size_t rows;
    size_t bytes;
};

/* Takes `result`. @return OK, also of the part's end. */
static enum status scan_row(PGconn *connection, const struct postgresql_scan *scan,
                            PGresult *result, struct part *part, struct error *err)
{
    enum status status = STATUS_OK;
    ExecStatusType kind = PQresultStatus(result);
    if (kind == PGRES_SINGLE_TUPLE) {
        struct slice first = postgresql_session_text(result, 0, 0);
        struct slice second = postgresql_session_text(result, 0, 1);
        part->rows++;
        part->bytes += first.length + second.length;
        status = scan->visit(scan->context, first, second, err);
    } else if (kind != PGRES_TUPLES_OK) {
        status = postgresql_session_error(connection, result, scan->table, err);
    }
    PQclear(result);
    return status;
}

static enum status scan_part(PGconn *connection, const struct postgresql_scan *scan, size_t rows,
                             struct part *ret_part, struct error *err)
{
    struct buffer sql;
    PGresult *result = NULL;
    enum status status = STATUS_OK;
    *ret_part = (struct part){0};
    buffer_init(&sql, QUERY_SIZE_MAX);
    buffer_append_format(&sql, "FETCH %zu FROM keepstep_scan", rows);
    if (PQsendQuery(connection, buffer_text(&sql)) != 1 || PQsetSingleRowMode(connection) != 1)
        status = postgresql_session_error(connection, NULL, scan->table, err);
    while (status == STATUS_OK && (result = postgresql_session_result(connection)) != NULL)
        status = scan_row(connection, scan, result, ret_part, err);
    buffer_done(&sql);
    return status;
}

/* @return the most rows of a part: what visit() takes between two looks. */
static size_t scan_most_rows(const struct postgresql_scan *scan)
{
    int64_t looks_s = 1000000 / LOOK_INTERVAL_US;
    if (scan->rows_s == 0 || scan->rows_s / looks_s >= PART_ROWS_MAX)
        return PART_ROWS_MAX;
    return (size_t)(scan->rows_s / looks_s) + 1;
}

/* Wide rows come in smaller parts. */
static size_t scan_next_rows(size_t rows, const struct part *part, size_t most)
{
    size_t fitting = part->bytes == 0 ? rows : PART_BYTES / (part->bytes / part->rows + 1) + 1;
    rows = rows * 2 < fitting ? rows * 2 : fitting;
    return rows < most ? rows : most;
}

enum status postgresql_scan_run(PGconn *connection, const struct postgresql_scan *scan,
                                struct error *err)
{
    struct part part = {.rows = 0};
    size_t most = scan_most_rows(scan);
    size_t rows = most < PART_ROWS_FIRST ? most : PART_ROWS_FIRST;
    int64_t looked_us = clock_monotonic_us();
    enum status status = scan_open(connection, scan, err);
    if (status == STATUS_OK)
        status = postgresql_snapshot_has(connection, scan->table, err);
    for (bool has_more = true; status == STATUS_OK && has_more;) {
        status = scan_part(connection, scan, rows, &part, err);
        has_more = part.rows == rows;
        rows = scan_next_rows(rows, &part, most);
        int64_t now_us = clock_monotonic_us();
        if (status == STATUS_OK && now_us > scan->until_us)
            status = error_set(err, STATUS_RETRY,
                               "the scan of table %s takes longer than limits.scan_time_s",
                               scan->table);
        if (status != STATUS_OK || now_us - looked_us < LOOK_INTERVAL_US)
            continue;
        looked_us = now_us;
        status = postgresql_snapshot_keep(connection, err);
    }
    return status == STATUS_OK ? postgresql_session_execute(connection, "CLOSE keepstep_scan", err)
                               : status;
}

static void query_append_text(struct buffer *texts, const struct query_parameter *parameter)
{
    if (parameter->kind == QUERY_INTEGER)
        buffer_append_format(texts, "%" PRId64, parameter->integer);
    else if (parameter->kind == QUERY_TEXT)
        buffer_append(texts, parameter->text.data, parameter->text.length);
    else
        buffer_append_text(texts, "\\x");
    for (size_t i = 0; parameter->kind == QUERY_BYTES && i < parameter->text.length; i++)
        buffer_append_format(texts, "%02x", (unsigned int)(unsigned char)parameter->text.data[i]);
}

enum status postgresql_scan_parameters(const struct row_query *query, struct buffer *texts,
                                       struct slice parameters[POSTGRESQL_SCAN_PARAMETERS_MAX],
                                       struct error *err)
{
    size_t ends[POSTGRESQL_SCAN_PARAMETERS_MAX];
    size_t count = query->parameter_count;
    size_t start = 0;
    if (count > POSTGRESQL_SCAN_PARAMETERS_MAX)
        return error_set(err, STATUS_FATAL, "table %s: too many parameters", query->table);
    for (size_t i = 0; i < count; i++) {
        query_append_text(texts, &query->parameters[query->run * count + i]);
        buffer_append(texts, "", 1);
        ends[i] = texts->length;
    }
    if (texts->failed)
        return error_set(err, STATUS_RETRY, "no memory for the keys of a scan");
    for (size_t i = 0; i < count; i++) {
        parameters[i] = (struct slice){buffer_text(texts) + start, ends[i] - start - 1};
        start = ends[i];
    }
    return STATUS_OK;
}

static enum status query_run(PGconn *connection, const struct row_query *query, struct error *err)
{
    struct slice parameters[POSTGRESQL_SCAN_PARAMETERS_MAX];
    struct buffer texts;
    buffer_init(&texts, QUERY_SIZE_MAX);
    enum status status = postgresql_scan_parameters(query, &texts, parameters, err);
    const struct postgresql_scan scan = {.table = query->table,
                                         .query = query->sql,
                                         .parameters = {parameters, query->parameter_count},
                                         .until_us = query->until_us,
                                         .rows_s = query->rows_s,
                                         .visit = query->visit,
                                         .context = query->context};
    if (status == STATUS_OK)
        status = postgresql_scan_run(connection, &scan, err);
    buffer_done(&texts);
    return status;
}

enum status postgresql_scan_query(PGconn *connection, struct row_query *query, struct error *err)
{
    enum status status = STATUS_OK;
    for (query->run = 0; status == STATUS_OK && query->run < query->runs; query->run++)
        status = query_run(connection, query, err);
    return status;
}
