/* A new copy, the last one, is filled with another copy's rows at a stamp, and applies the log from
 * there on (rules 32, 38 and 39). Once it says that it is complete, its row is the log's fold at its
 * position.
 *
 * The source may crash and begin again, ATTEMPTS times, at any copy. Each of these switches breaks a
 * rule: TORN (rule 32), NO_CLEAR (rule 38), COMPLETE_AT_STAMP (rule 39). */
#define NEW (COPIES - 1)
#ifdef PUBLISHER
#define HAS_AGENT(copy) (copy >= SERVICES && copy != NEW)
#else
#define HAS_AGENT(copy) (copy != NEW)
#endif
#include "copies.pml"

#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif

mtype = { EMPTY, CLEARED, LOADED, REPLAYING };

/* What the source's attempt has written: begin and row, then the end. */
byte attempt, source_row, source_end, source_applied[SERVICES], end_of_fill;
byte last_seen;                                  /* the last own change that the snapshot saw */
bool is_open, has_end;

/* Of the new copy. */
mtype stage = EMPTY;
byte loaded_attempt, filled_to;

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
    assert(position[NEW] < filled_to || row[NEW] == fold[position[NEW]])
}

/* Each step is one transaction. */
proctype Loader()
{
    byte change, service, one;
    bool is_pending;
end:
    do
    :: atomic {                                  /* an attempt stands alone: it clears first */
           is_open && loaded_attempt < attempt && stage != REPLAYING ->
           loaded_attempt = attempt;
           stage = CLEARED;
#ifndef NO_CLEAR
           row[NEW] = 0;
#endif
           position[NEW] = source_end;
           for (one : 0 .. SERVICES - 1) {
               LAST_APPLIED(NEW, one) = source_applied[one]
           }
           one = 0
       }
    :: atomic {
           stage == CLEARED && is_open && loaded_attempt == attempt ->
           stage = LOADED;
           if
           :: source_row != 0 -> row[NEW] = source_row
           :: else
           fi
       }
    :: atomic {
           stage == LOADED && is_open && loaded_attempt == attempt && has_end ->
           stage = REPLAYING;
           filled_to = end_of_fill;
           check_complete()
       }
    :: atomic {
           stage == REPLAYING && position[NEW] < log_end ->
           apply_next(NEW);
           check_complete()
       }
    od
}

init
{
    byte one;
    atomic {
        run_all();
        run Source();
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
