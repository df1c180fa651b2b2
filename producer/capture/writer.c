/* Writes SQL from templates: the JSON of events, and the names and messages around it. */
#include "common/log.h"
#include "producer/capture/dialect.h"
#include "schemas/key_sql.h"

#define ARGUMENTS_MAX 3

/* The parts of all databases. The messages go to whoever makes a change that a trigger refuses. */
static const struct part PARTS[] = {
    {.name = "partition_key", .text = "NULL"},
    {.name = "columns", .text = "{}", .each = EACH_COLUMN},
    {.name = "key_columns", .text = "{}", .each = EACH_KEY_PLACE},
    {.name = "column_names", .text = "{column}", .each = EACH_COLUMN},
    {.name = "where_behind", .text = " WHERE {behind}", .when = writer_is_resumed},
    {.name = "fixed_message",
     .text =
         "keepstep: column {partition_column_name} of table {table_name} is the partition key of "
         "{entity_type} and cannot be changed: the row's later events would overtake its "
         "earlier ones in another partition. Delete the row and insert it under a primary key "
         "that is new, or make the column part of the primary key"},
    {.name = "lost_message", /* the database's own words follow */
     .text = "keepstep: a column of table {table_name} that is published as {entity_type} was "
             "renamed or dropped. Give it its name back, or change columns: or the schema and run "
             "`keepstep init`. "},
    {.name = "null_key_message",
     .text = "keepstep: column {column_name} of table {table_name} is part of the primary key and "
             "NULL, so that the row cannot be published: give it a value"},
    {.name = "reserved_message",
     .text = ERROR_TRY_AGAIN
     "an entity of type {entity_type} is reserved by a joint transaction that is not decided yet; "
     "keepstep_reserved names both"},
    {.name = "not_finite_message",
     .text = "keepstep: column {column_name} of table {table_name} is NaN or infinite, which "
             "cannot be published"},
};

static void writer_word(void *context, struct slice word);

bool writer_is_fixed(const struct writer *writer)
{
    return capture_is_fixed(writer->capture->entry, writer->capture->schema);
}

bool writer_is_resumed(const struct writer *writer)
{
    return writer->resumed;
}

bool writer_is_joint(const struct writer *writer)
{
    return writer->capture->entry->is_joint;
}

bool writer_is_not_joint(const struct writer *writer)
{
    return !writer_is_joint(writer);
}

bool writer_has_before(const struct writer *writer)
{
    return writer->capture->entry->before;
}

static void writer_choose(struct writer *writer, size_t index)
{
    const struct capture *capture = writer->capture;
    writer->index = index;
    writer->column = config_column(capture->entry, capture->schema->columns[index].name);
}

static const struct text_dialect *writer_dialect(const struct writer *writer)
{
    return &writer->capture->dialect->columns->text;
}

/* Writes what the word writes as a literal. */
static void write_literal(struct writer *writer, struct slice word)
{
    struct buffer text;
    struct buffer *sql = writer->sql;
    buffer_init(&text, SQL_TEXT_MAX);
    writer->sql = &text;
    writer_word(writer, word);
    writer->sql = sql;
    sql_literal(sql, writer_dialect(writer), buffer_slice(&text));
    sql->failed = sql->failed || text.failed;
    buffer_done(&text);
}

/* Rows that were there before are published whatever they hold; the relay sets aside what it cannot
 * publish. A change fails instead. */
static struct column_sql writer_columns(const struct writer *writer)
{
    const struct capture *capture = writer->capture;
    return (struct column_sql){.dialect = capture->dialect->columns,
                               .schema = capture->schema,
                               .entry = capture->entry,
                               .is_timestamp = capture->is_timestamp,
                               .refuses = writer->op != 'r'};
}

static void write_key(const struct writer *writer)
{
    const struct column_sql columns = writer_columns(writer);
    struct sql_text text;
    sql_text_begin(&text, writer_dialect(writer), writer->sql);
    column_sql_write(&text, &columns, true, writer->row);
    sql_text_end(&text);
}

static void write_image(const struct writer *writer, struct sql_text *text, struct slice row)
{
    const struct column_sql columns = writer_columns(writer);
    if (slice_is(row, "null"))
        sql_text_fixed(text, row);
    else
        column_sql_write(text, &columns, false, row);
}

static void write_payload(const struct writer *writer)
{
    char head[] = "{\"op\":\"?\",\"before\":";
    struct sql_text text;
    *strchr(head, '?') = writer->op;
    sql_text_begin(&text, writer_dialect(writer), writer->sql);
    sql_text_fixed(&text, slice_of(head));
    sql_text_join(&text);
    write_image(writer, &text, writer_has_before(writer) ? writer->before : slice_of("null"));
    sql_text_join_line(&text);
    sql_text_fixed(&text, slice_of(",\"after\":"));
    sql_text_join(&text);
    write_image(writer, &text, writer->after);
    sql_text_join(&text);
    sql_text_fixed(&text, slice_of("}"));
    sql_text_end(&text);
}

static void write_type(const struct writer *writer)
{
    const char *type = writer->op == 'c'   ? ".created"
                       : writer->op == 'u' ? ".updated"
                       : writer->op == 'd' ? ".deleted"
                                           : ".read";
    struct sql_text text;
    sql_text_begin(&text, writer_dialect(writer), writer->sql);
    sql_text_fixed(&text, slice_of(writer->capture->entry->entity_type));
    sql_text_join(&text);
    sql_text_fixed(&text, slice_of(type));
    sql_text_end(&text);
}

static void write_name(struct writer *writer, const char *name)
{
    sql_quote(writer->sql, writer_dialect(writer)->quote, slice_of(name));
}

static void write_row(struct writer *writer)
{
    buffer_append(writer->sql, writer->row.data, writer->row.length);
}

/* @return whether it is a word of all databases. */
static bool write_word(struct writer *writer, struct slice word)
{
    const struct config_entry *entry = writer->capture->entry;
    struct buffer *sql = writer->sql;
    if (slice_is(word, "")) {
        write_row(writer);
        buffer_append_text(sql, ".");
        write_name(writer, writer->column);
    } else if (slice_is(word, "row")) {
        write_row(writer);
    } else if (slice_is(word, "column")) {
        write_name(writer, writer->column);
    } else if (slice_is(word, "column_name")) {
        buffer_append_text(sql, writer->column);
    } else if (slice_is(word, "partition_column_name")) {
        buffer_append_text(sql, config_column(entry, entry->partition_key));
    } else if (slice_is(word, "ordinal")) {
        buffer_append_format(sql, "%zu", writer->ordinal);
    } else if (slice_is(word, "name")) {
        write_name(writer, writer->name);
    } else if (slice_is(word, "table")) {
        write_name(writer, writer->table);
    } else if (slice_is(word, "table_name")) {
        buffer_append_text(sql, entry->table);
    } else if (slice_is(word, "entity_type")) {
        buffer_append_text(sql, entry->entity_type);
    } else if (slice_is(word, "change")) {
        buffer_append_text(sql, writer->object->change);
    } else if (slice_is(word, "key")) {
        write_key(writer);
    } else if (slice_is(word, "type")) {
        write_type(writer);
    } else if (slice_is(word, "payload")) {
        write_payload(writer);
    } else if (slice_is(word, "is_key")) {
        const struct column_sql columns = writer_columns(writer);
        key_sql_append(sql, &columns, "t", 1);
    } else if (slice_is(word, "limit")) {
        buffer_append_format(sql, "%zu", writer->limit);
    } else {
        return false;
    }
    return true;
}

/* Goes to the nth column that a part is written for. @return false: there is none any more. */
static bool part_choose(const struct part *part, struct writer *writer, size_t n)
{
    const struct capture *capture = writer->capture;
    const struct entity_schema *schema = capture->schema;
    const char *partition_key = capture->entry->partition_key;
    if (part->each == ONCE)
        return n == 0;
    writer->ordinal = n;
    if (part->each == EACH_PARTITION_KEY) {
        if (partition_key == NULL || n > 0)
            return false;
        int index = entity_schema_find(schema, slice_of(partition_key));
        writer->index = index < 0 ? SIZE_MAX : (size_t)index;
        writer->column = config_column(capture->entry, partition_key);
        return true;
    }
    if (n >= (part->each == EACH_COLUMN ? schema->column_count : schema->key_count))
        return false;
    writer_choose(writer, part->each == EACH_COLUMN ? n
                          : part->each == EACH_KEY  ? schema->key_columns[n]
                                                    : capture->key[n]);
    return true;
}

static bool part_applies(const struct part *part, const struct writer *writer)
{
    const struct entity_schema *schema = writer->capture->schema;
    if (part->when != NULL && !part->when(writer))
        return false;
    return part->types == 0 || (writer->index < schema->column_count &&
                                (part->types & OF(schema->columns[writer->index].type)) != 0);
}

/* @return whether it was written at all. */
static bool part_write(const struct part *part, struct writer writer)
{
    bool written = false;
    for (size_t n = 0; part_choose(part, &writer, n); n++) {
        if (!part_applies(part, &writer))
            continue;
        if (written)
            buffer_append_text(writer.sql, part->separator != NULL ? part->separator : ", ");
        writer_template(&writer, part->text);
        written = true;
    }
    return written;
}

/* `ROW`, or `OP BEFORE AFTER`. */
static void writer_arguments(struct writer *writer, struct slice arguments)
{
    struct slice words[ARGUMENTS_MAX] = {0};
    size_t count = 0;
    while (arguments.length > 0 && count < ARGUMENTS_MAX) {
        const char *space = memchr(arguments.data, ' ', arguments.length);
        size_t length = space == NULL ? arguments.length : (size_t)(space - arguments.data);
        words[count++] = (struct slice){arguments.data, length};
        length += space != NULL;
        arguments = (struct slice){arguments.data + length, arguments.length - length};
    }
    if (count == 1)
        writer->row = words[0];
    if (count != ARGUMENTS_MAX)
        return;
    writer->op = words[0].data[0];
    writer->before = words[1];
    writer->after = words[2];
    writer->row = slice_is(words[2], "null") ? words[1] : words[2];
}

/* @return whether one has written anything. @param ret_found  set where there is one. */
static bool writer_parts(const struct part *parts, size_t count, const struct writer *writer,
                         struct slice name, bool *ret_found)
{
    bool written = false;
    for (size_t i = 0; i < count && !written; i++) {
        if (!slice_is(name, parts[i].name))
            continue;
        *ret_found = true;
        written = part_write(&parts[i], *writer);
    }
    return written;
}

/* Templates are part of the program: only its own fault gets here. */
static void writer_reject(struct writer *writer, struct slice word)
{
    log_error("capture", "a template has no word {%.*s}", (int)word.length, word.data);
    writer->sql->failed = true;
}

static void writer_word(void *context, struct slice word)
{
    struct writer *writer = context;
    const struct dialect *dialect = writer->capture->dialect;
    const char *space = word.length == 0 ? NULL : memchr(word.data, ' ', word.length);
    struct slice name = {word.data, space == NULL ? word.length : (size_t)(space - word.data)};
    struct slice arguments = {word.data + name.length + (space != NULL),
                              word.length - name.length - (space != NULL)};
    struct writer inner = *writer;
    bool found = false;
    if (slice_is(name, "text")) {
        write_literal(writer, arguments);
        return;
    }
    writer_arguments(&inner, arguments);
    if ((dialect->word == NULL || !dialect->word(&inner, name)) &&
        !writer_parts(dialect->parts, dialect->part_count, &inner, name, &found) &&
        !writer_parts(PARTS, sizeof PARTS / sizeof *PARTS, &inner, name, &found) && !found &&
        !write_word(&inner, name))
        writer_reject(writer, name);
}

void writer_template(struct writer *writer, const char *text)
{
    sql_template(writer->sql, text, writer_word, writer);
}
