/* The answering side of the desk: other services ask for stamps, sums and rows of this one. It has
 * a thread of its own, so that reports go on while a table is read for minutes. */
#ifndef OPERATE_DESK_ANSWERS_H
#define OPERATE_DESK_ANSWERS_H

#include "operate/desk/desk.h"

/** Answer until *stop, in the caller's thread, which is made a nicer one. Whatever fails is logged
 * once and tried again for ever; nothing else waits for it. */
void answers_run(const struct desk_options *options, const atomic_bool *stop);

#endif
