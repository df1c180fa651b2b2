/* Rows that somebody changes by hand, behind the triggers, and whether comparisons find them. */
#ifndef TESTS_SUPPORT_PLANTS_H
#define TESTS_SUPPORT_PLANTS_H

#include "schemas/json.h"
#include "tests/support/sidecar.h"
#include "tests/support/verify_tables.h"

#define PLANTS_TYPES_MAX 4

enum plant_kind { PLANT_CHANGE, PLANT_DELETE, PLANT_INSERT };

/** A row that was changed by hand, and is to be found. */
struct plant {
    const char *entity_type;
    enum database_kind where;
    enum plant_kind kind;
    int id;
};

struct plants {
    const struct sidecar *services; /* by database_kind */
    const char *types[PLANTS_TYPES_MAX];
    int type_count;
    bool has_no_triggers[VERIFY_KINDS]; /* the service publishes nothing */
    int hot_keys; /* rows that are written meanwhile, and may be planted too; 0: none */
    unsigned seed;
    struct plant now[8];
    int count;
    /* What was counted: */
    int planted, found, left, false_alarms, marked;
};

/** Insert the rows of a type that nobody writes, at a service that publishes it. Their ids are far
 * above those of other rows. Before plants_make() all services must have applied them, also those
 * that have published them: what an agent has not read yet it writes over a changed row. */
void plants_prepare(const struct plants *plants, const char *entity_type, enum database_kind where);

/** Change some of them anywhere, which are to be found, and rows that are written, which may be
 * mended before. */
void plants_make(struct plants *plants);

/** Mend those that are to be found. */
void plants_undo(struct plants *plants);

/** @return how many lines of `keepstep verify --json` are of a type; an unfinished one is not
 * counted. */
int plants_lines(const char *output, const char *entity_type);

/** Judge the output of `keepstep verify --json`, with or without --rows. The test fails if a row
 * that is to be found is neither found nor left out. A difference that nobody has made is counted.
 * @param before  so many first lines of each type may have been begun before the rows were changed:
 * these need not find them.
 * @param note  is handed each line; NULL: not. */
void plants_judge(struct plants *plants, const char *output, int before,
                  void (*note)(void *context, const json_t *line), void *context);

#endif
