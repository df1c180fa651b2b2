/* What MariaDB's error numbers mean. */
#include "common/mariadb_session.h"

#include "common/advice.h"

#include <string.h>

#define SERVICE_NUMBER_MIN 10000 /* all numbers of server and client are lower */

/* Numbers of MySQL that MariaDB's headers do not name. */
#define FOREIGN_DUPLICATE_KEY 1557
#define INVALID_JSON_TEXT     3140

/* A number that is not listed is FATAL, unless a service chose it or its SQLSTATE. */
static const struct verdict mariadb_verdicts[] = {
    /* A later event may cure these: another row has the unique value, or no parent is there. */
    {ER_DUP_KEY, VERDICT_WAITING},
    {ER_DUP_ENTRY, VERDICT_WAITING},
    {ER_DUP_UNIQUE, VERDICT_WAITING},
    {ER_NO_REFERENCED_ROW, VERDICT_WAITING},
    {ER_ROW_IS_REFERENCED, VERDICT_WAITING},
    {ER_ROW_IS_REFERENCED_2, VERDICT_WAITING},
    {ER_NO_REFERENCED_ROW_2, VERDICT_WAITING},
    {FOREIGN_DUPLICATE_KEY, VERDICT_WAITING},
    {ER_DUP_ENTRY_WITH_KEY_NAME, VERDICT_WAITING},
    {ER_FOREIGN_DUPLICATE_KEY_WITH_CHILD_INFO, VERDICT_WAITING},
    {ER_FOREIGN_DUPLICATE_KEY_WITHOUT_CHILD_INFO, VERDICT_WAITING},
    {ER_DUP_UNKNOWN_IN_INDEX, VERDICT_WAITING},
    /* The row's own values are at fault, or a constraint or trigger refuses them. */
    {ER_BAD_NULL_ERROR, VERDICT_HELD},
    {ER_TOO_BIG_ROWSIZE, VERDICT_HELD},
    {ER_INVALID_USE_OF_NULL, VERDICT_HELD},
    {ER_REGEXP_ERROR, VERDICT_HELD},
    {ER_TOO_MANY_ROWS, VERDICT_HELD},
    {ER_SUBQUERY_NO_1_ROW, VERDICT_HELD},
    {ER_WARN_NULL_TO_NOTNULL, VERDICT_HELD},
    {ER_WARN_DATA_OUT_OF_RANGE, VERDICT_HELD},
    {WARN_DATA_TRUNCATED, VERDICT_HELD},
    {ER_TRUNCATED_WRONG_VALUE, VERDICT_HELD},
    {ER_INVALID_CHARACTER_STRING, VERDICT_HELD},
    {ER_WARN_ALLOWED_PACKET_OVERFLOWED, VERDICT_HELD},
    {ER_SP_NORETURNEND, VERDICT_HELD},
    {ER_SP_CURSOR_ALREADY_OPEN, VERDICT_HELD},
    {ER_SP_CURSOR_NOT_OPEN, VERDICT_HELD},
    {ER_SP_WRONG_NO_OF_FETCH_ARGS, VERDICT_HELD},
    {ER_SP_FETCH_NO_DATA, VERDICT_HELD},
    {ER_SP_CASE_NOT_FOUND, VERDICT_HELD},
    {ER_NO_DEFAULT_FOR_FIELD, VERDICT_HELD},
    {ER_DIVISION_BY_ZERO, VERDICT_HELD},
    {ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, VERDICT_HELD},
    {ER_ILLEGAL_VALUE_FOR_TYPE, VERDICT_HELD},
    {ER_VIEW_CHECK_FAILED, VERDICT_HELD},
    {ER_DATA_TOO_LONG, VERDICT_HELD},
    {ER_WRONG_VALUE_FOR_TYPE, VERDICT_HELD},
    {ER_CANT_CREATE_GEOMETRY_OBJECT, VERDICT_HELD},
    {ER_COMMIT_NOT_ALLOWED_IN_SF_OR_TRG, VERDICT_HELD},
    {ER_SP_NO_RECURSION, VERDICT_HELD},
    {ER_STACK_OVERRUN_NEED_MORE, VERDICT_HELD},
    {ER_DATETIME_FUNCTION_OVERFLOW, VERDICT_HELD},
    {ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG, VERDICT_HELD},
    {ER_SP_RECURSION_LIMIT, VERDICT_HELD},
    {ER_WRONG_VALUE, VERDICT_HELD},
    {ER_NO_PARTITION_FOR_GIVEN_VALUE, VERDICT_HELD},
    {ER_NO_PARTITION_FOR_GIVEN_VALUE_SILENT, VERDICT_HELD},
    {ER_SIGNAL_NOT_FOUND, VERDICT_HELD},
    {ER_SIGNAL_EXCEPTION, VERDICT_HELD},
    {ER_RESIGNAL_WITHOUT_ACTIVE_HANDLER, VERDICT_HELD},
    {ER_SIGNAL_BAD_CONDITION_TYPE, VERDICT_HELD},
    {ER_WRONG_TYPE_COLUMN_VALUE_ERROR, VERDICT_HELD},
    {ER_DATA_OUT_OF_RANGE, VERDICT_HELD},
    {ER_UNDO_RECORD_TOO_BIG, VERDICT_HELD},
    {ER_ROW_DOES_NOT_MATCH_PARTITION, VERDICT_HELD},
    {ER_VALUE_TOO_LONG, VERDICT_HELD},
    {ER_ROW_DOES_NOT_MATCH_GIVEN_PARTITION_SET, VERDICT_HELD},
    {ER_ROW_IN_WRONG_PARTITION, VERDICT_HELD},
    {ER_DATA_OVERFLOW, VERDICT_HELD},
    {ER_DATA_TRUNCATED, VERDICT_HELD},
    {ER_BAD_DATA, VERDICT_HELD},
    {ER_DYN_COL_WRONG_FORMAT, VERDICT_HELD},
    {ER_DYN_COL_IMPLEMENTATION_LIMIT, VERDICT_HELD},
    {ER_DYN_COL_DATA, VERDICT_HELD},
    {ER_DYN_COL_WRONG_CHARSET, VERDICT_HELD},
    {ER_BAD_BASE64_DATA, VERDICT_HELD},
    {ER_CANNOT_CONVERT_CHARACTER, VERDICT_HELD},
    {ER_INVALID_ARGUMENT_FOR_LOGARITHM, VERDICT_HELD},
    {ER_GIS_INVALID_DATA, VERDICT_HELD},
    {INVALID_JSON_TEXT, VERDICT_HELD},
    {ER_CONSTRAINT_FAILED, VERDICT_HELD},
    {ER_ERROR_EVALUATING_EXPRESSION, VERDICT_HELD},
    {ER_JSON_BAD_CHR, VERDICT_HELD},
    {ER_JSON_NOT_JSON_CHR, VERDICT_HELD},
    {ER_JSON_EOS, VERDICT_HELD},
    {ER_JSON_SYNTAX, VERDICT_HELD},
    {ER_JSON_ESCAPING, VERDICT_HELD},
    {ER_JSON_DEPTH, VERDICT_HELD},
    {ER_JSON_PATH_EOS, VERDICT_HELD},
    {ER_JSON_PATH_SYNTAX, VERDICT_HELD},
    {ER_JSON_PATH_DEPTH, VERDICT_HELD},
    {ER_JSON_PATH_NO_WILDCARD, VERDICT_HELD},
    {ER_JSON_PATH_ARRAY, VERDICT_HELD},
    {ER_JSON_ONE_OR_ALL, VERDICT_HELD},
    {ER_GEOJSON_INCORRECT, VERDICT_HELD},
    {ER_GEOJSON_TOO_FEW_POINTS, VERDICT_HELD},
    {ER_GEOJSON_NOT_CLOSED, VERDICT_HELD},
    {ER_JSON_PATH_EMPTY, VERDICT_HELD},
    {ER_GEOJSON_EMPTY_COORDINATES, VERDICT_HELD},
    {ER_ARGUMENT_OUT_OF_RANGE, VERDICT_HELD},
    {ER_JSON_TABLE_ERROR_ON_FIELD, VERDICT_HELD},
    {ER_JSON_TABLE_SCALAR_EXPECTED, VERDICT_HELD},
    {ER_JSON_TABLE_MULTIPLE_MATCHES, VERDICT_HELD},
    /* The environment: locks, disk, memory, permissions. RETRY ends the whole transaction. A
     * deadlock has already rolled it back with its savepoints (ER_SP_DOES_NOT_EXIST), so the next
     * statement would begin another one. ER_NO_SUCH_USER: the account that defined a trigger is
     * gone. */
    {ER_CANT_LOCK, VERDICT_RETRY},
    {ER_CANT_OPEN_FILE, VERDICT_RETRY},
    {ER_CHECKREAD, VERDICT_RETRY},
    {ER_DISK_FULL, VERDICT_RETRY},
    {ER_ERROR_ON_READ, VERDICT_RETRY},
    {ER_ERROR_ON_WRITE, VERDICT_RETRY},
    {ER_GET_ERRNO, VERDICT_RETRY},
    {ER_OUTOFMEMORY, VERDICT_RETRY},
    {ER_OUT_OF_SORTMEMORY, VERDICT_RETRY},
    {ER_OUT_OF_RESOURCES, VERDICT_RETRY},
    {ER_DBACCESS_DENIED_ERROR, VERDICT_RETRY},
    {ER_RECORD_FILE_FULL, VERDICT_RETRY},
    {ER_TABLEACCESS_DENIED_ERROR, VERDICT_RETRY},
    {ER_COLUMNACCESS_DENIED_ERROR, VERDICT_RETRY},
    {ER_LOCK_WAIT_TIMEOUT, VERDICT_RETRY},
    {ER_LOCK_TABLE_FULL, VERDICT_RETRY},
    {ER_LOCK_DEADLOCK, VERDICT_RETRY},
    {ER_CANT_UPDATE_WITH_READLOCK, VERDICT_RETRY},
    {ER_SPECIFIC_ACCESS_DENIED_ERROR, VERDICT_RETRY},
    {ER_GET_TEMPORARY_ERRMSG, VERDICT_RETRY},
    {ER_SP_DOES_NOT_EXIST, VERDICT_RETRY},
    {ER_QUERY_INTERRUPTED, VERDICT_RETRY},
    {ER_PROCACCESS_DENIED_ERROR, VERDICT_RETRY},
    {ER_TABLE_DEF_CHANGED, VERDICT_RETRY},
    {ER_CONNECT_TO_FOREIGN_DATA_SOURCE, VERDICT_RETRY},
    {ER_QUERY_ON_FOREIGN_DATA_SOURCE, VERDICT_RETRY},
    {ER_NO_SUCH_USER, VERDICT_RETRY},
    {ER_MAX_PREPARED_STMT_COUNT_REACHED, VERDICT_RETRY},
    {ER_XA_RBTIMEOUT, VERDICT_RETRY},
    {ER_XA_RBDEADLOCK, VERDICT_RETRY},
    {ER_NEED_REPREPARE, VERDICT_RETRY},
    {ER_TOO_MANY_CONCURRENT_TRXS, VERDICT_RETRY},
    {ER_LOCK_ABORTED, VERDICT_RETRY},
    {ER_IO_READ_ERROR, VERDICT_RETRY},
    {ER_IO_WRITE_ERROR, VERDICT_RETRY},
    {ER_TEMP_FILE_WRITE_FAILURE, VERDICT_RETRY},
    {ER_STATEMENT_TIMEOUT, VERDICT_RETRY},
    {ER_INNODB_UNDO_LOG_FULL, VERDICT_RETRY},
    {ER_BACKUP_LOCK_IS_ACTIVE, VERDICT_RETRY},
    /* The session is gone or no longer usable. A server that is now read only may have been
     * replaced by another. After ER_ERROR_DURING_COMMIT the COMMIT may have succeeded or not. */
    {ER_CON_COUNT_ERROR, VERDICT_LOST},
    {ER_BAD_HOST_ERROR, VERDICT_LOST},
    {ER_HANDSHAKE_ERROR, VERDICT_LOST},
    {ER_UNKNOWN_COM_ERROR, VERDICT_LOST},
    {ER_SERVER_SHUTDOWN, VERDICT_LOST},
    {ER_NORMAL_SHUTDOWN, VERDICT_LOST},
    {ER_SHUTDOWN_COMPLETE, VERDICT_LOST},
    {ER_FORCING_CLOSE, VERDICT_LOST},
    {ER_HOST_IS_BLOCKED, VERDICT_LOST},
    {ER_CANT_CREATE_THREAD, VERDICT_LOST},
    {ER_ABORTING_CONNECTION, VERDICT_LOST},
    {ER_NET_READ_ERROR_FROM_PIPE, VERDICT_LOST},
    {ER_NET_FCNTL_ERROR, VERDICT_LOST},
    {ER_NET_PACKETS_OUT_OF_ORDER, VERDICT_LOST},
    {ER_NET_UNCOMPRESS_ERROR, VERDICT_LOST},
    {ER_NET_READ_ERROR, VERDICT_LOST},
    {ER_NET_READ_INTERRUPTED, VERDICT_LOST},
    {ER_NET_ERROR_ON_WRITE, VERDICT_LOST},
    {ER_NET_WRITE_INTERRUPTED, VERDICT_LOST},
    {ER_ERROR_DURING_COMMIT, VERDICT_LOST},
    {ER_NEW_ABORTING_CONNECTION, VERDICT_LOST},
    {ER_TOO_MANY_USER_CONNECTIONS, VERDICT_LOST},
    {ER_USER_LIMIT_REACHED, VERDICT_LOST},
    {ER_OPTION_PREVENTS_STATEMENT, VERDICT_LOST},
    {ER_READ_ONLY_MODE, VERDICT_LOST},
    {ER_INNODB_READ_ONLY, VERDICT_LOST},
    {ER_CONNECTION_KILLED, VERDICT_LOST},
    {CR_CONNECTION_ERROR, VERDICT_LOST},
    {CR_CONN_HOST_ERROR, VERDICT_LOST},
    {CR_UNKNOWN_HOST, VERDICT_LOST},
    {CR_SERVER_GONE_ERROR, VERDICT_LOST},
    {CR_OUT_OF_MEMORY, VERDICT_LOST},
    {CR_SERVER_HANDSHAKE_ERR, VERDICT_LOST},
    {CR_SERVER_LOST, VERDICT_LOST},
    {CR_SSL_CONNECTION_ERROR, VERDICT_LOST},
    {CR_MALFORMED_PACKET, VERDICT_LOST},
    {CR_SERVER_LOST_EXTENDED, VERDICT_LOST},
    {ER_SERVER_OFFLINE_MODE, VERDICT_LOST},
    {CR_ERR_NET_READ, VERDICT_LOST},
    {CR_ERR_NET_WRITE, VERDICT_LOST},
    /* One record is larger than the server or the client accepts. */
    {ER_NET_PACKET_TOO_LARGE, STATUS_STOP, REJECT_HELD, true},
    {CR_NET_PACKET_TOO_LARGE, STATUS_STOP, REJECT_HELD, false},
};

/* @return whether the server itself uses the class of this SQLSTATE. */
static bool mariadb_is_server_state(const char *sqlstate)
{
    static const char *const classes[] = {"00", "01", "02", "08", "0A", "0K", "0Z", "20",
                                          "21", "22", "23", "24", "25", "28", "2F", "35",
                                          "3D", "40", "42", "44", "70", "HV", "HY", "XA"};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    }
    return sqlstate[0] == '\0';
}

struct verdict mariadb_session_verdict(unsigned int number, const char *sqlstate)
{
    bool own = number >= SERVICE_NUMBER_MIN || !mariadb_is_server_state(sqlstate);
    for (size_t i = 0; i < sizeof mariadb_verdicts / sizeof mariadb_verdicts[0]; i++) {
        if (mariadb_verdicts[i].native_code == (int)number)
            return mariadb_verdicts[i];
    }
    return own ? (struct verdict){(int)number, VERDICT_HELD}
               : (struct verdict){(int)number, VERDICT_FATAL};
}

bool mariadb_session_lacks_right(unsigned int number)
{
    return number == ER_DBACCESS_DENIED_ERROR || number == ER_TABLEACCESS_DENIED_ERROR ||
           number == ER_COLUMNACCESS_DENIED_ERROR || number == ER_SPECIFIC_ACCESS_DENIED_ERROR ||
           number == ER_PROCACCESS_DENIED_ERROR;
}

static enum status mariadb_error(unsigned int number, const char *sqlstate, const char *text,
                                 const char *what, struct error *err)
{
    bool lacks_right = mariadb_session_lacks_right(number);
    return error_set_verdict(lacks_right ? error_config(err) : err,
                             mariadb_session_verdict(number, sqlstate), what, "%s (%u)%s", text,
                             number, lacks_right ? advice_rights() : "");
}

enum status mariadb_session_error(MYSQL *session, const char *what, struct error *err)
{
    return mariadb_error(mysql_errno(session), mysql_sqlstate(session), mysql_error(session), what,
                         err);
}

enum status mariadb_session_statement_error(MYSQL_STMT *statement, const char *what,
                                            struct error *err)
{
    unsigned int number = mysql_stmt_errno(statement);
    if (number == 0) /* the session keeps an error between two rows */
        return mariadb_session_error(statement->mysql, what, err);
    return mariadb_error(number, mysql_stmt_sqlstate(statement), mysql_stmt_error(statement), what,
                         err);
}
