/* The table of all commands. */
#include "operate/command.h"

const struct command *const command_list[] = {
    &command_init,    &command_run,       &command_relay,  &command_agent,       &command_status,
    &command_lag,     &command_copies,    &command_verify, &command_repair,      &command_fill,
    &command_token,   &command_wait,      &command_topics, &command_doctor,      &command_pause,
    &command_resume,  &command_parked,    &command_outbox, &command_joint,       &command_tail,
    &command_publish, &command_schema,    &command_config, &command_healthcheck, &command_broker,
    &command_demo,    &command_uninstall,
};
const size_t command_count = sizeof command_list / sizeof *command_list;
