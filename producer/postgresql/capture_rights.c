/* Holds a capture function to the rights of its table's owner, and to that table. */
#include "producer/postgresql/capture_rights.h"
#include "common/postgresql_name.h"
#include "producer_postgresql_sql.h"

#define RIGHTS_SQL_MAX ((size_t)64 * 1024)

/* Is the trigger's table, or what it is a partition of, the one that the function was made for?
 * By its oid, as it may be renamed, or by its name, as a dump does not keep the oid. */
static void capture_own_name(struct buffer *sql, const struct capture_postgresql_place *place)
{
    buffer_append_format(sql,
                         "coalesce(pg_partition_root(TG_RELID), TG_RELID) IN\n"
                         "      (%s, to_regclass(",
                         PQgetvalue(place->table, 0, 0));
    capture_literal(sql, postgresql_session_text(place->table, 0, 1));
    buffer_append_text(sql, "))");
}

void capture_rights_check(struct buffer *sql, const struct capture_postgresql_place *place,
                          struct slice name)
{
    struct slice table = postgresql_session_text(place->table, 0, 1);
    struct buffer text;
    buffer_init(&text, RIGHTS_SQL_MAX);
    buffer_append_text(sql, "  IF NOT EXISTS (SELECT 1 FROM pg_class AS c\n"
                            "      WHERE c.oid = coalesce(pg_partition_root(TG_RELID), TG_RELID) "
                            "AND pg_get_userbyid(c.relowner) = current_user\n      AND ");
    capture_own_name(sql, place);
    buffer_append_format(&text,
                         "keepstep: function %.*s runs with the rights of the owner of table %.*s "
                         "and for that table alone; where it has another owner now, run keepstep "
                         "init; this is table ",
                         SLICE_ARGS(name), SLICE_ARGS(table));
    buffer_append_text(sql, ") THEN\n    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', "
                            "MESSAGE =\n      ");
    capture_literal(sql, buffer_slice(&text));
    buffer_append_text(sql, " || TG_RELID::regclass;\n  END IF;\n");
    sql->failed = sql->failed || text.failed;
    buffer_done(&text);
}

void capture_rights_leave(struct buffer *sql, const struct capture_postgresql_place *place)
{
    buffer_append_text(sql, "  IF (");
    capture_own_name(sql, place);
    buffer_append_text(sql, ") IS NOT TRUE THEN\n    RAISE WARNING 'keepstep: TRUNCATE of % is not "
                            "captured: it is no part of the published table',\n"
                            "      TG_RELID::regclass;\n    RETURN NULL;\n  END IF;\n");
}

void capture_rights_seal(struct buffer *sql, const struct capture_postgresql_place *place,
                         struct slice what)
{
    struct buffer outbox;
    buffer_init(&outbox, RIGHTS_SQL_MAX);
    postgresql_name_append(&outbox, slice_of(place->outbox));
    buffer_append_text(&outbox, ".outbox");
    buffer_append_text(sql, ";\nDO $rights$\nDECLARE\n  sealed CONSTANT regprocedure := ");
    capture_literal(sql, what);
    buffer_append_text(sql, ";\n  captured CONSTANT regclass := ");
    capture_literal(sql, postgresql_session_text(place->table, 0, 1));
    buffer_append_text(sql, ";\n  target CONSTANT regclass := ");
    capture_literal(sql, buffer_slice(&outbox));
    buffer_append_format(sql, ";\n%s\n$rights$", SQL_SEAL);
    sql->failed = sql->failed || outbox.failed;
    buffer_done(&outbox);
}
