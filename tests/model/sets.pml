/* Whole transactions, rules 50 to 56: services' connections write at the same time, two relays
 * claim and publish (one at a time has the lease; either may crash, or go on after it was taken
 * over), and an agent applies what is in the log. A copy may only ever show whole transactions, each
 * behind all that it depends on, and in the end everything.
 *
 * A row is known by its position. Rows of one entity are written under its lock, which is held until
 * the commit. Switches: CUT (a claim takes what it has loaded), SMALLEST (sets in the order of their
 * first positions), COARSE (a `changeset` stands for all transactions of a connection), NO_MERGE (of
 * these, what crosses is not merged), AGENT_CUT (the agent commits where its batch ends). */
#ifndef ROWS
#define ROWS 4
#endif
#ifndef CONNECTIONS
#define CONNECTIONS 2
#endif
#ifndef IN_ONE
#define IN_ONE 3 /* rows of a transaction at most */
#endif
#ifndef ENTITIES
#define ENTITIES 2
#endif
#ifndef WINDOW
#define WINDOW 2 /* rows that a claim loads at first */
#endif
#ifndef BATCH
#define BATCH 1 /* records that the agent reads at first */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1
#endif
#ifndef AGENT_CRASHES
#define AGENT_CRASHES 1
#endif
#define NONE 255
#define LOG_MAX (2 * ROWS + 2)

/* The outbox; index: position. */
byte positions;
byte transaction[ROWS + 1], connection[ROWS + 1], entity[ROWS + 1];
byte earlier[ROWS + 1]; /* the row that wrote the entity before */
bool committed[ROWS + 1];
byte sequence[ROWS + 1], set_end[ROWS + 1];
byte transactions;
byte locked_by[ENTITIES], last_row[ENTITIES];
byte next_sequence = 1;

/* The lease. */
byte epoch, holder;
byte crashes, takeovers, agent_crashes;

/* The log. */
byte log_row[LOG_MAX], log_length;

/* The copy. */
byte position, applied_sequence;
bool applied[ROWS + 1];

#ifdef COARSE
#define IS_TOGETHER(a, b) (connection[a] == connection[b])
#else
#define IS_TOGETHER(a, b) (transaction[a] == transaction[b])
#endif
#define WAITS(a) (committed[a] && sequence[a] == 0)

proctype Connection(byte me) {
    byte mine, rows, e;
end:
    do
    :: atomic { rows < IN_ONE && positions < ROWS ->
        if :: e = 0 :: ENTITIES > 1 -> e = 1 fi;
        if
        :: locked_by[e] == 0 || locked_by[e] == me ->
            if :: rows == 0 -> transactions++; mine = transactions :: else fi;
            locked_by[e] = me; positions++; rows++;
            transaction[positions] = mine; connection[positions] = me; entity[positions] = e;
            earlier[positions] = last_row[e]; last_row[e] = positions
        :: else
        fi; e = 0 }
    :: atomic { rows > 0 ->
        e = 1;
        do
        :: e <= ROWS -> committed[e] = committed[e] || (transaction[e] == mine); e++
        :: else -> break
        od;
        e = 0;
        do
        :: e < ENTITIES -> if :: locked_by[e] == me -> locked_by[e] = 0 :: else fi; e++
        :: else -> break
        od;
        e = 0; mine = 0; rows = 0 }
    od
}

/* The last position of each waiting row's group, and whether it is among the rows up to `until`. */
inline find_ends() {
    i = 1;
    do
    :: i <= ROWS ->
        end[i] = 0;
        if
        :: WAITS(i) && i <= until ->
            j = i;
            do
            :: j <= ROWS -> if :: WAITS(j) && IS_TOGETHER(i, j) -> end[i] = j :: else fi; j++
            :: else -> break
            od
        :: else
        fi; i++
    :: else -> break
    od }

/* Rows of one entity that would be numbered against their positions: all sets between become one. */
inline merge() {
    again = true;
    do
    :: again ->
        again = false; i = 1;
        do
        :: i <= ROWS ->
            j = i + 1;
            do
            :: j <= ROWS ->
                if
                :: end[i] > 0 && end[j] > 0 && entity[i] == entity[j] && end[i] > end[j] ->
                    low = end[j]; high = end[i]; k = 1;
                    do
                    :: k <= ROWS -> if :: end[k] >= low && end[k] <= high -> end[k] = high :: else fi; k++
                    :: else -> break
                    od;
                    again = true
                :: else
                fi; j++
            :: else -> break
            od; i++
        :: else -> break
        od
    :: else -> break
    od }

proctype Relay(byte me) {
    byte mine, next, until, i, j, k, low, high;
    byte end[ROWS + 2];
    bool again;
endSTANDBY:
    atomic { holder == 0 || (holder != me && takeovers < TAKEOVERS) ->
        if :: holder != 0 -> takeovers++ :: else fi;
        epoch++; mine = epoch; holder = me; next = 1; i = 0;
        do /* what the log has is not sent again */
        :: i < log_length -> if :: sequence[log_row[i]] >= next -> next = sequence[log_row[i]] + 1 :: else fi; i++
        :: else -> break
        od;
        i = 0 };
endLOOP:
    do
    :: atomic { epoch != mine -> goto stop }
    /* Also after a takeover of which it does not know yet: the records come late. */
    :: atomic { next < next_sequence ->
        i = 1;
        do :: sequence[i] != next -> i++ :: else -> break od;
        assert(log_length < LOG_MAX);
        log_row[log_length] = i; log_length++; next++; i = 0 }
    /* The load and the claim. What is committed between the two is for the next load. */
    :: atomic { next == next_sequence && epoch == mine ->
        until = 0; i = 1; k = 0;
        do
        :: i <= ROWS && k < WINDOW -> if :: WAITS(i) -> k++; until = i :: else fi; i++
        :: else -> break
        od;
        if :: k == 0 -> i = 0; goto endLOOP :: else fi;
        do /* with no complete set it reads on to the end of the first one */
        :: find_ends();
#if !defined(CUT) && !defined(NO_MERGE)
           merge();
#endif
           low = NONE; i = 1;
           do
           :: i <= ROWS -> if :: end[i] > 0 && end[i] < low -> low = end[i] :: else fi; i++
           :: else -> break
           od;
#ifdef CUT
           break
#else
           if :: low > until -> until = low :: else -> break fi
#endif
        od;
        do /* the sets in their order, the rows of each by position */
        :: low = NONE; i = 1;
           do
           :: i <= until ->
#ifdef SMALLEST
               if :: end[i] > 0 && end[i] <= until && low == NONE -> low = end[i] :: else fi;
#elif defined(CUT)
               if :: end[i] > 0 && end[i] < low -> low = end[i] :: else fi;
#else
               if :: end[i] > 0 && end[i] <= until && end[i] < low -> low = end[i] :: else fi;
#endif
               i++
           :: else -> break
           od;
           if :: low == NONE -> break :: else fi;
           high = next_sequence - 1; i = 1;
           do :: i <= until -> if :: end[i] == low -> high++ :: else fi; i++ :: else -> break od;
           i = 1;
           do
           :: i <= until ->
               if
               :: end[i] == low -> sequence[i] = next_sequence; set_end[i] = high; next_sequence++; end[i] = 0
               :: else
               fi; i++
           :: else -> break
           od
        od;
        i = 1;
        do :: i <= ROWS -> end[i] = 0; i++ :: else -> break od;
        i = 0; j = 0; k = 0; low = 0; high = 0; until = 0; again = false }
    :: atomic { crashes < CRASHES ->
        crashes++;
        if :: holder == me -> holder = 0 :: else fi;
        goto stop }
    od;
stop:
    atomic { next = 0; mine = 0; i = 0; goto endSTANDBY }
}

/* What a reader of the copy may see. */
inline look() {
    i = 1;
    do
    :: i <= ROWS ->
        if
        :: applied[i] ->
            assert(earlier[i] == 0 || applied[earlier[i]]);
            j = 1;
            do
            :: j <= ROWS -> assert(transaction[j] != transaction[i] || applied[j]); j++
            :: else -> break
            od
        :: else
        fi; i++
    :: else -> break
    od;
    i = 0; j = 0 }

proctype Agent() {
    byte at, until, last, i, j;
    byte seen; /* length of the log in which no set has ended */
end:
    do
    /* A batch ends where a set ends. Where the set's end is not in the log yet, nothing is written. */
    :: atomic { position < log_length && seen != log_length ->
        at = position; seen = 0; until = position; last = applied_sequence;
        do
        :: at == log_length -> break
        :: at < log_length && at - position >= BATCH && until == at -> break
        :: else ->
            i = log_row[at]; at++;
            if
            :: sequence[i] > last ->
                assert(sequence[i] == last + 1);
                last = sequence[i];
                if :: last == set_end[i] -> until = at :: else fi
            :: else -> if :: until == at - 1 -> until = at :: else fi /* a duplicate */
            fi;
#ifdef AGENT_CUT
            if :: at - position >= BATCH -> until = at; break :: else fi
#endif
        od;
        if
        :: until == position -> seen = log_length
        :: until > position && agent_crashes < AGENT_CRASHES -> agent_crashes++ /* rolled back */
        :: until > position ->
            at = position;
            do
            :: at < until ->
                i = log_row[at]; at++;
                if
                :: sequence[i] > applied_sequence -> applied[i] = true; applied_sequence = sequence[i]
                :: else
                fi
            :: else -> break
            od;
            position = until;
            look()
        fi;
        at = 0; until = 0; last = 0; i = 0 }
    od
}

init {
    byte i;
    atomic {
        i = 1;
        do :: i <= CONNECTIONS -> run Connection(i); i++ :: else -> break od;
        run Relay(1); run Relay(2); run Agent() };
    timeout -> atomic {
        i = 1;
        do :: i <= ROWS -> assert(!committed[i] || applied[i]); i++ :: else -> break od }
}
