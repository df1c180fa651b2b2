/* Copies of one entity are compared at their stamps (rules 32, 33 and 34). A comparison never reports
 * copies that are right, and never misses a row that somebody has changed by hand.
 *
 * Each of these switches breaks a rule: TORN (rule 32), NO_OPEN and SENT_IS_READ (rule 33), and
 * NO_MENTIONS (rule 34). */
#include "copies.pml"

#if defined(NO_OPEN)
#define COUNTS_AS_OPEN(service) false
#elif defined(SENT_IS_READ)
#define COUNTS_AS_OPEN(service) (last_change[service] > sent[service])
#else
#define COUNTS_AS_OPEN(service) IS_OPEN(service)
#endif

/* What each copy's snapshot has seen. */
bool is_seen[COPIES], seen_open[COPIES], seen_by_hand[COPIES];
byte seen_row[COPIES], seen_end[COPIES];

/* One read snapshot of a copy: its stamp, what is open, the row. */
proctype Snapshot(byte copy)
{
    atomic {
        seen_end[copy] = STAMP_OF(copy);
        if
        :: copy < SERVICES -> seen_open[copy] = COUNTS_AS_OPEN(copy)
        :: else
        fi;
#ifdef TORN
    };
    atomic {                                     /* the row is read in a later snapshot */
#endif
        seen_row[copy] = row[copy];
        seen_by_hand[copy] = is_by_hand[copy];
        is_seen[copy] = true
    }
}

/* Rule 34: what is open, or is mentioned between the two stamps, is left out. */
inline compare(left, right)
{
    is_left_out = seen_open[left] || seen_open[right];
#ifndef NO_MENTIONS
    offset = (seen_end[left] < seen_end[right] -> seen_end[left] : seen_end[right]);
    do
    :: offset < seen_end[left] || offset < seen_end[right] ->
       is_left_out = is_left_out || !is_other[record[offset]];
       offset++
    :: else -> break
    od;
    offset = 0;
#endif
    assert(is_left_out || seen_by_hand[left] || seen_by_hand[right] ||
           seen_row[left] == seen_row[right]);
    assert(is_left_out || seen_by_hand[left] == seen_by_hand[right] ||
           seen_row[left] != seen_row[right]);
    is_left_out = false
}

inline compare_all()
{
    for (one : 0 .. COPIES - 2) {
        for (other : one + 1 .. COPIES - 1) {
            compare(one, other)
        }
    }
    one = 0;
    other = 0
}

init
{
    byte one, other, offset;
    bool is_left_out;
    atomic {
        run_all();
        for (one : 0 .. COPIES - 1) {
            run Snapshot(one)
        }
        one = 0
    };
    atomic {
        is_seen[0] && is_seen[COPIES - 1] && is_seen[COPIES / 2] ->
        compare_all()
    };
    /* When nothing can move any more, nothing is left out. */
    timeout ->
    atomic {
        for (one : 0 .. COPIES - 1) {
            seen_row[one] = row[one];
            seen_by_hand[one] = is_by_hand[one];
            seen_end[one] = STAMP_OF(one);
            seen_open[one] = false;
            if
            :: one < SERVICES -> assert(!(IS_OPEN(one)))
            :: else -> assert(position[one] == log_end)
            fi;
            assert(is_by_hand[one] || row[one] == fold[log_end])
        }
        compare_all()
    }
}
