/* Joint transactions (rules 60 to 62, 68 and 69). Each service has one entity, and every transaction
 * changes the entity of each service, so that any two of them are in each other's way everywhere. A
 * service reads the one partition of the topic; a step of its agent is one transaction of its
 * database, with its position. So a crash between two steps changes nothing; a takeover of a relay
 * sends a record again (REPEATS); a restore takes back what was committed, under a new incarnation
 * (RESTORES, of service 0).
 *
 * Whatever happens: what a service commits finds its entity as it was when the service promised it;
 * a service settles only what an observer of the log says; a change is made once; and where nothing
 * more can happen all services have settled all transactions alike and nothing is reserved.
 *
 * Bounds: SERVICES, JOINTS (transactions; transaction n is proposed by service n), WRITES (by each
 * service, to its own entity), REPEATS, RESTORES. PROPOSER_WITHDRAWS: nobody else does. GONE: the
 * last service stops for ever, at any moment. LEAVE_OUT: records behind a decision, which all readers
 * pass, are not written.
 *
 * Each of these switches breaks a rule: NO_GUARD (62: a reserved entity can be written), VOTE_APART
 * (62: the vote and what it promises are two transactions), CLOCK (68: a service aborts by its own
 * clock), LAST_COUNTS (60: the last record decides, not the first), NO_CATCHUP (69: a restored
 * service votes before it has read its own votes). */
#ifndef SERVICES
#define SERVICES 2
#endif
#ifndef JOINTS
#define JOINTS 1
#endif
#ifndef WRITES
#define WRITES 0
#endif
#ifndef REPEATS
#define REPEATS 0
#endif
#ifndef RESTORES
#define RESTORES 0
#endif

#define ROWS     (3 * JOINTS + 1)                /* a proposal, a vote and a withdrawal of each */
#define LOG_MAX  (JOINTS + 2 * SERVICES * JOINTS + REPEATS + 2 * JOINTS * RESTORES + 1)
#define ALL_YES  ((1 << SERVICES) - 1)
#define NOBODY   255

/* A record: its kind, its transaction, who wrote it. */
#define PROPOSAL   0
#define YES        1
#define NO         2
#define WITHDRAWAL 3
#define RECORD(kind, joint, writer) ((kind) * 16 + (joint) * 4 + (writer))
#define KIND(record)   ((record) / 16)
#define JOINT(record)  (((record) / 4) % 4)
#define WRITER(record) ((record) % 4)

/* What a service knows of a transaction. */
#define UNKNOWN   0
#define QUEUED    1
#define RESERVED  2                              /* it has voted yes */
#define REFUSED   3                              /* it has voted no, or must not vote */
#define COMMITTED 4
#define ABORTED   5

#define OF(service, joint) ((service) * JOINTS + (joint))
#define ROW(service, place) ((service) * ROWS + (place))

byte log[LOG_MAX], log_end;
byte outbox[SERVICES * ROWS], written[SERVICES], sent[SERVICES];
byte position[SERVICES], read_first[SERVICES];   /* next offset; what it must read before it votes */
bool is_proposed[JOINTS];
byte state[SERVICES * JOINTS], yes_read[SERVICES * JOINTS], changed[SERVICES * JOINTS];
bool has_withdrawn[SERVICES * JOINTS];
bool has_lost_vote[SERVICES * JOINTS];           /* an own yes in the log, unknown to the database */
byte first_read[SERVICES];                       /* whose proposal stands first in the queue */
byte reserved_by[SERVICES];                      /* transaction + 1; 0: nobody */
bool is_touched[SERVICES];                       /* written by somebody else since the promise */
bool is_unfit[SERVICES];                         /* the row is so that a change is refused */
byte writes[SERVICES], repeats, restores, gone = NOBODY;

/* An observer of the whole log. */
byte yes_seen[JOINTS], outcome[JOINTS];
bool proposal_seen[JOINTS];

/* A backup of service 0. */
byte old_outbox[ROWS], old_written, old_sent, old_position, old_reserved_by;
byte old_state[JOINTS], old_yes_read[JOINTS], old_changed[JOINTS];
bool old_has_withdrawn[JOINTS], old_is_touched, old_is_unfit, has_backup;

#define IS_OPEN(service, joint) \
    (state[OF(service, joint)] >= QUEUED && state[OF(service, joint)] <= REFUSED)

/* An earlier proposal that is queued goes first. */
#define IS_NEXT(service, joint) \
    (state[OF(service, joint)] == QUEUED && reserved_by[service] == 0 && \
     (first_read[service] == joint || state[OF(service, first_read[service])] != QUEUED))

#ifdef NO_GUARD
#define MAY_WRITE(service) true
#else
#define MAY_WRITE(service) (reserved_by[service] == 0)
#endif

#ifdef NO_CATCHUP
#define HAS_CAUGHT_UP(service) true
#else
#define HAS_CAUGHT_UP(service) (position[service] >= read_first[service])
#endif

#ifdef PROPOSER_WITHDRAWS
#define MAY_WITHDRAW(service, joint) ((service) == (joint) % SERVICES)
#else
#define MAY_WITHDRAW(service, joint) true
#endif

/* To read a record that changes nothing here is no step of its own. */
#if RESTORES > 0 || defined(LAST_COUNTS)
#define MATTERS(service, joint) true
#else
#define MATTERS(service, joint) \
    ((proposal_seen[joint] && state[OF(service, joint)] == UNKNOWN) || \
     (outcome[joint] > 0 && IS_OPEN(service, joint)))
#endif
#if JOINTS > 1
#define HAS_TO_READ(service) (MATTERS(service, 0) || MATTERS(service, 1))
#define HAS_PROMISED(service) \
    (state[OF(service, 0)] == RESERVED || state[OF(service, 1)] == RESERVED)
#define CAN_TRY(service) (IS_NEXT(service, 0) || IS_NEXT(service, 1))
#else
#define HAS_TO_READ(service) MATTERS(service, 0)
#define HAS_PROMISED(service) (state[OF(service, 0)] == RESERVED)
#define CAN_TRY(service) IS_NEXT(service, 0)
#endif

inline say(service, record)
{
    assert(written[service] < ROWS);
    outbox[ROW(service, written[service])] = record;
    written[service]++
}

inline append(record)
{
    assert(log_end < LOG_MAX);
    log[log_end] = record;
    log_end++;
    if
    :: KIND(record) == PROPOSAL -> proposal_seen[JOINT(record)] = true
    :: KIND(record) == YES && proposal_seen[JOINT(record)] ->
       yes_seen[JOINT(record)] = yes_seen[JOINT(record)] | (1 << WRITER(record));
       if
       :: outcome[JOINT(record)] == 0 && yes_seen[JOINT(record)] == ALL_YES ->
          outcome[JOINT(record)] = COMMITTED
       :: else
       fi
    :: KIND(record) > YES && proposal_seen[JOINT(record)] ->
       if
       :: outcome[JOINT(record)] == 0 -> outcome[JOINT(record)] = ABORTED
       :: else
       fi
    :: else
    fi
}

inline settle(service, joint, how)
{
    assert(outcome[joint] == how);
    if
    :: state[OF(service, joint)] == RESERVED ->
       assert(how == ABORTED || (!is_touched[service] && !is_unfit[service]));
       reserved_by[service] = 0;
       is_touched[service] = false
    :: else -> assert(how == ABORTED || has_lost_vote[OF(service, joint)])
    fi;
    if
    :: how == COMMITTED ->
       changed[OF(service, joint)]++;
       assert(changed[OF(service, joint)] == 1)
    :: else
    fi;
    state[OF(service, joint)] = how
}

proctype Service(byte service)
{
end:
    do
    :: atomic {
           service < JOINTS && !is_proposed[service] && service != gone ->
           is_proposed[service] = true;
           say(service, RECORD(PROPOSAL, service, service))
       }
    :: atomic {
           writes[service] < WRITES && service != gone && MAY_WRITE(service) ->
           writes[service]++;
           is_touched[service] = is_touched[service] || HAS_PROMISED(service);
           if
           :: is_unfit[service] = true
           :: is_unfit[service] = false
           fi
       }
    od
}

proctype Relay(byte service)
{
end:
    do
    :: atomic {
           sent[service] < written[service] && service != gone ->
#ifdef LEAVE_OUT
           if
           :: outcome[JOINT(outbox[ROW(service, sent[service])])] == 0 ->
              append(outbox[ROW(service, sent[service])])
           :: else
           fi;
#else
           append(outbox[ROW(service, sent[service])]);
#endif
           sent[service]++
       }
    :: atomic {
           repeats < REPEATS && sent[service] > 0 && service != gone ->
           repeats++;
           append(outbox[ROW(service, sent[service] - 1)])
       }
    od
}

/* Read on to the next record that changes something. */
inline read_on(service)
{
    do
    :: position[service] == log_end -> break
    :: else ->
       record = log[position[service]];
       joint = JOINT(record);
       position[service]++;
       if
       :: KIND(record) == PROPOSAL && state[OF(service, joint)] == UNKNOWN ->
          state[OF(service, joint)] = QUEUED;
          if
          :: first_read[service] == NOBODY -> first_read[service] = joint
          :: else
          fi;
          break
       :: KIND(record) == YES && state[OF(service, joint)] != UNKNOWN ->
          yes_read[OF(service, joint)] = yes_read[OF(service, joint)] | (1 << WRITER(record));
          if
          :: WRITER(record) == service && state[OF(service, joint)] == QUEUED ->
             has_lost_vote[OF(service, joint)] = true
          :: else
          fi;
          if
          :: IS_OPEN(service, joint) && yes_read[OF(service, joint)] == ALL_YES ->
             settle(service, joint, COMMITTED);
             break
          :: else
          fi
       :: KIND(record) > YES && state[OF(service, joint)] != UNKNOWN ->
          if
          :: IS_OPEN(service, joint) -> settle(service, joint, ABORTED); break
#ifdef LAST_COUNTS
          :: state[OF(service, joint)] == COMMITTED ->
             state[OF(service, joint)] = ABORTED;
             changed[OF(service, joint)] = 0
#endif
          :: else
          fi
       :: else
       fi
    od;
    record = 0;
    joint = 0
}

proctype Agent(byte service)
{
    byte record, joint;
end:
    do
    :: atomic {
           position[service] < log_end && service != gone && HAS_TO_READ(service) ->
           read_on(service)
       }
    :: atomic {                                  /* the try */
           service != gone && HAS_CAUGHT_UP(service) && CAN_TRY(service) ->
           if
           :: IS_NEXT(service, 0) -> joint = 0
#if JOINTS > 1
           :: IS_NEXT(service, 1) -> joint = 1
#endif
           fi;
           if
           :: has_lost_vote[OF(service, joint)] || has_withdrawn[OF(service, joint)] ->
              state[OF(service, joint)] = REFUSED;
              if
              :: !has_withdrawn[OF(service, joint)] ->
                 has_withdrawn[OF(service, joint)] = true;
                 say(service, RECORD(WITHDRAWAL, joint, service))
              :: else
              fi
           :: else ->
              if
              :: is_unfit[service] ->
                 state[OF(service, joint)] = REFUSED;
                 say(service, RECORD(NO, joint, service))
              :: else ->
                 state[OF(service, joint)] = RESERVED;
                 reserved_by[service] = joint + 1;
                 is_touched[service] = false;
#ifdef VOTE_APART
                 goto vote
#else
                 say(service, RECORD(YES, joint, service))
#endif
              fi
           fi;
           joint = 0
       }
    :: atomic {                                  /* whoever has waited too long, by any clock */
           service != gone && IS_OPEN(service, 0) && !has_withdrawn[OF(service, 0)] &&
           MAY_WITHDRAW(service, 0) ->
           has_withdrawn[OF(service, 0)] = true;
#ifdef CLOCK
           if
           :: state[OF(service, 0)] == RESERVED -> reserved_by[service] = 0
           :: else
           fi;
           state[OF(service, 0)] = ABORTED
#else
           say(service, RECORD(WITHDRAWAL, 0, service))
#endif
       }
#if JOINTS > 1
    :: atomic {
           service != gone && IS_OPEN(service, 1) && !has_withdrawn[OF(service, 1)] &&
           MAY_WITHDRAW(service, 1) ->
           has_withdrawn[OF(service, 1)] = true;
           say(service, RECORD(WITHDRAWAL, 1, service))
       }
#endif
    od;
#ifdef VOTE_APART
vote:
    atomic {
        say(service, RECORD(YES, joint, service));
        if
        :: skip
        :: reserved_by[service] = 0              /* the crash between the two has lost the promise */
        fi;
        joint = 0;
        goto end
    }
#endif
}

inline keep_backup()
{
    old_written = written[0];
    old_sent = sent[0];
    old_position = position[0];
    old_reserved_by = reserved_by[0];
    old_is_touched = is_touched[0];
    old_is_unfit = is_unfit[0];
    for (one : 0 .. JOINTS - 1) {
        old_state[one] = state[OF(0, one)];
        old_yes_read[one] = yes_read[OF(0, one)];
        old_changed[one] = changed[OF(0, one)];
        old_has_withdrawn[one] = has_withdrawn[OF(0, one)]
    }
    for (one : 0 .. ROWS - 1) {
        old_outbox[one] = outbox[ROW(0, one)]
    }
    one = 0
}

/* What waits and is in the log is not sent again (rule 13). */
inline reconcile()
{
    do
    :: sent[0] < written[0] ->
       one = 0;
       do
       :: one < log_end && log[one] != outbox[ROW(0, sent[0])] -> one++
       :: else -> break
       od;
       if
       :: one < log_end -> sent[0]++
       :: else -> break
       fi
    :: else -> break
    od;
    one = 0
}

inline restore_backup()
{
    written[0] = old_written;
    sent[0] = old_sent;
    position[0] = old_position;
    reserved_by[0] = old_reserved_by;
    is_touched[0] = old_is_touched;
    is_unfit[0] = old_is_unfit;
    for (one : 0 .. JOINTS - 1) {
        state[OF(0, one)] = old_state[one];
        yes_read[OF(0, one)] = old_yes_read[one];
        changed[OF(0, one)] = old_changed[one];
        has_withdrawn[OF(0, one)] = old_has_withdrawn[one];
        has_lost_vote[OF(0, one)] = false
    }
    for (one : 0 .. ROWS - 1) {
        outbox[ROW(0, one)] = old_outbox[one]
    }
    one = 0;
    reconcile();
    read_first[0] = log_end
}

proctype World()
{
    byte one;
end:
    do
#ifdef GONE
    :: atomic { gone == NOBODY -> gone = SERVICES - 1 }
#endif
#if RESTORES > 0
    :: atomic { !has_backup -> has_backup = true; keep_backup() }
    :: atomic { has_backup && restores < RESTORES -> restores++; restore_backup() }
#endif
    :: atomic {                                  /* what could happen does not have to */
           repeats < REPEATS || restores < RESTORES ->
           repeats = REPEATS;
           restores = RESTORES
       }
    od
}

inline check_settled(service, joint)
{
    assert(!proposal_seen[joint] ||
           (outcome[joint] > 0 && state[OF(service, joint)] == outcome[joint] &&
            changed[OF(service, joint)] == (outcome[joint] == COMMITTED)))
}

init
{
    byte service, joint;
    atomic {
        for (service : 0 .. SERVICES - 1) {
            first_read[service] = NOBODY;
            run Service(service);
            run Relay(service);
            run Agent(service)
        }
        service = 0;
        run World()
    };
    timeout ->
    atomic {
        for (service : 0 .. SERVICES - 1) {
            if
            :: service != gone ->
               assert(reserved_by[service] == 0);
               for (joint : 0 .. JOINTS - 1) {
                   check_settled(service, joint)
               }
               joint = 0
            :: else
            fi
        }
    }
}
