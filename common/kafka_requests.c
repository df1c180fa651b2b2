/* Finds out which requests a broker knows. The client library asks each broker for that, and tells
 * nobody but its debug log. */
#include "common/kafka_admin.h"
#include "common/kafka_client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct requests_heard {
    atomic_int produce;
    atomic_int fetch;
};

/* "…  ApiKey Fetch (1) Versions 4..18". @thread the library's own. */
static void requests_hear(const rd_kafka_t *handle, int level, const char *facility,
                          const char *text)
{
    struct requests_heard *heard = rd_kafka_opaque(handle);
    const char *at = strstr(text, "ApiKey ");
    char name[32];
    int key = 0;
    int low = 0;
    int high = 0;
    (void)level;
    (void)facility;
    if (at == NULL || sscanf(at, "ApiKey %31s (%d) Versions %d..%d", name, &key, &low, &high) != 4)
        return;
    if (key == 0)
        atomic_store(&heard->produce, high);
    else if (key == 1)
        atomic_store(&heard->fetch, high);
}

enum status kafka_admin_requests(const struct kafka_admin_options *options,
                                 struct kafka_admin_requests *ret_requests, struct error *err)
{
    static const struct text_pair fixed[] = {{"debug", "feature"}, {"log_level", "7"}};
    const struct kafka_settings layers[] = {{options->settings, options->setting_count},
                                            KAFKA_SETTINGS(fixed)};
    struct requests_heard heard = {-1, -1};
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *handle = NULL;
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status != STATUS_OK)
        return status;
    rd_kafka_conf_set_log_cb(conf, requests_hear);
    rd_kafka_conf_set_opaque(conf, &heard);
    status = kafka_handle_new(RD_KAFKA_PRODUCER, conf, &handle, err);
    if (status != STATUS_OK)
        return status;
    rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 0, NULL, &metadata, options->timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(metadata);
    else
        status = error_set_native(err, STATUS_RETRY, (int)code, "%s", rd_kafka_err2str(code));
    rd_kafka_destroy(handle);
    *ret_requests = (struct kafka_admin_requests){atomic_load(&heard.produce),
                                                  atomic_load(&heard.fetch)};
    return status;
}

struct kafka_library kafka_library(void)
{
    return (struct kafka_library){.running = rd_kafka_version(),
                                  .compiled = RD_KAFKA_VERSION,
                                  .text = rd_kafka_version_str()};
}
