/* Opens the control topic for a command. */
#include "operate/control.h"

enum status control_open(const struct config *config, const atomic_bool *stop,
                         struct control *ret_control, struct error *err)
{
    struct control *control = ret_control;
    *control = (struct control){0};
    members_init(&control->members);
    if (config->control_topic[0] == '\0')
        return error_set(error_config(err), STATUS_STOP,
                         "%s: control_topic: is empty, so the services do not tell each other how "
                         "far they are",
                         config->path);
    struct control_options options = members_control(config, control->group, sizeof control->group);
    options.stop = stop;
    enum status status = control_topic_open(&options, &control->topic, err);
    if (status == STATUS_OK)
        status = control_topic_check(control->topic, err);
    if (status == STATUS_OK)
        status = members_read(&control->members, control->topic, err);
    return status;
}

void control_close(struct control *control)
{
    control_topic_close(control->topic);
    control->topic = NULL;
    members_done(&control->members);
}
