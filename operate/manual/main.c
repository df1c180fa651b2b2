/* The build runs this program: it prints one of the documents that are installed. */
#include "operate/manual/manual.h"
#include "operate/metrics.h"
#include "schemas/config/config.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(struct buffer *out);
    } documents[] = {{"commands", manual_describe},
                     {"configuration", config_describe},
                     {"metrics", metrics_describe},
                     {"completion", manual_completion}};
    for (size_t i = 0; argc == 2 && i < sizeof documents / sizeof *documents; i++) {
        if (strcmp(argv[1], documents[i].name) != 0)
            continue;
        struct buffer out;
        buffer_init(&out, 1 << 20);
        documents[i].write(&out);
        bool written = !out.failed && fputs(buffer_text(&out), stdout) >= 0 && fflush(stdout) == 0;
        buffer_done(&out);
        return written ? EX_OK : EX_IOERR;
    }
    fprintf(stderr, "wants commands, configuration, metrics or completion\n");
    return EX_USAGE;
}
