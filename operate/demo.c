/* `keepstep demo`: three services kept in step, with a crash, a duplicate and a poisoned event. */
#include "operate/demo.h"

#include "common/clock.h"
#include "operate/command.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define DEMO_TICK_US   150000
#define DEMO_VICTIM    1 /* billing */
#define DEMO_SETTLE_US (15 * (int64_t)1000000)

/* Rounds of writing at which something happens. */
enum demo_moment {
    DEMO_KILL = 15,
    DEMO_RESTART = 22,
    DEMO_TWICE = 28,
    DEMO_POISON = 32,
    DEMO_ROUNDS = 45,
};

static enum status demo_start_all(struct demo *demo, struct error *err)
{
    static const char *const topics[] = {
        "order:3",
        "invoice:3",
        "shipment:3",
        "note:3",
        "keepstep:1",
        "keepstep-talk:1",
        "keepstep-rows-order:1",
        "keepstep-rows-invoice:1",
        "keepstep-rows-shipment:1",
        "keepstep-rows-note:1",
        NULL,
    };
    enum status status = demo_clean(demo, err);
    if (status == STATUS_OK)
        status = demo_lay_out(demo, err);
    if (status == STATUS_OK)
        status = demo_start_broker(demo, topics, err);
    if (status == STATUS_OK)
        status = demo_write_configurations(demo, err);
    return status == STATUS_OK ? demo_start_services(demo, err) : status;
}

static void demo_show(const struct demo *demo, const char *event, bool first)
{
    if (!demo->terminal) {
        if (event != NULL)
            printf("* %s\n", event);
        for (int i = 0; event == NULL && i < DEMO_SERVICES; i++)
            printf("%s%s lag=%" PRId64 " rows=%" PRId64, i == 0 ? "  " : "  |  ", demo_services[i],
                   demo_lag(demo, i),
                   demo_rows(demo, i, 0) + demo_rows(demo, i, 1) + demo_rows(demo, i, 2) +
                       demo_rows(demo, i, 3));
        if (event == NULL)
            printf("\n");
        (void)fflush(stdout);
        return;
    }
    if (!first)
        printf("\033[%dA", DEMO_SERVICES + 1);
    if (event != NULL)
        printf("\033[K\033[1m*\033[0m %s\n", event);
    printf("\033[K%-10s %8s %8s %9s %8s %6s %8s\n", "service", "orders", "invoices", "shipments",
           "notes", "lag", "parked");
    for (int i = 0; i < DEMO_SERVICES; i++)
        printf("\033[K%-10s %8" PRId64 " %8" PRId64 " %9" PRId64 " %8" PRId64 " %6" PRId64
               " %8" PRId64 "\n",
               demo_services[i], demo_rows(demo, i, 0), demo_rows(demo, i, 1),
               demo_rows(demo, i, 2), demo_rows(demo, i, 3), demo_lag(demo, i),
               demo_parked(demo, i));
    (void)fflush(stdout);
}

static enum status demo_moment(struct demo *demo, int64_t round, struct error *err)
{
    enum status status = STATUS_OK;
    switch (round) {
    case DEMO_KILL:
        demo_stop(&demo->sidecars[DEMO_VICTIM], SIGKILL);
        demo_show(demo, "billing's sidecar was killed with SIGKILL; the services write on", false);
        break;
    case DEMO_RESTART:
        status = demo_start_sidecar(demo, DEMO_VICTIM, err);
        demo_show(demo, "billing's sidecar is started again", false);
        break;
    case DEMO_TWICE:
        status = demo_publish_twice(demo, err);
        demo_show(demo, "one of shop's events was published a second time, at another offset",
                  false);
        break;
    case DEMO_POISON:
        status = demo_publish_poison(demo, err);
        demo_show(demo, "a foreign client published a poisoned event (author is a number)", false);
        break;
    default:
        break;
    }
    return status;
}

static enum status demo_play(struct demo *demo, struct error *err)
{
    demo_show(demo, NULL, true);
    for (int64_t round = 1; round <= DEMO_ROUNDS && !atomic_load(&command_stop); round++) {
        int64_t started = clock_monotonic_us();
        enum status status = STATUS_OK;
        for (int service = 0; status == STATUS_OK && service < DEMO_SERVICES; service++)
            status = demo_write(demo, service, round, err);
        if (status == STATUS_OK)
            status = demo_moment(demo, round, err);
        if (status != STATUS_OK)
            return status;
        if (demo->terminal || round % 6 == 0)
            demo_show(demo, NULL, false);
        int64_t rest = started + DEMO_TICK_US - clock_monotonic_us();
        if (rest > 0)
            clock_sleep_us(rest);
    }
    return STATUS_OK;
}

static int64_t demo_all_differences(const struct demo *demo)
{
    int64_t differences = 0;
    for (int service = 0; service < DEMO_SERVICES; service++) {
        for (int type = 0; type < DEMO_TYPES; type++) {
            int64_t here = demo_differences(demo, service, type);
            differences += here < 0 ? 1 : here;
        }
    }
    return differences;
}

/* Wait until nothing is under way; the comparison itself comes after it. @return how long. */
static int64_t demo_settle(const struct demo *demo)
{
    int64_t started = clock_monotonic_us();
    for (;;) {
        int64_t waiting = demo_all_differences(demo);
        for (int service = 0; service < DEMO_SERVICES; service++)
            waiting += demo_lag(demo, service) + (demo_parked(demo, service) > 0 ? 0 : 1);
        int64_t taken = clock_monotonic_us() - started;
        if (waiting == 0 || taken > DEMO_SETTLE_US || atomic_load(&command_stop))
            return taken;
        clock_sleep_us(100000);
    }
}

/* @return whether a service's sidecar took what went wrong on purpose as it should. */
static bool demo_report_service(const struct demo *demo, int service)
{
    int64_t parked = demo_parked(demo, service);
    printf("  %-10s ", demo_services[service]);
    if (parked == 1)
        printf("parked 1 event (the poisoned one)");
    else
        printf("parked %" PRId64 " events, NOT ONE, the poisoned one", parked);
    if (service == 0) { /* its own event came twice, and it does not apply its own type */
        printf("\n");
        return parked == 1;
    }
    int64_t duplicates = demo_duplicates(demo, service);
    if (duplicates == 1)
        printf(", recognised 1 duplicate\n");
    else
        printf(", recognised %" PRId64 " duplicates, NOT ONE\n", duplicates);
    return parked == 1 && duplicates == 1;
}

/* What is printed works as it stands: without the broker and the sidecars nothing that needs them.
 */
static void demo_say_commands(const struct demo *demo)
{
    if (demo->keep) {
        demo_say_pages(demo);
        printf("\nBroker and sidecars go on until Ctrl-C. In another terminal, from here:\n");
        demo_say_command(demo, "status -c", "billing.yaml");
        demo_say_command(demo, "lag -c", "billing.yaml");
        demo_say_sql(demo, "shop.db", demo_try_insert);
        demo_say_sql(demo, "billing.db", "'SELECT * FROM orders ORDER BY id DESC LIMIT 1'");
    } else {
        printf("\nBroker and sidecars have ended (--keep lets them go on). Everything is in %s. "
               "Try:\n",
               demo->directory);
        demo_say_sql(demo, "billing.db", "'SELECT * FROM orders LIMIT 5'");
    }
    demo_say_command(demo, "parked list -c", "shop.yaml");
    demo_say_command(demo, "parked show 1 -c", "shop.yaml");
    if (!demo->keep)
        demo_say_clean(demo);
    (void)fflush(stdout);
}

static int demo_report(const struct demo *demo, int64_t settled_us)
{
    int64_t total = 0;
    printf("\nThe copies, row by row against the service that owns the table:\n");
    for (int type = 0; type < DEMO_TYPES; type++) {
        int64_t differences = 0;
        for (int service = 0; service < DEMO_SERVICES; service++) {
            int64_t here = demo_differences(demo, service, type);
            differences += here < 0 ? 1 : here;
        }
        printf("  %-10s %5" PRId64 " rows in each of 3 databases: %s\n", demo_tables[type],
               demo_rows(demo, type < DEMO_SERVICES ? type : 0, type),
               differences == 0 ? "equal" : "NOT EQUAL");
        total += differences;
    }
    for (int service = 0; service < DEMO_SERVICES; service++)
        total += demo_report_service(demo, service) ? 0 : 1;
    printf("  %s %.1f s after the last write\n", total == 0 ? "all of it" : "NOT ALL OF IT",
           (double)settled_us / 1e6);
    return total == 0 ? EX_OK : EX_SOFTWARE;
}

static int demo_all(struct demo *demo)
{
    struct error err = ERROR_INIT;
    int code = EX_OK;
    if (demo_start_all(demo, &err) != STATUS_OK || demo_play(demo, &err) != STATUS_OK) {
        code = command_fail(&err);
    } else {
        int64_t settled_us = demo_settle(demo);
        demo_show(demo, NULL, false);
        code = demo_report(demo, settled_us);
        demo_say_commands(demo);
        while (demo->keep && !atomic_load(&command_stop))
            clock_sleep_us(DEMO_TICK_US);
    }
    demo_end(demo);
    return code;
}

enum { DEMO_DIRECTORY, DEMO_BOOTSTRAP, DEMO_JOINT, DEMO_KEEP, DEMO_CLEAN };

static const struct command_flag demo_flags[] = {
    [DEMO_DIRECTORY] = {"directory", "DIR", "where its files go; default: keepstep-demo"},
    [DEMO_BOOTSTRAP] = {"bootstrap", "HOST:PORT", "use this Kafka, not the broker in memory"},
    [DEMO_JOINT] = {"joint", NULL, "show transactions of several services instead"},
    [DEMO_KEEP] = {"keep", NULL, "let broker and sidecars run until Ctrl-C"},
    [DEMO_CLEAN] = {"clean", NULL, "only remove what an earlier demo made"},
};

static int demo_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    command_catch_signals();
    const char *directory = line.flags[DEMO_DIRECTORY];
    const char *bootstrap = line.flags[DEMO_BOOTSTRAP];
    struct error err = ERROR_INIT;
    struct demo demo = {.services = demo_services,
                        .own_broker = bootstrap == NULL,
                        .keep = line.flags[DEMO_KEEP] != NULL,
                        .terminal = isatty(STDOUT_FILENO) == 1,
                        .random = (uint32_t)clock_wall_us()};
    (void)snprintf(demo.directory, sizeof demo.directory, "%s",
                   directory == NULL ? "keepstep-demo" : directory);
    if (bootstrap != NULL)
        (void)snprintf(demo.bootstrap, sizeof demo.bootstrap, "%s", bootstrap);
    if (line.flags[DEMO_CLEAN] != NULL)
        return demo_clean(&demo, &err) == STATUS_OK ? EX_OK : command_fail(&err);
    return line.flags[DEMO_JOINT] != NULL ? demo_joint(&demo) : demo_all(&demo);
}

const struct command command_demo = {
    .name = "demo",
    .arguments = "",
    .summary = "Keep three services in step on this machine, with a crash and a poisoned event.",
    .examples = "  keepstep demo\n  keepstep demo --joint\n  keepstep demo --keep\n"
                "  keepstep demo --bootstrap localhost:9092\n"
                "  keepstep demo --clean\n",
    COMMAND_FLAGS(demo_flags),
    .without_json = true,
    .run = demo_run,
};
