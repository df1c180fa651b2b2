/* A name with its value: a client's setting, or a column with the one that it is renamed to. */
#ifndef COMMON_TEXT_PAIR_H
#define COMMON_TEXT_PAIR_H

struct text_pair {
    const char *name;
    const char *value;
};

#endif
