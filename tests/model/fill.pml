/* A new copy is filled with another copy's rows at a stamp, and applies the log from there on
 * (rules 32 and 38 to 42). Once it says that it is complete, its row is the log's fold at its
 * position.
 *
 * The source may crash and begin again, ATTEMPTS times, at any copy. The new copy is that of the last
 * reader. With JOINS it is the table of the last service, which writes to it from the first moment on;
 * then somebody may ask for another fill, AGAINS times, and its database may lose its power,
 * POWER_LOSSES times, and with it what is not durable.
 *
 * Each of these switches breaks a rule: TORN (rule 32), NO_CLEAR (rule 38), COMPLETE_AT_STAMP and
 * NO_PASS_SPARSE (rule 39), PUBLISH_BEFORE_FILL, OLD_SEQUENCES and END_NOT_DURABLE (rule 41). The last
 * one does harm only beside the one before it, and only because a relay's claim, which waits for the
 * disk too, takes nothing with it here. */
#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif
#ifndef AGAINS
#define AGAINS 0
#endif
#ifndef POWER_LOSSES
#define POWER_LOSSES 0
#endif

mtype = { EMPTY, ASKED, CLEARED, LOADED, REPLAYING };

/* Of the new copy. */
mtype stage = EMPTY;
byte loaded_attempt, filled_to;

#ifdef JOINS
#define NEW (SERVICES - 1)
#define IS_OWN_LATER(sequence) (last_change[NEW] > (sequence))
#else
#define NEW (COPIES - 1)
#define IS_OWN_LATER(sequence) false
#endif

#ifdef PUBLISHER
#define HAS_AGENT(copy) (copy >= SERVICES && copy != NEW)
#else
#define HAS_AGENT(copy) (copy != NEW)
#endif

#if defined(JOINS) && !defined(PUBLISH_BEFORE_FILL)
#define MAY_PUBLISH(service) (service != NEW || stage == REPLAYING)
#endif

#ifdef NO_PASS_SPARSE
#define TAKE_ABSENT(copy) assert(false)
#else
#define TAKE_ABSENT(copy) assert(copy == NEW && position[copy] < filled_to)
#endif

/* A commit that waits for the disk takes earlier ones with it: the service's own, and the loader's
 * last one. Any other may be on the disk, or not. */
#if POWER_LOSSES > 0
mtype kept_stage = EMPTY;
byte kept_row, kept_position, kept_applied[SERVICES], kept_attempt, kept_filled_to;
hidden byte kept_index;

inline keep()
{
    kept_row = row[NEW];
    kept_position = position[NEW];
    for (kept_index : 0 .. SERVICES - 1) {
        kept_applied[kept_index] = applied[NEW * SERVICES + kept_index]
    }
    kept_stage = stage;
    kept_attempt = loaded_attempt;
    kept_filled_to = filled_to
}

#define FOLLOW_COMMIT(service) if :: service == NEW -> keep() :: else fi
#define COMMIT                 if :: keep() :: true fi
#define DURABLE_COMMIT         keep()
#else
#define COMMIT                 skip
#define DURABLE_COMMIT         skip
#endif

#ifdef END_NOT_DURABLE
#define COMMIT_END COMMIT
#else
#define COMMIT_END DURABLE_COMMIT
#endif

#include "copies.pml"

/* What the source's attempt has written: begin and row, then the end. */
byte attempt, source_row, source_end, source_applied[SERVICES], end_of_fill;
byte last_seen;                                  /* the last own change that the snapshot saw */
bool is_open, has_end;

#ifdef PUBLISHER
#define APPLIED_AT_SOURCE(service) acknowledged[service]
#else
#define APPLIED_AT_SOURCE(service) LAST_APPLIED(source, service)
#endif

#ifdef COMPLETE_AT_STAMP
#define END_OF_FILL source_end
#else
#define END_OF_FILL log_end
#endif

proctype Source()
{
    byte source, one;
end:
    do
    :: atomic {                                  /* one snapshot: its stamp, its row */
           !is_open && attempt < ATTEMPTS && stage != REPLAYING ->
           select(source : 0 .. NEW - 1);
           attempt++;
           has_end = false;
           source_row = row[source];
           last_seen = 0;
           if
           :: source < SERVICES -> last_seen = written[source]
           :: else
           fi;
#ifdef TORN
       };
       atomic {                                  /* the stamp is that of a later snapshot */
#endif
           source_end = STAMP_OF(source);
           for (one : 0 .. SERVICES - 1) {
               source_applied[one] = APPLIED_AT_SOURCE(one)
           }
           one = 0;
           is_open = true
       }
    :: atomic {                                  /* all that the snapshot saw is in the log */
           is_open && !has_end && (source >= SERVICES || acknowledged[source] >= last_seen) ->
           has_end = true;
           end_of_fill = END_OF_FILL
       }
    :: atomic {                                  /* a crash; another attempt follows */
           is_open && attempt < ATTEMPTS && stage != REPLAYING ->
           is_open = false
       }
    od
}

inline check_complete()
{
    assert(position[NEW] < filled_to || IS_OWN_LATER(LAST_APPLIED(NEW, NEW)) ||
           row[NEW] == fold[position[NEW]])
}

#ifdef OLD_SEQUENCES
#define KNOWN_WHEN_CLEARED LAST_APPLIED(NEW, NEW)
#else
#define KNOWN_WHEN_CLEARED source_applied[NEW]
#endif

/* Each step is one transaction. */
proctype Loader()
{
    byte change, service, one, agains;
    bool is_pending;
end:
    do
    :: atomic {                                  /* rows that nobody has loaded are refused */
           is_open && stage == EMPTY ->
           assert(row[NEW] == 0 || IS_OWN_LATER(sent[NEW]));
           stage = ASKED;
           DURABLE_COMMIT
       }
    :: atomic {                                  /* somebody asks for another fill */
           stage == REPLAYING && agains < AGAINS && attempt < ATTEMPTS ->
           agains++;
           is_open = false;
           stage = ASKED;
           DURABLE_COMMIT
       }
    :: atomic {                                  /* an attempt stands alone: it clears first */
           is_open && loaded_attempt < attempt && stage != EMPTY && stage != REPLAYING ->
           is_pending = IS_OWN_LATER(KNOWN_WHEN_CLEARED);
           loaded_attempt = attempt;
           stage = CLEARED;
#ifndef NO_CLEAR
           row[NEW] = (is_pending -> row[NEW] : 0);
#endif
           position[NEW] = source_end;
           for (one : 0 .. SERVICES - 1) {
               LAST_APPLIED(NEW, one) = source_applied[one]
           }
           one = 0;
           is_pending = false;
           COMMIT
       }
    :: atomic {
           stage == CLEARED && is_open && loaded_attempt == attempt ->
           stage = LOADED;
           if
           :: source_row != 0 && !IS_OWN_LATER(source_applied[NEW]) -> row[NEW] = source_row
           :: else
           fi;
           COMMIT
       }
    :: atomic {
           stage == LOADED && is_open && loaded_attempt == attempt && has_end ->
           stage = REPLAYING;
           filled_to = end_of_fill;
           check_complete();
           COMMIT_END
       }
    :: atomic {
           stage == REPLAYING && position[NEW] < log_end ->
           apply_next(NEW);
           check_complete();
           COMMIT
       }
    od
}

#if POWER_LOSSES > 0
/* The new copy's database comes back with what was on the disk. Its loader finds that the attempt is
 * not where it left it, and begins another one. */
proctype Power()
{
    byte losses, one;
end:
    do
    :: atomic {
           losses < POWER_LOSSES && (attempt < ATTEMPTS || kept_stage == REPLAYING) ->
           losses++;
           row[NEW] = kept_row;
           position[NEW] = kept_position;
           for (one : 0 .. SERVICES - 1) {
               LAST_APPLIED(NEW, one) = kept_applied[one]
           }
           one = 0;
           stage = kept_stage;
           loaded_attempt = kept_attempt;
           filled_to = kept_filled_to;
           is_open = is_open && stage == REPLAYING
       }
    od
}
#endif

init
{
    byte one;
    atomic {
        run_all();
        run Source();
#if POWER_LOSSES > 0
        run Power();
#endif
        run Loader()
    };
    timeout ->
    atomic {
        assert(stage == REPLAYING && filled_to <= log_end);
        for (one : 0 .. COPIES - 1) {
            assert(row[one] == fold[log_end])
        }
    }
}
