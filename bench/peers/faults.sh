#!/usr/bin/env bash
# What happens when a contestant is killed in the middle of a backlog, and when one record of a topic is
# bad, on PostgreSQL. peers.sh sources this file, after contestants.sh.
# shellcheck disable=SC2154,SC2034 # lib.sh, peers.sh and contestants.sh set and use variables

around=20000 # events around a bad record: more than one batch
written="SELECT max(number) FROM history"

# Triggers write down each write of the table in its order. A row that is written with an older version
# than it has goes back in time.
record_history() {
    sql billing "CREATE TABLE history(number bigserial PRIMARY KEY, kind text NOT NULL,
    version bigint NOT NULL, back boolean NOT NULL);
CREATE FUNCTION write_history() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO history(kind, version, back) VALUES ('delete', OLD.version, false);
    ELSE
        INSERT INTO history(kind, version, back) VALUES ('write', NEW.version,
            TG_OP = 'UPDATE' AND NEW.version < OLD.version);
    END IF;
    RETURN NULL;
END \$\$;
CREATE TRIGGER history AFTER INSERT OR UPDATE OR DELETE ON orders
    FOR EACH ROW EXECUTE FUNCTION write_history()"
}

# Compares the table with the rows that a topic ends with. Prints JSON members.
compare_rows() { # TOPIC
    sql billing "SELECT concat_ws('|', id, version, customer, state, total, note) FROM orders" \
        >"$work/table.rows"
    awk -F '|' 'NR == FNR { expected[$1] = $0; next }
        !($1 in expected) { extra++; next }
        { different += expected[$1] != $0; delete expected[$1] }
        END {
            for (id in expected) missing++
            printf "\"missing\": %d, \"extra\": %d, \"different\": %d", missing, extra, different
        }' "$work/$1.rows" "$work/table.rows"
}

task_state() {
    if failed; then echo failed; else echo running; fi
}

# Kills the contestant after a fifth of the backlog, starts it again, and waits for the rows that the
# topic ends with.
measure_kill() { # TOPIC
    local rows sum killed still=null
    rows=$(out=$work field "$1" rows)
    sum=$(out=$work field "$1" version_sum)
    tell "kill -9 in a backlog: $contestant"
    empty_table
    record_history
    start "$1"
    watch "$work/before.json" "$written" $((events / 5))
    kill -KILL "$process"
    wait "$process" 2>/dev/null || true
    killed=$(sql billing "$written")
    start_again
    watch "$work/after.json" "$written" $((killed + 1))
    [ "$(out=$work field after reached)" -le "$killed" ] ||
        still=$(out=$work field after first_seconds)
    watch "$work/end.json" "SELECT CASE WHEN count(*) = $rows AND sum(version) = $sum THEN 1
        ELSE 0 END FROM orders" 1
    sleep 2 # what it would still write
    cat >"$out/kill-$contestant.json" <<JSON
{"written_before_kill": $killed, "stood_still_seconds": $still, \
"written_twice": $(sql billing "SELECT count(*) - count(DISTINCT (kind, version)) FROM history"), \
"set_back": $(sql billing "SELECT count(*) FROM history WHERE back"), $(compare_rows "$1"), \
"task": "$(task_state)"}
JSON
    stop
}

measure_bad_record() { # TOPIC
    local aside=0
    tell "a bad record ($1): $contestant"
    empty_table
    start "$1"
    still_seconds=30 watch "$work/bad.json" "SELECT count(*) FROM orders" $((around - 1))
    case $contestant in
    keepstep) aside=$(sql billing "SELECT count(*) FROM keepstep_parked") ;;
    sink-tuned-*) aside=$("$bin/peers/count_records" "$bootstrap" "$service-dead") ;;
    esac
    cat >"$out/$1-$contestant.json" <<JSON
{"applied": $(out=$work field bad reached), "others": $((around - 1)), "set_aside": $aside, \
"task": "$(task_state)"}
JSON
    stop
}

measure_faults() {
    local topic name
    write_topic changes debezium changes "$events"
    for name in keepstep sink-tuned-1; do
        choose "$name"
        measure_kill changes
    done
    choose sink-defaults
    measure_kill inserts-debezium # an update would end it without a kill
    for topic in refused unreadable; do
        write_topic "$topic" debezium "$topic" "$around"
        for name in keepstep sink-defaults sink-tuned-1; do
            choose "$name"
            measure_bad_record "$topic"
        done
    done
}

report_faults() {
    local file name still
    row "kill -9 in $events events" "still, s" twice "set back" missing different task
    for name in keepstep sink-tuned-1 sink-defaults; do
        file=kill-$name
        still=$(field "$file" stood_still_seconds)
        row "$name" "${still:-for ever}" "$(field "$file" written_twice)" \
            "$(field "$file" set_back)" "$(field "$file" missing)" \
            "$(($(field "$file" different) + $(field "$file" extra)))" "$(task_of "$file")"
    done
    row "one bad record in $around" applied of "set aside" "" "" task
    for file in "$out"/refused-*.json "$out"/unreadable-*.json; do
        name=$(basename "$file" .json)
        row "$name" "$(field "$name" applied)" "$(field "$name" others)" \
            "$(field "$name" set_aside)" "" "" "$(task_of "$name")"
    done
}

task_of() { # RESULT
    sed -n 's/.*"task": "\([a-z]*\)".*/\1/p' "$out/$1.json"
}
