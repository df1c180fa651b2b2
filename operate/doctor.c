/* `keepstep doctor`: looks at all that a service's sidecar needs, and changes nothing. */
#include "operate/doctor/doctor.h"

#include "common/advice.h"

#include <stdio.h>
#include <sysexits.h>

#define DOCTOR_OUTPUT_MAX ((size_t)4 * 1024 * 1024)
#define DOCTOR_UNHEALTHY  1

static int doctor_command_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    struct doctor doctor;
    struct error err = ERROR_INIT;
    struct buffer out;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    advice_set_rights("; see the lines on this login's rights");
    buffer_init(&out, DOCTOR_OUTPUT_MAX);
    enum status status = doctor_init(&doctor, &line, &err);
    if (status == STATUS_OK) {
        command_catch_signals();
        doctor_run(&doctor);
        (line.json ? doctor_append_json : doctor_append_text)(&doctor, &out);
        command_print(&out, line.json);
        code = doctor_count(&doctor, DOCTOR_FAIL) > 0 ? DOCTOR_UNHEALTHY : EX_OK;
    } else {
        code = command_fail(&err);
    }
    doctor_done(&doctor);
    buffer_done(&out);
    return code;
}

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "Look at all that a sidecar needs, and say what to do; exit code 0: nothing fails.",
    .examples = "  keepstep doctor -c shop.yaml\n  keepstep doctor --json -c billing.yaml\n",
    .run = doctor_command_run,
};
