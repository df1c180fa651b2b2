/* A small reader: names may be quoted, columns stand in parentheses, everything else is a list. */
#include "common/grants.h"

#include <string.h>
#include <strings.h>

static struct slice grants_trim(struct slice text)
{
    while (text.length > 0 && strchr(" \t\r\n", text.data[0]) != NULL)
        text = (struct slice){text.data + 1, text.length - 1};
    while (text.length > 0 && strchr(" \t\r\n", text.data[text.length - 1]) != NULL)
        text.length--;
    return text;
}

static bool grants_begins(struct slice text, const char *word)
{
    return text.length >= strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

/* @return where a word begins outside of quotes and parentheses; `text.length`: nowhere. */
static size_t grants_find(struct slice text, const char *word)
{
    char quote = '\0';
    int depth = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        const struct slice rest = {text.data + i, text.length - i};
        if (quote == '\0' && depth == 0 && grants_begins(rest, word))
            return i;
        if (quote != '\0')
            quote = c == quote ? '\0' : quote;
        else if (c == '"' || c == '`' || c == '\'')
            quote = c;
        else
            depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
    return text.length;
}

/* Take the text before a word, and go behind it. @return false where nothing is left. */
static bool grants_take(struct slice *rest, const char *word, struct slice *ret_part)
{
    if (rest->length == 0)
        return false;
    size_t end = grants_find(*rest, word);
    size_t behind = end + (end < rest->length ? strlen(word) : 0);
    *ret_part = grants_trim((struct slice){rest->data, end});
    *rest = (struct slice){rest->data + behind, rest->length - behind};
    return true;
}

struct slice grants_bare(struct slice name)
{
    bool is_quoted = name.length >= 2 && (name.data[0] == '"' || name.data[0] == '`') &&
                     name.data[name.length - 1] == name.data[0];
    return is_quoted ? (struct slice){name.data + 1, name.length - 2} : name;
}

/* What is done with the rights of one statement. */
struct grants_reading {
    grants_visit *visit;
    void *context;
    bool goes_on;
};

static void grants_read_roles(struct grants_reading *reading, struct grant_right right,
                              struct slice roles)
{
    while (reading->goes_on && grants_take(&roles, ",", &right.role))
        reading->goes_on = reading->visit(reading->context, &right);
}

static void grants_read_objects(struct grants_reading *reading, struct grant_right right,
                                struct slice objects, struct slice roles)
{
    static const char *const kinds[] = {"TABLE", "FUNCTION", "SCHEMA", "PROCEDURE"};
    right.kind = slice_of(kinds[0]);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i]);
        if (!grants_begins(objects, kinds[i]) || objects.length == length ||
            objects.data[length] != ' ')
            continue;
        right.kind = slice_of(kinds[i]);
        objects = (struct slice){objects.data + length, objects.length - length};
        break;
    }
    while (reading->goes_on && grants_take(&objects, ",", &right.object))
        grants_read_roles(reading, right, roles);
}

/* A privilege, with columns in parentheses or without. */
static void grants_read_privilege(struct grants_reading *reading, struct slice text,
                                  struct slice objects, struct slice roles)
{
    struct grant_right right = {0};
    const char *open = memchr(text.data, '(', text.length);
    size_t length = open == NULL ? text.length : (size_t)(open - text.data);
    right.privilege = grants_trim((struct slice){text.data, length});
    if (open == NULL) {
        grants_read_objects(reading, right, objects, roles);
        return;
    }
    struct slice columns = {open + 1, text.length - length - 2};
    while (reading->goes_on && grants_take(&columns, ",", &right.column))
        grants_read_objects(reading, right, objects, roles);
}

static void grants_read_statement(struct grants_reading *reading, struct slice statement)
{
    struct slice privileges;
    struct slice objects;
    struct slice roles;
    struct slice privilege;
    if (!grants_take(&statement, " ON ", &privileges) || statement.length == 0 ||
        !grants_take(&statement, " TO ", &objects) || !grants_take(&statement, ";", &roles))
        return;
    while (reading->goes_on && grants_take(&privileges, ",", &privilege))
        grants_read_privilege(reading, privilege, objects, roles);
}

void grants_read(struct slice sql, grants_visit *visit, void *context)
{
    static const char grant[] = "GRANT ";
    struct grants_reading reading = {.visit = visit, .context = context, .goes_on = true};
    bool begins_line = true;
    for (size_t i = 0; reading.goes_on && i < sql.length; i++) {
        struct slice rest = {sql.data + i, sql.length - i};
        if (begins_line && grants_begins(rest, grant)) {
            size_t end = grants_find(rest, ";");
            grants_read_statement(&reading,
                                  (struct slice){rest.data + strlen(grant), end - strlen(grant)});
            i += end;
        }
        begins_line = i < sql.length && sql.data[i] == '\n';
    }
}
