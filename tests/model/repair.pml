/* A row of one copy is repaired from another copy's row at a stamp (rule 43). What is written is
 * always the log's fold at the repaired copy's own position, and never hides an own change.
 *
 * Each of these switches breaks the rule: NO_MENTIONS, changes between the stamps are not looked for;
 * STALE_END, nor behind the place to which the log was read first; SOURCE_OPEN, an open change at the
 * source does not matter; NO_LOOK, nor does one at the repaired copy. */
#include "copies.pml"

#ifndef REPAIRS
#define REPAIRS 1
#endif

byte repairs;

/* Whether the log mentions the entity from one stamp up to the other, as far as it was read. */
inline look_for_mentions(from, until)
{
    for (offset : from .. until) {
        is_left_out = is_left_out ||
                      (offset < until && offset < log_read && !is_other[record[offset]])
    }
    offset = 0
}

proctype Repair()
{
    byte copy, source, source_end, source_row, log_read, offset;
    bool is_left_out, is_source_open;
end:
    do
    :: atomic {                                  /* the source's snapshot; its row is right */
           repairs < REPAIRS && hands > 0 ->
           repairs++;
#ifdef PUBLISHER
           select(copy : SERVICES .. COPIES - 1);
#else
           select(copy : 0 .. COPIES - 1);
#endif
           select(source : 0 .. COPIES - 1);
           source_end = STAMP_OF(source);
           source_row = row[source];
           if
           :: source < SERVICES -> is_source_open = IS_OPEN(source)
           :: else
           fi;
#ifdef SOURCE_OPEN
           is_source_open = false;
#endif
           is_left_out = source == copy || is_by_hand[source] || is_source_open
       };
       log_read = log_end;
again:
       atomic {                                  /* one transaction, behind the copy's fence */
           if
#ifndef STALE_END
           :: position[copy] > log_read -> log_read = log_end; goto again
           :: source_end > log_read -> log_read = log_end; goto again
#endif
           :: else
           fi;
#ifndef NO_MENTIONS
           if
           :: source_end < position[copy] -> look_for_mentions(source_end, position[copy])
           :: else -> look_for_mentions(position[copy], source_end)
           fi;
#endif
#ifndef NO_LOOK
           if
           :: copy < SERVICES -> is_left_out = is_left_out || IS_OPEN(copy)
           :: else
           fi;
#endif
           if
           :: !is_left_out ->
              assert(copy >= SERVICES || !(IS_OPEN(copy)));
              row[copy] = source_row;
              is_by_hand[copy] = false;
              assert(row[copy] == fold[position[copy]])
           :: else
           fi;
           copy = 0;
           source = 0;
           source_end = 0;
           source_row = 0;
           log_read = 0;
           is_left_out = false;
           is_source_open = false
       }
    od
}

init
{
    byte one;
    atomic {
        run_all();
        run Repair()
    };
    timeout ->
    atomic {
        for (one : 0 .. COPIES - 1) {
            assert(is_by_hand[one] || row[one] == fold[log_end])
        }
    }
}
