/* Writes SQL from templates: the JSON of events, and the names and messages around it. */
#include "common/log.h"
#include "producer/capture/dialect.h"

#define ARGUMENTS_MAX     3
#define FORMAT_VALUES_MAX 90   /* PostgreSQL takes 100 arguments */
#define VALUE_PLACE       '\0' /* among the fixed pieces of a text, and behind each of its values */

/* The parts of all databases. The messages go to whoever makes a change that a trigger refuses. */
static const struct part PARTS[] = {
    {.name = "partition_key", .text = "NULL"},
    {.name = "columns", .text = "{}", .each = EACH_COLUMN},
    {.name = "key_columns", .text = "{}", .each = EACH_KEY_PLACE},
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
    {.name = "not_finite_message",
     .text = "keepstep: column {column_name} of table {table_name} is NaN or infinite, which "
             "cannot be published"},
};

static void writer_word(struct writer *writer, struct slice word);

void writer_quote(struct buffer *sql, char quote, struct slice text)
{
    buffer_append(sql, &quote, 1);
    for (size_t i = 0; i < text.length; i++) {
        buffer_append(sql, &text.data[i], 1);
        buffer_append(sql, &text.data[i], text.data[i] == quote ? 1 : 0);
    }
    buffer_append(sql, &quote, 1);
}

static void writer_literal(const struct writer *writer, struct slice text)
{
    if (writer->capture->dialect->literal != NULL)
        writer->capture->dialect->literal(writer->sql, text);
    else
        writer_quote(writer->sql, '\'', text);
}

bool writer_is_fixed(const struct writer *writer)
{
    return capture_is_fixed(writer->capture->entry, writer->capture->schema);
}

bool writer_is_resumed(const struct writer *writer)
{
    return writer->resumed;
}

bool writer_is_read(const struct writer *writer)
{
    return writer->op == 'r';
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

/* Writes what the word writes as a literal. */
static void write_text(struct writer *writer, struct slice word)
{
    struct buffer text;
    struct buffer *sql = writer->sql;
    buffer_init(&text, CAPTURE_SQL_MAX);
    writer->sql = &text;
    writer_word(writer, word);
    writer->sql = sql;
    writer_literal(writer, buffer_slice(&text));
    sql->failed = sql->failed || text.failed;
    buffer_done(&text);
}

/* A text of fixed pieces and values. It is written by `writer`, between text_begin() and
 * text_end(). */
struct text {
    struct writer writer;
    struct buffer fixed; /* both for JOIN_FORMAT; a VALUE_PLACE stands for a value */
    struct buffer values;
};

static void text_begin(struct text *text, const struct writer *writer)
{
    enum text_join join = writer->capture->dialect->join;
    text->writer = *writer;
    buffer_init(&text->fixed, CAPTURE_SQL_MAX);
    buffer_init(&text->values, CAPTURE_SQL_MAX);
    if (join == JOIN_FORMAT) {
        text->writer.fixed = &text->fixed;
        text->writer.sql = &text->values;
    }
    buffer_append_text(writer->sql, join == JOIN_CONCAT ? "CONCAT(" : "");
}

/* Takes pieces and values for one call. @return whether anything is left. */
static bool write_format_call(const struct writer *writer, struct slice *pieces,
                              struct slice *values)
{
    struct buffer format, arguments;
    buffer_init(&format, CAPTURE_SQL_MAX);
    buffer_init(&arguments, CAPTURE_SQL_MAX);
    for (size_t count = 0; pieces->length > 0 && count < FORMAT_VALUES_MAX;
         pieces->data++, pieces->length--) {
        bool is_value = *pieces->data == VALUE_PLACE;
        buffer_append(&format, pieces->data, is_value ? 0 : 1);
        buffer_append_text(&format, is_value ? "%s" : *pieces->data == '%' ? "%" : "");
        for (; is_value && *values->data != VALUE_PLACE; values->data++)
            buffer_append(&arguments, values->data, 1);
        values->data += is_value;
        count += is_value;
    }
    buffer_append_text(writer->sql, "pg_catalog.format(");
    writer_literal(writer, buffer_slice(&format));
    buffer_append(writer->sql, buffer_text(&arguments), arguments.length);
    buffer_append_text(writer->sql, ")");
    writer->sql->failed = writer->sql->failed || format.failed || arguments.failed;
    buffer_done(&format);
    buffer_done(&arguments);
    return pieces->length > 0;
}

static void write_format(const struct writer *writer, const struct text *text)
{
    struct slice pieces = buffer_slice(&text->fixed);
    struct slice values = buffer_slice(&text->values);
    if (values.length == 0)
        writer_literal(writer, pieces);
    else if (!text->values.failed && !text->fixed.failed)
        while (write_format_call(writer, &pieces, &values))
            buffer_append_text(writer->sql, " || ");
}

static void text_end(struct text *text, const struct writer *writer)
{
    enum text_join join = writer->capture->dialect->join;
    struct buffer *sql = writer->sql;
    if (join == JOIN_FORMAT)
        write_format(writer, text);
    buffer_append_text(sql, join == JOIN_CONCAT ? ")" : "");
    sql->failed = sql->failed || text->fixed.failed || text->values.failed;
    buffer_done(&text->fixed);
    buffer_done(&text->values);
}

/* A fixed piece of a text. */
static void write_fixed(const struct writer *writer, struct slice piece)
{
    if (writer->fixed != NULL)
        buffer_append(writer->fixed, piece.data, piece.length);
    else
        writer_literal(writer, piece);
}

/* Between two pieces of a text. */
static void write_join(const struct writer *writer)
{
    if (writer->fixed == NULL)
        buffer_append_text(writer->sql,
                           writer->capture->dialect->join == JOIN_CONCAT ? ", " : " || ");
}

static void write_join_line(const struct writer *writer)
{
    const struct dialect *dialect = writer->capture->dialect;
    if (writer->fixed == NULL)
        buffer_append_format(writer->sql, dialect->join == JOIN_CONCAT ? ",%s" : "%s|| ",
                             dialect->line_start);
}

static void write_value(struct writer *writer, const char *value)
{
    const char place = VALUE_PLACE;
    if (writer->fixed == NULL) {
        writer_template(writer, value);
        return;
    }
    buffer_append(writer->fixed, &place, 1);
    buffer_append_format(writer->sql, ",%s", writer->capture->dialect->line_start);
    writer_template(writer, value);
    buffer_append(writer->sql, &place, 1);
}

static void write_member(struct writer *writer, const char *separator)
{
    const struct capture *capture = writer->capture;
    const struct column *column = &capture->schema->columns[writer->index];
    struct buffer name;
    buffer_init(&name, CAPTURE_SQL_MAX);
    buffer_append_text(&name, separator);
    buffer_append_json(&name, slice_of(column->name));
    buffer_append_text(&name, ":");
    write_fixed(writer, buffer_slice(&name));
    writer->sql->failed = writer->sql->failed || name.failed;
    buffer_done(&name);
    write_join(writer);
    write_value(writer, capture->dialect->values[column->type]);
}

/* {"id":1,"name":"a"}: the columns of the key, or all. */
static void write_object(struct writer writer, bool key, struct slice row)
{
    const struct entity_schema *schema = writer.capture->schema;
    bool has_operator = writer.capture->dialect->join == JOIN_OPERATOR;
    size_t count = key ? schema->key_count : schema->column_count;
    writer.in_key = key;
    writer.row = row;
    buffer_append_text(writer.sql, has_operator ? "(" : "");
    for (size_t i = 0; i < count; i++) {
        writer_choose(&writer, key ? schema->key_columns[i] : i);
        write_member(&writer, i == 0 ? "{" : ",");
        write_join_line(&writer);
    }
    write_fixed(&writer, slice_of("}"));
    buffer_append_text(writer.sql, has_operator ? ")" : "");
}

static void write_key(const struct writer *writer)
{
    struct text text;
    text_begin(&text, writer);
    write_object(text.writer, true, writer->row);
    text_end(&text, writer);
}

static void write_image(const struct writer *writer, struct slice row)
{
    if (slice_is(row, "null"))
        write_fixed(writer, row);
    else
        write_object(*writer, false, row);
}

static void write_payload(const struct writer *writer)
{
    char head[] = "{\"op\":\"?\",\"before\":";
    struct text text;
    *strchr(head, '?') = writer->op;
    text_begin(&text, writer);
    write_fixed(&text.writer, slice_of(head));
    write_join(&text.writer);
    write_image(&text.writer, writer_has_before(writer) ? writer->before : slice_of("null"));
    write_join_line(&text.writer);
    write_fixed(&text.writer, slice_of(",\"after\":"));
    write_join(&text.writer);
    write_image(&text.writer, writer->after);
    write_join(&text.writer);
    write_fixed(&text.writer, slice_of("}"));
    text_end(&text, writer);
}

static void write_type(struct writer *writer)
{
    const char *type = writer->op == 'c'   ? ".created"
                       : writer->op == 'u' ? ".updated"
                       : writer->op == 'd' ? ".deleted"
                                           : ".read";
    struct text text;
    text_begin(&text, writer);
    write_fixed(&text.writer, slice_of(writer->capture->entry->entity_type));
    write_join(&text.writer);
    write_fixed(&text.writer, slice_of(type));
    text_end(&text, writer);
}

static void write_name(struct writer *writer, const char *name)
{
    writer_quote(writer->sql, writer->capture->dialect->quote, slice_of(name));
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

static void writer_word(struct writer *writer, struct slice word)
{
    const struct dialect *dialect = writer->capture->dialect;
    const char *space = word.length == 0 ? NULL : memchr(word.data, ' ', word.length);
    struct slice name = {word.data, space == NULL ? word.length : (size_t)(space - word.data)};
    struct slice arguments = {word.data + name.length + (space != NULL),
                              word.length - name.length - (space != NULL)};
    struct writer inner = *writer;
    bool found = false;
    if (slice_is(name, "text")) {
        write_text(writer, arguments);
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
    struct buffer *sql = writer->sql;
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n') /* an .sql file's end of line */
        length--;
    const char *end = text + length;
    while (text < end) {
        size_t before = strcspn(text, "{");
        before = before > (size_t)(end - text) ? (size_t)(end - text) : before;
        buffer_append(sql, text, before);
        text += before;
        if (text == end)
            break;
        const char *close = strchr(text, '}');
        if (close == NULL) {
            writer_reject(writer, slice_of(text + 1));
            break;
        }
        size_t start = sql->length;
        writer_word(writer, (struct slice){text + 1, (size_t)(close - text - 1)});
        text = close + 1;
        bool alone = sql->length == start && (start == 0 || sql->data[start - 1] == '\n');
        text += alone && *text == '\n' ? 1 : 0;
    }
}
