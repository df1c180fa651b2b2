/* Finds schemas that would apply to the same value in an endless loop. */
#include "schemas/json_schema/internal.h"

enum loop_mark { LOOP_UNSEEN, LOOP_OPEN, LOOP_DONE };

static enum status visit(struct json_node *node, size_t depth, struct error *err);

static enum status visit_list(const struct json_node_list *list, size_t depth, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < list->count; i++)
        status = visit(list->nodes[i], depth, err);
    return status;
}

/** Visit all schemas that apply to the same value as `node`. */
static enum status visit_all(struct json_node *node, size_t depth, struct error *err)
{
    struct json_node *singles[] = {node->target, node->negated, node->condition, node->consequence,
                                   node->alternative};
    struct json_node_list list = {.nodes = singles, .count = sizeof singles / sizeof singles[0]};
    if (node->reference != NULL)
        return visit(node->target, depth, err);
    enum status status = visit_list(&list, depth, err);
    if (status == STATUS_OK)
        status = visit_list(&node->all_of, depth, err);
    if (status == STATUS_OK)
        status = visit_list(&node->any_of, depth, err);
    if (status == STATUS_OK)
        status = visit_list(&node->one_of, depth, err);
    for (size_t i = 0; status == STATUS_OK && i < node->dependencies.count; i++)
        status = visit(node->dependencies.entries[i].node, depth, err);
    return status;
}

static enum status visit(struct json_node *node, size_t depth, struct error *err)
{
    if (node == NULL || node->loop_mark == LOOP_DONE)
        return STATUS_OK;
    if (node->loop_mark == LOOP_OPEN)
        return error_set(err, STATUS_FATAL, "schema: '%s' is part of an endless loop",
                         node->reference != NULL ? node->reference : node->base);
    if (depth > JSON_SCHEMA_DEPTH_MAX)
        return error_set(err, STATUS_FATAL, "schema: references go too deep");
    node->loop_mark = LOOP_OPEN;
    enum status status = visit_all(node, depth + 1, err);
    node->loop_mark = LOOP_DONE;
    return status;
}

enum status json_loops_refuse(struct json_schema *schema, struct error *err)
{
    enum status status = STATUS_OK;
    for (struct json_node *node = schema->nodes; status == STATUS_OK && node != NULL;
         node = node->next)
        status = visit(node, 0, err);
    return status;
}
