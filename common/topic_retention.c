/* Between two marks the records are taken to be spread evenly. */
#include "common/topic_retention.h"

#include <math.h>
#include <stdlib.h>

#define LAST_MARK_S  (48.0 * 3600)
#define YOUNG_S      300.0
#define YOUNG_SHARE  10 /* of the retention, where that is short */
#define MARK_DIVISOR 2  /* one mark is half as far away as the next one */

void topic_retention_mark(struct topic_retention *retention)
{
    double mark_s = retention->retention_s < LAST_MARK_S ? retention->retention_s : LAST_MARK_S;
    for (size_t i = RETENTION_MARKS - 1; i > 0; i--) {
        retention->marks[i] = mark_s;
        mark_s /= MARK_DIVISOR;
    }
    retention->marks[0] = 0;
}

static bool is_young(const struct topic_retention *retention, double left_s)
{
    double young_s = retention->retention_s / YOUNG_SHARE;
    return retention->retention_s - left_s < (young_s < YOUNG_S ? young_s : YOUNG_S);
}

double topic_retention_left_s(const struct topic_retention *retention, int32_t partition,
                              int64_t offset)
{
    if (retention->retention_s == 0 || offset < 0 || partition >= retention->partition_count)
        return NAN;
    const struct partition_retention *of = &retention->partitions[partition];
    if (offset >= of->bounds.end)
        return NAN;
    size_t mark = 0;
    while (mark < RETENTION_MARKS && of->kept[mark] <= offset)
        mark++;
    if (mark == RETENTION_MARKS)
        return NAN;
    if (mark == 0)
        return 0;
    double share = (double)(offset - of->kept[mark - 1]) /
                   (double)(of->kept[mark] - of->kept[mark - 1]);
    double left_s = retention->marks[mark - 1] +
                    share * (retention->marks[mark] - retention->marks[mark - 1]);
    return is_young(retention, left_s) ? NAN : left_s;
}

void topic_retention_done(struct topic_retention *retention)
{
    free(retention->partitions);
    *retention = (struct topic_retention){0};
}
