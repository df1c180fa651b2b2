/* A lock on the configuration's file shows that a process runs: the kernel drops it when the
 * process ends. Its offset comes from service and database, so several services may share a file.
 * It is a read lock, so two instances can hold it, and the file may be read-only. */
#include "operate/running.h"

#include "common/digest.h"

#include <fcntl.h>
#include <unistd.h>

#define RUNNING_OFFSETS (INT64_C(1) << 60)

static struct flock running_lock(const struct config *config, unsigned part, short type)
{
    uint64_t service = digest_64(slice_of(config->service));
    uint64_t database = digest_64(slice_of(config->database));
    int64_t place = (int64_t)((service * 31 + database) % (uint64_t)RUNNING_OFFSETS);
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = place / 4 * 4 + part, .l_len = 1};
}

void running_hold(const struct config *config, unsigned parts)
{
    int file = open(config->path, O_RDONLY | O_CLOEXEC); /* the lock lasts as long as it is open */
    for (unsigned part = RUNNING_RELAY; file >= 0 && part <= RUNNING_AGENT; part++) {
        struct flock lock = running_lock(config, part, F_RDLCK);
        if ((parts & part) != 0)
            (void)fcntl(file, F_OFD_SETLK, &lock);
    }
}

bool running_here(const struct config *config, enum running_part part)
{
    struct flock lock = running_lock(config, part, F_WRLCK);
    int file = open(config->path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool held = fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(file);
    return held;
}
