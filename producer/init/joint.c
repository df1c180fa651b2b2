/* What `init` asks of joint transactions before it makes anything. */
#include "producer/init/joint.h"

#include "schemas/joint_record.h"

#define NAMES_SIZE_MAX ((size_t)1024 * 1024)

/* Nobody would keep the service's own writes off what is reserved of a type that is not joint any
 * more, and nobody could make the changes. */
static enum status check_reserved(struct origin *origin, const struct config *config,
                                  struct error *err)
{
    char type[ORIGIN_NAME_SIZE] = "";
    struct buffer types;
    enum status status = STATUS_RETRY;
    buffer_init(&types, NAMES_SIZE_MAX);
    buffer_append_text(&types, "[");
    for (size_t i = 0; i < config->publish_count; i++) {
        if (!config->publish[i].is_joint)
            continue;
        buffer_append_text(&types, types.length > 1 ? "," : "");
        buffer_append_json(&types, slice_of(config->publish[i].entity_type));
    }
    buffer_append_text(&types, "]");
    if (types.failed)
        (void)error_set(err, status, "no memory");
    else
        status = origin->ops->find_reserved(origin, buffer_text(&types), type, err);
    buffer_done(&types);
    return status != STATUS_OK || type[0] == '\0'
               ? status
               : error_set(error_config(err), STATUS_FATAL,
                           "publish.%s: joint transactions reserve entities of the type: keep its "
                           "`joint:` until keepstep_reserved has none of it",
                           type);
}

/* Nobody would read what becomes of it. */
static enum status check_unsettled(struct origin *origin, const struct config *config,
                                   struct error *err)
{
    char text[ORIGIN_UNSETTLED_SIZE] = "";
    enum status status = config_is_joint(config) ? STATUS_OK
                                                 : origin->ops->find_unsettled(origin, text, err);
    return status != STATUS_OK || text[0] == '\0'
               ? status
               : error_set(error_config(err), STATUS_FATAL,
                           "publish: joint transaction %s here: keep `joint:` and let `keepstep "
                           "run` settle it; `keepstep joint list` names all of them",
                           text);
}

/* What is promised in a database that is ready must be settled, so its triggers are still made. */
static enum status check_fit(struct origin *origin, const struct config *config, bool printing,
                             FILE *out, struct error *err)
{
    struct origin_look look;
    enum status status = config_is_joint(config) ? origin->ops->look(origin, &look, err)
                                                 : STATUS_OK;
    if (status != STATUS_OK || !config_is_joint(config) || look.joint_unfit[0] == '\0')
        return status;
    if (!look.joint_ready)
        return error_set(error_config(err), STATUS_FATAL, "publish: %s: " JOINT_UNFIT_ADVICE,
                         look.joint_unfit);
    (void)fprintf(out, "%s%s: " JOINT_UNFIT_ADVICE "\n", printing ? "-- " : "NOTE     ",
                  look.joint_unfit);
    return STATUS_OK;
}

enum status init_check_joint(struct origin *origin, const struct config *config, bool printing,
                             FILE *out, struct error *err)
{
    enum status status = check_reserved(origin, config, err);
    if (status == STATUS_OK)
        status = check_unsettled(origin, config, err);
    return status == STATUS_OK ? check_fit(origin, config, printing, out, err) : status;
}
