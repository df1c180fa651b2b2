#!/usr/bin/env bash
# Seata's AT mode with the work of joint.sh, which sources this file, after lib.sh: the same rows, in the
# same server, in the same run.
#
# One Java process begins the transactions and has all databases, so that no service calls another one:
# that favours Seata. Before each measurement the same work warms Java up.
# shellcheck disable=SC2154 # joint.sh sets variables

seata_script=$PWD/bench/peers/seata/java.sh
seata_port=
declare -A jdbc=() # by service: its URL

fetch_seata() {
    local reason
    [[ $kinds != *sqlite* ]] || die 64 "Seata's AT mode has no SQLite: say postgresql or mariadb"
    reason=$("$seata_script" fetch 2>&1) || die 69 "Seata is not to be had here: $reason"
}

# The tables that Seata's documentation asks for.
make_undo_log() { # SERVICE
    case $kind in
    postgresql)
        sql "$1" "CREATE TABLE undo_log(id serial PRIMARY KEY, branch_id bigint NOT NULL,
xid varchar(128) NOT NULL, context varchar(128) NOT NULL, rollback_info bytea NOT NULL,
log_status int NOT NULL, log_created timestamp(0) NOT NULL, log_modified timestamp(0) NOT NULL,
UNIQUE (xid, branch_id)); CREATE INDEX ON undo_log(log_created)"
        jdbc[$1]="jdbc:postgresql://127.0.0.1:$port/$1?user=postgres"
        ;;
    mariadb)
        sql "$1" "CREATE TABLE undo_log(branch_id bigint NOT NULL, xid varchar(128) NOT NULL,
context varchar(128) NOT NULL, rollback_info longblob NOT NULL, log_status int NOT NULL,
log_created datetime(6) NOT NULL, log_modified datetime(6) NOT NULL, UNIQUE (xid, branch_id),
KEY (log_created)); CREATE OR REPLACE USER seata@localhost;
GRANT ALL ON *.* TO seata@localhost; CREATE OR REPLACE USER seata@127.0.0.1;
GRANT ALL ON *.* TO seata@127.0.0.1"
        jdbc[$1]="jdbc:mariadb://127.0.0.1:$port/$1?user=seata"
        ;;
    esac
}

start_seata() { # on the port that it had, where it had one: its store and its clients know it
    seata_port=${seata_port:-$(free_port)}
    "$seata_script" server "$work/seata" "$seata_port" "$(free_port)" >"$work/seata.log" 2>&1 &
    started+=("$!")
    for _ in {1..300}; do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$seata_port") 2>/dev/null || return 0
        sleep 0.2
    done
    die 69 "Seata's server does not start: $(tail -n 3 "$work/seata.log")"
}

measure_seata() { # RESULT RATE COUNT SERVICES ROWS
    local urls=() service
    for service in "${services[@]:0:$4}"; do
        urls+=("${jdbc[$service]}")
    done
    "$seata_script" client "$work/seata-client" "$seata_port" measure "$2" "$3" "$5" "${urls[@]}" \
        >"$out/$1.json" 2>"$work/$1.log" || die 70 "$1: $(tail -n 5 "$work/$1.log")"
}

part_seata() {
    local service number
    stop_sidecars
    start_seata
    for service in "${services[@]}"; do
        make_plain_accounts "$service"
        make_undo_log "$service"
    done
    for number in 2 3; do
        observe "seata_$number" measure_seata "seata_$number" "$rate" "$count" "$number" "$rows"
        observe "seata_hot_$number" measure_seata "seata_hot_$number" "$hot_rate" $((count / 5)) \
            "$number" 1
    done
    stop_sidecars # Seata's server
}

hold_seata() { # one transaction that changes row 1 at shop and bank, and is not committed
    "$seata_script" client "$work/seata-client" "$seata_port" hold "${jdbc[shop]}" "${jdbc[bank]}" \
        >"$work/held" 2>"$work/hold.log" &
    started+=("$!")
    for _ in {1..300}; do
        ! grep -q held "$work/held" || return 0
        sleep 0.2
    done
    die 70 "Seata: $(tail -n 3 "$work/hold.log")"
}

tell_row() { # WHEN
    local service
    printf '%-60s' "$1"
    for service in shop bank; do
        printf ' %s %s/%s' "$service" "$(sql "$service" "SELECT amount FROM accounts WHERE id = 1")" \
            "$(sql "$service" "SELECT count(*) FROM undo_log")"
    done
    echo
}

# What is seen when the server is killed amid a transaction, whose timeout is 20 s, and comes back after
# 30 s; another program writes the row at shop meanwhile, or none.
part_seata_crash() {
    local other service
    for other in "" "another program writes at shop, "; do
        stop_sidecars
        rm -rf "$work/seata"
        start_seata
        for service in shop bank; do
            make_plain_accounts "$service"
            make_undo_log "$service"
        done
        hold_seata
        tell_row "changed at both, not committed"
        kill -9 "${started[0]}"
        wait "${started[0]}" 2>/dev/null || true # so that the shell does not tell of it
        [ -z "$other" ] || sql shop "UPDATE accounts SET amount = amount + 100 WHERE id = 1"
        sleep 30
        tell_row "${other}30 s without the server"
        start_seata
        sleep 90
        tell_row "90 s after the server is back"
    done >"$out/seata_crash.txt"
    stop_sidecars
}

report_seata_crash() {
    echo "Seata's server is killed: amount of row 1 / undo records, at shop and bank"
    cat "$out/seata_crash.txt"
}

report_seata() {
    report_line "Seata, 2 databases, $rate/s, rows apart" seata_2
    report_line "Seata, 3 databases, $rate/s, rows apart" seata_3
    report_line "Seata, 2 databases, $hot_rate/s, one row" seata_hot_2
    report_line "Seata, 3 databases, $hot_rate/s, one row" seata_hot_3
}
