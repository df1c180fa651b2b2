/* One wish and its answer, under a lock. */
#include "consumer/agent/fill_wish.h"

#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

void fill_wishes_tell(struct fill_wishes *wishes, const struct fill_wish *wish)
{
    (void)pthread_mutex_lock(&wishes->lock);
    wishes->wish = wish == NULL ? (struct fill_wish){0} : *wish;
    wishes->is_taken = wish == NULL;
    wishes->is_answered = false;
    (void)pthread_mutex_unlock(&wishes->lock);
}

bool fill_wishes_take(struct fill_wishes *wishes, struct fill_wish *ret_wish)
{
    (void)pthread_mutex_lock(&wishes->lock);
    bool is_new = wishes->wish.id[0] != '\0' && !wishes->is_taken;
    if (is_new)
        *ret_wish = wishes->wish;
    wishes->is_taken = wishes->is_taken || is_new;
    (void)pthread_mutex_unlock(&wishes->lock);
    return is_new;
}

void fill_wishes_answer(struct fill_wishes *wishes, const struct fill_wish *wish, const char *asked,
                        const char *why)
{
    (void)pthread_mutex_lock(&wishes->lock);
    if (strcmp(wishes->wish.id, wish->id) == 0) {
        (void)snprintf(wishes->asked, sizeof wishes->asked, "%s", asked);
        utf8_format(wishes->why, sizeof wishes->why, "%s", why);
        wishes->is_answered = true;
    }
    (void)pthread_mutex_unlock(&wishes->lock);
}

bool fill_wishes_look(struct fill_wishes *wishes, char ret_asked[static FILL_WISH_NAME_SIZE],
                      char ret_why[static ERROR_TEXT_SIZE])
{
    (void)pthread_mutex_lock(&wishes->lock);
    bool is_answered = wishes->is_answered;
    memcpy(ret_asked, wishes->asked, FILL_WISH_NAME_SIZE);
    memcpy(ret_why, wishes->why, ERROR_TEXT_SIZE);
    (void)pthread_mutex_unlock(&wishes->lock);
    return is_answered;
}
