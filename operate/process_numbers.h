/* What this process uses of the machine. */
#ifndef OPERATE_PROCESS_NUMBERS_H
#define OPERATE_PROCESS_NUMBERS_H

/** NaN: not known. */
struct process_numbers {
    double cpu_s;
    double resident_bytes;
    double virtual_bytes;
    double started_s; /* since 1970; the same in each answer */
    double open_files;
    double max_files;
};

/** @thread any. */
struct process_numbers process_numbers_read(void);

#endif
