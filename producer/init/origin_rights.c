/* Which rights a login has: PostgreSQL is asked of each, MariaDB shows all, a file has no logins.
 */
#include "producer/init/origin_sql.h"

#include "common/buffer.h"
#include "common/grants.h"

#include <strings.h>

#define RIGHTS_TEXT_MAX ((size_t)4 * 1024 * 1024)

static enum status rights_ask(struct sql_session *session, struct origin_right *right,
                              struct error *err)
{
    const struct slice column = grants_bare(right->right.column);
    const struct sql_parameter parameters[] = {
        sql_text(right->right.kind), sql_text(right->right.object),
        sql_text(column.data == NULL ? slice_of("") : column), sql_text(right->right.privilege)};
    enum status status = sql_first(session, STATEMENT_HAS_RIGHT, parameters,
                                   sizeof parameters / sizeof *parameters, err);
    if (status == STATUS_OK && session->has_row) {
        bool is_there = session->ops->column(session, 0).data != NULL;
        right->state = !is_there                     ? ORIGIN_RIGHT_WITHOUT_OBJECT
                       : sql_column_bool(session, 0) ? ORIGIN_RIGHT_HELD
                                                     : ORIGIN_RIGHT_LACKING;
    }
    session->ops->finish(session);
    return status;
}

/* What a server shows of a login. */
struct rights_shown {
    struct slice database; /* the present one */
    struct origin_right *rights;
    size_t count;
};

/* A database's name in a grant is a pattern, with '_', '%' and a backslash before either. */
static bool rights_like(struct slice pattern, struct slice name)
{
    if (pattern.length == 0)
        return name.length == 0;
    struct slice rest = {pattern.data + 1, pattern.length - 1};
    if (pattern.data[0] == '%') {
        for (size_t i = 0; i <= name.length; i++) {
            if (rights_like(rest, (struct slice){name.data + i, name.length - i}))
                return true;
        }
        return false;
    }
    bool is_literal = pattern.data[0] == '\\' && rest.length > 0;
    if (is_literal)
        rest = (struct slice){rest.data + 1, rest.length - 1};
    return name.length > 0 &&
           (name.data[0] == (is_literal ? pattern.data[1] : pattern.data[0]) ||
            (!is_literal && pattern.data[0] == '_')) &&
           rights_like(rest, (struct slice){name.data + 1, name.length - 1});
}

/* Split "`db`.`name`" or "name", of the present database. */
static void rights_split(struct slice object, struct slice present, struct slice *ret_database,
                         struct slice *ret_name)
{
    bool is_quoted = object.length > 0 && object.data[0] == '`';
    const char *close = is_quoted ? memchr(object.data + 1, '`', object.length - 1) : object.data;
    const char *dot = close == NULL
                          ? NULL
                          : memchr(close, '.', object.length - (size_t)(close - object.data));
    *ret_database = present;
    *ret_name = grants_bare(object);
    if (dot == NULL)
        return;
    size_t length = (size_t)(dot - object.data);
    *ret_database = grants_bare((struct slice){object.data, length});
    *ret_name = grants_bare((struct slice){dot + 1, object.length - length - 1});
}

static bool rights_cover(const struct grant_right *shown, const struct grant_right *right,
                         struct slice present)
{
    struct slice shown_database;
    struct slice shown_name;
    struct slice database;
    struct slice name;
    bool is_all = slice_is(shown->privilege, "ALL PRIVILEGES") || slice_is(shown->privilege, "ALL");
    if (!is_all && !slice_equal(shown->privilege, right->privilege))
        return false;
    if (shown->column.length > 0 &&
        !slice_equal(grants_bare(shown->column), grants_bare(right->column)))
        return false;
    rights_split(shown->object, present, &shown_database, &shown_name);
    rights_split(right->object, present, &database, &name);
    if (slice_is(shown_name, "*"))
        return slice_is(shown_database, "*") || rights_like(shown_database, database);
    return slice_equal(shown->kind, right->kind) && slice_equal(shown_database, database) &&
           slice_equal(shown_name, name);
}

static bool rights_note(void *context, const struct grant_right *shown)
{
    struct rights_shown *all = context;
    for (size_t i = 0; i < all->count; i++) {
        if (rights_cover(shown, &all->rights[i].right, all->database))
            all->rights[i].state = ORIGIN_RIGHT_HELD;
    }
    return true;
}

static enum status rights_show(struct sql_session *session, struct origin_right *rights,
                               size_t count, struct error *err)
{
    struct buffer name;
    struct buffer text;
    buffer_init(&name, RIGHTS_TEXT_MAX);
    buffer_init(&text, RIGHTS_TEXT_MAX);
    enum status status = sql_first(session, STATEMENT_SHOW_DATABASE, NULL, 0, err);
    if (status == STATUS_OK && session->has_row) {
        struct slice database = session->ops->column(session, 0);
        buffer_append(&name, database.data, database.length);
    }
    session->ops->finish(session);
    if (status == STATUS_OK)
        status = sql_first(session, STATEMENT_SHOW_RIGHTS, NULL, 0, err);
    while (status == STATUS_OK && session->has_row) {
        struct slice shown = session->ops->column(session, 0);
        buffer_append(&text, shown.data, shown.length);
        buffer_append_text(&text, ";\n");
        status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    if (status == STATUS_OK && (name.failed || text.failed))
        status = error_set(err, STATUS_RETRY, "no memory for this login's rights");
    struct rights_shown all = {.database = buffer_slice(&name), .rights = rights, .count = count};
    for (size_t i = 0; i < count; i++)
        rights[i].state = ORIGIN_RIGHT_LACKING;
    if (status == STATUS_OK)
        grants_read(buffer_slice(&text), rights_note, &all);
    buffer_done(&name);
    buffer_done(&text);
    return status;
}

enum status origin_sql_rights(struct origin *origin, struct origin_right *rights, size_t count,
                              struct error *err)
{
    struct sql_session *session = origin_sql_of(origin)->session;
    enum status status = STATUS_OK;
    if (sql_statement_text(session, STATEMENT_SHOW_RIGHTS) != NULL)
        return rights_show(session, rights, count, err);
    bool asks = sql_statement_text(session, STATEMENT_HAS_RIGHT) != NULL;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        rights[i].state = ORIGIN_RIGHT_HELD;
        if (asks)
            status = rights_ask(session, &rights[i], err);
    }
    return status;
}
