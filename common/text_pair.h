/* A name and its value: a client's setting, or a column and its new name. */
#ifndef COMMON_TEXT_PAIR_H
#define COMMON_TEXT_PAIR_H

struct text_pair {
    const char *name;
    const char *value;
};

#endif
