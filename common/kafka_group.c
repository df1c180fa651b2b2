/* Describes a consumer group. rd_kafka_DescribeConsumerGroups() would be shorter, but it aborts the
 * process when the group's coordinator goes away (librdkafka's issue 4605). */
#include "common/kafka_group.h"

#include <string.h>

/* The member assignment of the group protocol; its numbers are big-endian. */
struct kafka_group_reader {
    const unsigned char *data;
    size_t left;
};

enum status kafka_group_describe(rd_kafka_t *handle, const char *name, int timeout_ms,
                                 const struct rd_kafka_group_list **ret_group, struct error *err)
{
    const struct rd_kafka_group_list *group = NULL;
    rd_kafka_resp_err_t code = rd_kafka_list_groups(handle, name, &group, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && group->group_cnt == 0)
        code = RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = group->groups[0].err;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_group_free(group);
        return error_set_native(err, STATUS_RETRY, (int)code, "group %s: %s", name,
                                rd_kafka_err2str(code));
    }
    *ret_group = group;
    return STATUS_OK;
}

void kafka_group_free(const struct rd_kafka_group_list *group)
{
    if (group != NULL)
        rd_kafka_group_list_destroy(group);
}

bool kafka_group_is_stable(const struct rd_kafka_group_list *group)
{
    return strcmp(group->groups[0].state, "Stable") == 0;
}

static uint32_t kafka_group_take(struct kafka_group_reader *reader, size_t size)
{
    uint32_t number = 0;
    if (reader->left < size) {
        reader->left = 0;
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        number = number << 8 | reader->data[i];
    reader->data += size;
    reader->left -= size;
    return number;
}

static bool kafka_group_has(const struct rd_kafka_group_member_info *member,
                            struct topic_partition tp)
{
    int size = member->member_assignment_size;
    struct kafka_group_reader reader = {member->member_assignment, size < 0 ? 0 : (size_t)size};
    (void)kafka_group_take(&reader, 2); /* version */
    uint32_t topics = kafka_group_take(&reader, 4);
    for (uint32_t i = 0; i < topics && reader.left > 0; i++) {
        uint32_t length = kafka_group_take(&reader, 2);
        if (length > reader.left)
            return false;
        bool same = length == strlen(tp.topic) && memcmp(reader.data, tp.topic, length) == 0;
        reader.data += length;
        reader.left -= length;
        uint32_t count = kafka_group_take(&reader, 4);
        for (uint32_t j = 0; j < count && reader.left > 0; j++) {
            if (kafka_group_take(&reader, 4) == (uint32_t)tp.partition && same)
                return true;
        }
    }
    return false;
}

const struct rd_kafka_group_member_info *kafka_group_owner(const struct rd_kafka_group_list *group,
                                                           struct topic_partition tp)
{
    for (int i = 0; group != NULL && i < group->groups[0].member_cnt; i++) {
        if (kafka_group_has(&group->groups[0].members[i], tp))
            return &group->groups[0].members[i];
    }
    return NULL;
}
