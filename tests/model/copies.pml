/* The world of the models: services that write one entity, their relays, the log of one partition, and
 * copies with an agent each (rules 1, 9, 10, 12, 15 and 18). A transaction is one step.
 *
 * Records of another entity only move the positions. Services write the entity and apply what the
 * others write; readers only apply. With PUBLISHER there is one service, which does not apply the
 * type: its stamp is what its relay has acknowledged.
 *
 * Switches: SERVICES, READERS; CHANGES of each service; DUPLICATES, late records of a relay that was
 * replaced; HANDS, rows that somebody changes by hand; SPARSE, changes of the one service that lack
 * columns. A model that includes this one may say when a relay publishes, what follows a service's
 * commit, and what an agent does with a sparse change of a row that is not there. */
#ifndef SERVICES
#define SERVICES 1
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef DUPLICATES
#define DUPLICATES 0
#endif
#ifndef HANDS
#define HANDS 0
#endif

#define COPIES       (SERVICES + READERS)
#define RECORDS_MAX  (SERVICES * CHANGES + DUPLICATES)
#define BY_HAND      200                         /* a row that no change has written */

/* A change is a number: that of its service and, from 1, that of the service's changes. */
#define CHANGE(service, sequence)  ((service) * CHANGES + (sequence))
#define SERVICE_OF(change)         (((change) - 1) / CHANGES)
#define SEQUENCE_OF(change)        (((change) - 1) % CHANGES + 1)

byte record[RECORDS_MAX + 1];                    /* the log: a change for each offset */
byte log_end;
bool is_delete[SERVICES * CHANGES + 1];
bool is_other[SERVICES * CHANGES + 1];           /* of another entity */
#ifdef SPARSE
bool is_sparse[SERVICES * CHANGES + 1];          /* it lacks columns */
#define IS_SPARSE(change)  is_sparse[change]
#else
#define IS_SPARSE(change)  false
#endif

/* Of each service: sequences of its last change, of the last one of the entity, of what its relay has
 * sent and what it knows to be in the log; and the offset behind that. */
byte written[SERVICES], last_change[SERVICES], sent[SERVICES], acknowledged[SERVICES];
byte acknowledged_end[SERVICES];

/* Of each copy; a service's is its own table. */
byte row[COPIES];                                /* the change that wrote it; 0: there is none */
bool is_by_hand[COPIES];
byte position[COPIES];
byte applied[COPIES * SERVICES];                 /* last sequence, of each service */

/* What a copy's row must be at each position, and the last sequence of each service in it. */
byte fold[RECORDS_MAX + 1];
byte folded[SERVICES];

byte duplicates, hands;

#define LAST_APPLIED(copy, service) applied[(copy) * SERVICES + (service)]

/* The stamp, and whether the entity is open at a service (rules 32 and 33). */
#ifdef PUBLISHER
#define STAMP_OF(copy)   (copy < SERVICES -> acknowledged_end[copy] : position[copy])
#define IS_OPEN(service) (last_change[service] > acknowledged[service])
#else
#define STAMP_OF(copy)   position[copy]
#define IS_OPEN(service) (last_change[service] > LAST_APPLIED(service, service))
#endif

#ifndef HAS_AGENT
#ifdef PUBLISHER
#define HAS_AGENT(copy)  (copy >= SERVICES)
#else
#define HAS_AGENT(copy)  true
#endif
#endif

#ifndef MAY_PUBLISH
#define MAY_PUBLISH(service) true
#endif
#ifndef FOLLOW_COMMIT
#define FOLLOW_COMMIT(service) skip
#endif
#ifndef TAKE_ABSENT
#define TAKE_ABSENT(copy) assert(false)          /* parked, though nothing is wrong */
#endif

/* A record is written to the log. */
inline append(the_change)
{
    record[log_end] = the_change;
    fold[log_end + 1] = fold[log_end];
    if
    :: SEQUENCE_OF(the_change) > folded[SERVICE_OF(the_change)] ->
       folded[SERVICE_OF(the_change)] = SEQUENCE_OF(the_change);
       if
       :: !is_other[the_change] && !(IS_SPARSE(the_change) && fold[log_end] == 0) ->
          fold[log_end + 1] = (is_delete[the_change] -> 0 : the_change)
       :: else
       fi
    :: else
    fi;
    log_end++
}

inline run_all()
{
    for (one : 0 .. SERVICES - 1) {
        run Service(one);
        run Relay(one)
    }
    for (one : 0 .. COPIES - 1) {
        if
        :: HAS_AGENT(one) -> run Agent(one)
        :: else
        fi
    }
    run Hand();
    one = 0
}

/* A service's transaction: the row and its outbox row. */
proctype Service(byte service)
{
    byte change;
end:
    do
    :: atomic {
           written[service] < CHANGES ->
           written[service]++;
           change = CHANGE(service, written[service]);
           if
           :: is_other[change] = true
           :: last_change[service] = written[service];
              is_by_hand[service] = false;
              if
              :: row[service] != 0 -> is_delete[change] = true; row[service] = 0
              :: row[service] = change
#ifdef SPARSE
              :: row[service] != 0 -> is_sparse[change] = true; row[service] = change
#endif
              fi
           fi;
           FOLLOW_COMMIT(service);
           change = 0
       }
    od
}

proctype Relay(byte service)
{
    byte offset, change;
end:
    do
    :: atomic {
           sent[service] < written[service] && MAY_PUBLISH(service) ->
           sent[service]++;
           change = CHANGE(service, sent[service]);
           append(change);
           change = 0
       }
    :: atomic {                                  /* a replaced relay's record comes late */
           duplicates < DUPLICATES && sent[service] > 0 ->
           duplicates++;
           select(change : CHANGE(service, 1) .. CHANGE(service, sent[service]));
           append(change);
           change = 0
       }
    :: atomic {                                  /* found where it stands first, or later */
           acknowledged[service] < sent[service] ->
           acknowledged[service]++;
           change = CHANGE(service, acknowledged[service]);
           offset = acknowledged_end[service];
           do
           :: record[offset] != change -> offset++
           :: else -> break
           od;
           acknowledged_end[service] = offset + 1;
           do
           :: offset < log_end ->
              if
              :: record[offset] == change && acknowledged[service] == sent[service] ->
                 acknowledged_end[service] = offset + 1
              :: true
              fi;
              offset++
           :: else -> break
           od;
           offset = 0;
           change = 0
       }
    od
}

/* An agent's transaction for one record. It has the variables `change`, `service` and `is_pending`. */
inline apply_next(copy)
{
    change = record[position[copy]];
    service = SERVICE_OF(change);
    if
    :: SEQUENCE_OF(change) <= LAST_APPLIED(copy, service) /* a duplicate */
    :: else ->
       assert(SEQUENCE_OF(change) == LAST_APPLIED(copy, service) + 1);
       LAST_APPLIED(copy, service) = SEQUENCE_OF(change);
       if
       :: copy < SERVICES -> is_pending = last_change[copy] > LAST_APPLIED(copy, copy)
       :: else
       fi;
       if
       :: is_other[change] || is_pending         /* rule 18: a pending own change stands later */
       :: !is_other[change] && !is_pending && IS_SPARSE(change) && row[copy] == 0 ->
          TAKE_ABSENT(copy)
       :: else ->
          row[copy] = (is_delete[change] -> 0 : change);
          is_by_hand[copy] = false
       fi
    fi;
    position[copy]++;
    change = 0;
    service = 0;
    is_pending = false
}

proctype Agent(byte copy)
{
    byte change, service;
    bool is_pending;
end:
    do
    :: atomic { position[copy] < log_end -> apply_next(copy) }
    od
}

/* Somebody writes where no trigger looks. */
proctype Hand()
{
    byte copy;
end:
    do
    :: atomic {
           hands < HANDS ->
           hands++;
           select(copy : 0 .. COPIES - 1);
           row[copy] = BY_HAND;
           is_by_hand[copy] = true;
           copy = 0
       }
    od
}
