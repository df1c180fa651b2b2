/* Writes templates of SQL: the JSON of an event, and the names and texts that a table has. */
#include "producer/capture/dialect.h"

#define ARGUMENTS_MAX 3

/* What a trigger says to whoever made the change that it refuses. */
static const struct part MESSAGES[] = {
    {.name = "fixed_message",
     .text = "keepstep: column {column_name} of table {table_name} is the partition key of "
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

void writer_identifier(struct buffer *sql, char quote, const char *name)
{
    buffer_append(sql, &quote, 1);
    for (; *name != '\0'; name++) {
        buffer_append(sql, name, 1);
        buffer_append(sql, name, *name == quote ? 1 : 0);
    }
    buffer_append(sql, &quote, 1);
}

void writer_plain_literal(struct buffer *sql, struct slice text)
{
    buffer_append_text(sql, "'");
    for (size_t i = 0; i < text.length; i++) {
        buffer_append(sql, &text.data[i], 1);
        buffer_append(sql, &text.data[i], text.data[i] == '\'' ? 1 : 0);
    }
    buffer_append_text(sql, "'");
}

int writer_type(const struct writer *writer)
{
    const struct entity_schema *schema = writer->capture->schema;
    return writer->index < schema->column_count ? (int)schema->columns[writer->index].type : -1;
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

bool writer_is_text(const struct writer *writer)
{
    return writer_type(writer) == COLUMN_TEXT;
}

bool writer_is_number(const struct writer *writer)
{
    return writer_type(writer) == COLUMN_DOUBLE || writer_type(writer) == COLUMN_DECIMAL;
}

static void writer_choose(struct writer *writer, size_t index)
{
    const struct capture *capture = writer->capture;
    writer->index = index;
    writer->column = config_column(capture->entry, capture->schema->columns[index].name);
}

/* Writes the word to a text of its own. */
static void write_text(struct writer *writer, struct slice word)
{
    struct buffer text;
    struct buffer *sql = writer->sql;
    buffer_init(&text, CAPTURE_SQL_MAX);
    writer->sql = &text;
    writer_word(writer, word);
    writer->sql = sql;
    writer->capture->dialect->literal(sql, buffer_slice(&text));
    sql->failed = sql->failed || text.failed;
    buffer_done(&text);
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
    capture->dialect->literal(writer->sql, buffer_slice(&name));
    writer->sql->failed = writer->sql->failed || name.failed;
    buffer_done(&name);
    buffer_append_text(writer->sql, capture->dialect->join);
    writer_template(writer, capture->dialect->values[column->type]);
}

/* {"id":1,"name":"a"}: the columns, or those of the key. */
static void write_object(struct writer writer, bool key, struct slice row)
{
    const struct entity_schema *schema = writer.capture->schema;
    const struct dialect *dialect = writer.capture->dialect;
    size_t count = key ? schema->key_count : schema->column_count;
    writer.in_key = key;
    writer.row = row;
    buffer_append_text(writer.sql, dialect->object_open);
    for (size_t i = 0; i < count; i++) {
        writer_choose(&writer, key ? schema->key_columns[i] : i);
        write_member(&writer, i == 0 ? "{" : ",");
        buffer_append_text(writer.sql, dialect->join_line);
    }
    buffer_append_format(writer.sql, "'}'%s", dialect->object_close);
}

static void write_key(struct writer *writer, struct slice argument)
{
    (void)argument;
    buffer_append_text(writer->sql, writer->capture->dialect->text_open);
    write_object(*writer, true, writer->row);
    buffer_append_text(writer->sql, writer->capture->dialect->text_close);
}

static void write_image(const struct writer *writer, struct slice row)
{
    if (slice_is(row, "null"))
        buffer_append_text(writer->sql, "'null'");
    else
        write_object(*writer, false, row);
}

static void write_payload(struct writer *writer, struct slice argument)
{
    const struct dialect *dialect = writer->capture->dialect;
    struct buffer *sql = writer->sql;
    (void)argument;
    buffer_append_format(sql, "%s'{\"op\":\"%c\",\"before\":'%s", dialect->text_open, writer->op,
                         dialect->join);
    write_image(writer, writer_has_before(writer) ? writer->before : slice_of("null"));
    buffer_append_format(sql, "%s',\"after\":'%s", dialect->join_line, dialect->join);
    write_image(writer, writer->after);
    buffer_append_format(sql, "%s'}'%s", dialect->join, dialect->text_close);
}

static void write_type(struct writer *writer, struct slice argument)
{
    const struct dialect *dialect = writer->capture->dialect;
    const char *type = writer->op == 'c'   ? "created"
                       : writer->op == 'u' ? "updated"
                       : writer->op == 'd' ? "deleted"
                                           : "read";
    (void)argument;
    buffer_append_text(writer->sql, dialect->text_open);
    dialect->literal(writer->sql, slice_of(writer->capture->entry->entity_type));
    buffer_append_format(writer->sql, "%s'.%s'%s", dialect->join, type, dialect->text_close);
}

static void write_row(struct writer *writer, struct slice argument)
{
    (void)argument;
    buffer_append(writer->sql, writer->row.data, writer->row.length);
}

static void write_column(struct writer *writer, struct slice argument)
{
    (void)argument;
    writer_identifier(writer->sql, writer->capture->dialect->quote, writer->column);
}

static void write_row_column(struct writer *writer, struct slice argument)
{
    write_row(writer, argument);
    buffer_append_text(writer->sql, ".");
    write_column(writer, argument);
}

static void write_column_name(struct writer *writer, struct slice argument)
{
    (void)argument;
    buffer_append_text(writer->sql, writer->column);
}

static void write_ordinal(struct writer *writer, struct slice argument)
{
    (void)argument;
    buffer_append_format(writer->sql, "%zu", writer->ordinal);
}

static void write_name(struct writer *writer, struct slice argument)
{
    (void)argument;
    writer_identifier(writer->sql, writer->capture->dialect->quote, writer->name);
}

static void write_table(struct writer *writer, struct slice argument)
{
    (void)argument;
    writer_identifier(writer->sql, writer->capture->dialect->quote, writer->table);
}

static void write_table_name(struct writer *writer, struct slice argument)
{
    (void)argument;
    buffer_append_text(writer->sql, writer->capture->entry->table);
}

static void write_entity_type(struct writer *writer, struct slice argument)
{
    (void)argument;
    buffer_append_text(writer->sql, writer->capture->entry->entity_type);
}

static void write_change(struct writer *writer, struct slice argument)
{
    (void)argument;
    buffer_append_text(writer->sql, writer->object->change);
}

static void write_limit(struct writer *writer, struct slice argument)
{
    (void)argument;
    buffer_append_format(writer->sql, "%zu", writer->limit);
}

static const struct word WORDS[] = {
    {"", write_row_column},
    {"row", write_row},
    {"column", write_column},
    {"column_name", write_column_name},
    {"ordinal", write_ordinal},
    {"table", write_table},
    {"table_name", write_table_name},
    {"entity_type", write_entity_type},
    {"name", write_name},
    {"change", write_change},
    {"text", write_text},
    {"key", write_key},
    {"type", write_type},
    {"payload", write_payload},
    {"limit", write_limit},
};

/* @return how many columns a part is written for, or once. */
static size_t part_columns(const struct part *part, const struct capture *capture)
{
    switch (part->each) {
    case PART_EACH_COLUMN:
        return capture->schema->column_count;
    case PART_EACH_KEY:
    case PART_EACH_KEY_PLACE:
        return capture->schema->key_count;
    case PART_EACH_PARTITION_KEY:
        return capture->entry->partition_key == NULL ? 0 : 1;
    case PART_ONCE:
        break;
    }
    return 1;
}

static void part_choose(const struct part *part, struct writer *writer, size_t i)
{
    const struct capture *capture = writer->capture;
    if (part->each == PART_EACH_COLUMN)
        writer_choose(writer, i);
    else if (part->each == PART_EACH_KEY)
        writer_choose(writer, capture->schema->key_columns[i]);
    else if (part->each == PART_EACH_KEY_PLACE)
        writer_choose(writer, capture->key[i]);
    else if (part->each == PART_EACH_PARTITION_KEY) {
        int index = entity_schema_find(capture->schema, slice_of(capture->entry->partition_key));
        writer->index = index < 0 ? SIZE_MAX : (size_t)index;
        writer->column = config_column(capture->entry, capture->entry->partition_key);
    }
    if (part->each != PART_ONCE)
        writer->ordinal = i;
}

/* @return whether it was written at all. */
static bool part_write(const struct part *part, struct writer writer)
{
    bool written = false;
    for (size_t i = 0; i < part_columns(part, writer.capture); i++) {
        part_choose(part, &writer, i);
        if (part->when != NULL && !part->when(&writer))
            continue;
        if (written)
            buffer_append_text(writer.sql, part->separator);
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

/* @return whether there are parts of that name. */
static bool writer_parts(const struct part *parts, size_t count, const struct writer *writer,
                         struct slice name, struct slice arguments)
{
    struct writer inner = *writer;
    bool found = false;
    bool written = false;
    writer_arguments(&inner, arguments);
    for (size_t i = 0; i < count && !written; i++) {
        if (!slice_is(name, parts[i].name))
            continue;
        found = true;
        written = part_write(&parts[i], inner);
    }
    return found;
}

static bool writer_words(const struct word *words, size_t count, struct writer *writer,
                         struct slice name, struct slice arguments)
{
    for (size_t i = 0; i < count; i++) {
        if (!slice_is(name, words[i].name))
            continue;
        words[i].write(writer, arguments);
        return true;
    }
    return false;
}

static void writer_word(struct writer *writer, struct slice word)
{
    const struct dialect *dialect = writer->capture->dialect;
    const char *space = word.length == 0 ? NULL : memchr(word.data, ' ', word.length);
    struct slice name = {word.data, space == NULL ? word.length : (size_t)(space - word.data)};
    struct slice arguments = {word.data + name.length + (space != NULL),
                              word.length - name.length - (space != NULL)};
    if (!writer_words(dialect->words, dialect->word_count, writer, name, arguments) &&
        !writer_parts(dialect->parts, dialect->part_count, writer, name, arguments) &&
        !writer_parts(MESSAGES, sizeof MESSAGES / sizeof *MESSAGES, writer, name, arguments) &&
        !writer_words(WORDS, sizeof WORDS / sizeof *WORDS, writer, name, arguments))
        writer->sql->failed = true;
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
            sql->failed = true;
            break;
        }
        size_t start = sql->length;
        writer_word(writer, (struct slice){text + 1, (size_t)(close - text - 1)});
        text = close + 1;
        bool alone = sql->length == start && (start == 0 || sql->data[start - 1] == '\n');
        text += alone && *text == '\n' ? 1 : 0;
    }
}
