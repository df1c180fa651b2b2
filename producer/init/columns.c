/* What `init` remembers of the columns that an entity type's triggers publish, and says of them. */
#include "producer/init/columns.h"

#define LIST_SIZE_MAX ((size_t)1024 * 1024)

static bool columns_applied(const struct config *config, const char *entity_type)
{
    return config_find(config->apply, config->apply_count, entity_type, strlen(entity_type)) !=
           NULL;
}

static const char *columns_partition_key(const struct config_entry *entry)
{
    return entry->partition_key == NULL ? "" : entry->partition_key;
}

/* `"property":"column",` */
static void columns_append(struct buffer *list, const struct init_columns *columns, size_t index)
{
    const char *property = columns->schema->columns[index].name;
    buffer_append_json(list, slice_of(property));
    buffer_append_text(list, ":");
    buffer_append_json(list, slice_of(config_column(columns->entry, property)));
    buffer_append_text(list, ",");
}

/* A quote within a name stands behind a backslash, so that no pair is found within another. */
static bool columns_has(struct slice list, const struct init_columns *columns, size_t index)
{
    struct buffer pair;
    bool found = false;
    buffer_init(&pair, LIST_SIZE_MAX);
    columns_append(&pair, columns, index);
    for (size_t at = 0; !found && at + pair.length <= list.length; at++)
        found = (at == 0 || list.data[at - 1] == ',') &&
                memcmp(list.data + at, pair.data, pair.length) == 0;
    buffer_done(&pair);
    return found;
}

enum status init_columns_check(const struct init_columns *columns, struct error *err)
{
    const struct config_entry *entry = columns->entry;
    const char *now = columns_partition_key(entry);
    struct origin_captured known;
    struct arena arena;
    arena_init(&arena, LIST_SIZE_MAX);
    enum status status = columns->origin->ops->captured(columns->origin, entry->entity_type, &arena,
                                                        &known, err);
    if (status == STATUS_OK && known.mapped.data != NULL && !slice_is(known.partition_key, now))
        status = error_set(error_config(err), STATUS_FATAL,
                           "publish.%s: partition_key was \"%.*s\" and is \"%s\" now: later events "
                           "of its entities would overtake earlier ones in other partitions; leave "
                           "it as it was, or publish the table as another entity type",
                           entry->entity_type, SLICE_ARGS(known.partition_key), now);
    arena_done(&arena);
    return status;
}

static void columns_say_command(const struct init_columns *columns)
{
    const char *path = columns->config->path;
    (void)fprintf(columns->out, "`keepstep init --republish %s%s%s`", columns->entry->entity_type,
                  path == NULL ? "" : " -c ", path == NULL ? "" : path);
}

static void columns_say(const struct init_columns *columns, struct slice news, bool applied)
{
    const char *type = columns->entry->entity_type;
    const char *separator = "";
    (void)fprintf(columns->out, "%-8s columns %s: ", "note", type);
    for (size_t i = 0; i < columns->schema->column_count; i++) {
        if (!columns_has(news, columns, i))
            continue;
        (void)fprintf(columns->out, "%s%s", separator, columns->schema->columns[i].name);
        separator = ", ";
    }
    (void)fputs(": newer than rows that were published, which keep at the copies what they had "
                "there ",
                columns->out);
    if (applied) {
        (void)fputs("until the service changes them: it applies this type itself, so that "
                    "--republish is not for it\n",
                    columns->out);
    } else {
        (void)fputs("until ", columns->out);
        columns_say_command(columns);
        (void)fputs("\n", columns->out);
    }
}

enum status init_columns_note(const struct init_columns *columns, struct error *err)
{
    struct origin *origin = columns->origin;
    const char *type = columns->entry->entity_type;
    bool applied = columns_applied(columns->config, type);
    struct origin_captured known;
    struct origin_progress progress = {0};
    struct arena arena;
    struct buffer mapped;
    struct buffer news;
    arena_init(&arena, LIST_SIZE_MAX);
    buffer_init(&mapped, LIST_SIZE_MAX);
    buffer_init(&news, LIST_SIZE_MAX);
    enum status status = origin->ops->captured(origin, type, &arena, &known, err);
    if (status == STATUS_OK)
        status = origin->ops->progress(origin, type, &progress, err);
    bool published = progress.done || progress.rows > 0 || progress.published || applied;
    for (size_t i = 0; status == STATUS_OK && i < columns->schema->column_count; i++) {
        columns_append(&mapped, columns, i);
        bool is_new = known.mapped.data != NULL && (!columns_has(known.mapped, columns, i) ||
                                                    columns_has(known.news, columns, i));
        if (is_new && published)
            columns_append(&news, columns, i);
    }
    if (status == STATUS_OK)
        (void)fprintf(columns->out,
                      "%-8s columns %s: none of its %zu may be renamed or dropped without an init "
                      "behind it\n",
                      "watched", type, columns->schema->column_count);
    if (status == STATUS_OK && news.length > 0 && !columns->republishes)
        columns_say(columns, buffer_slice(&news), applied);
    const struct origin_captured written = {
        .mapped = buffer_slice(&mapped),
        .news = applied || news.length == 0 ? slice_of("") : buffer_slice(&news),
        .partition_key = slice_of(columns_partition_key(columns->entry))};
    if (status == STATUS_OK && (mapped.failed || news.failed))
        status = error_set(err, STATUS_FATAL, "publish.%s: the names of its columns are too long",
                           type);
    if (status == STATUS_OK)
        status = origin->ops->write_captured(origin, type, &written, err);
    buffer_done(&news);
    buffer_done(&mapped);
    arena_done(&arena);
    return status;
}

enum status init_columns_mended(const struct init_columns *columns, struct error *err)
{
    const struct config_entry *entry = columns->entry;
    struct origin_progress progress = {0};
    enum status status = columns->origin->ops->progress(columns->origin, entry->entity_type,
                                                        &progress, err);
    if (status != STATUS_OK || !(progress.published || progress.done || progress.rows > 0))
        return status;
    (void)fprintf(columns->out,
                  "MENDED   %s: its triggers did not capture table %s whole. What was changed "
                  "meanwhile was not published: rows may be missing, old or, where they were "
                  "deleted here, left over at the copies. ",
                  entry->entity_type, entry->table);
    if (columns_applied(columns->config, entry->entity_type)) {
        (void)fputs("Delete there what is gone here, and write here once more the rows that "
                    "differ\n",
                    columns->out);
    } else {
        (void)fprintf(columns->out,
                      "`keepstep repair %s --publish --with FILE%s%s`, with the configuration of a "
                      "copy, publishes what differs; ",
                      entry->entity_type, columns->config->path == NULL ? "" : " -c ",
                      columns->config->path == NULL ? "" : columns->config->path);
        columns_say_command(columns);
        (void)fputs(" publishes all rows that are here, and deletes none\n", columns->out);
    }
    return STATUS_OK;
}

enum status init_columns_may_republish(const struct config *config, const char *entity_type,
                                       struct error *err)
{
    const struct config_entry *entry = config_find(config->publish, config->publish_count,
                                                   entity_type, strlen(entity_type));
    if (entry == NULL || entry->table == NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "--republish %s: publish: names no table for this entity type",
                         entity_type);
    if (columns_applied(config, entity_type))
        return error_set(error_config(err), STATUS_FATAL,
                         "--republish %s: this service applies the type too, as others publish it: "
                         "its rows would count as its own later changes and hide theirs, so that "
                         "the copies end different; let the service change the rows in question "
                         "itself",
                         entity_type);
    return STATUS_OK;
}
