#!/usr/bin/env bash
# The rules of the source tree that no compiler checks; speaks like a cmocka program.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export LC_ALL=C
shopt -s lastpipe # report() counts at the end of a pipe

layers=(common schemas producer consumer operate)
tests_failed=0
tests_run=0

# report NAME: standard input holds the offences, none is fine.
report() {
    local offences
    offences=$(cat)
    tests_run=$((tests_run + 1))
    if [ -z "$offences" ]; then
        echo "[       OK ] $1"
    else
        echo "$offences"
        echo "[  FAILED  ] $1"
        tests_failed=$((tests_failed + 1))
    fi
}

sources() { # FOLDER...: their .c and .h files
    find "$@" \( -name '*.c' -o -name '*.h' \) -type f 2>/dev/null | sort
}

# only_below LAYER LOWER...: LAYER may include itself and LOWER, of all the layers.
only_below() {
    local layer=$1 allowed file
    allowed=$(IFS='|' && echo "$*")
    sources "$layer" | while read -r file; do
        grep -HnE '^ *# *include *"[a-z_]+/' "$file" |
            grep -vE "include *\"($allowed)/"
    done | report "$layer includes only $*"
}

# door HEADER PATTERN...: only files matching one of the patterns include HEADER.
door() {
    local header=$1 file pattern
    shift
    sources "${layers[@]}" | while read -r file; do
        for pattern in "$@"; do
            # shellcheck disable=SC2053 # a pattern, on purpose
            [[ $file == $pattern ]] && continue 2
        done
        grep -HnE "^ *# *include *[<\"]$header[>\"]" "$file"
    done | report "${header//\\/} is included only by $*"
}

only_below common
only_below schemas common
only_below producer schemas common
only_below consumer schemas common
only_below operate producer consumer schemas common

door jansson.h schemas/json.h
door sqlite3.h 'producer/sqlite/*' producer/library/publisher_sqlite.c 'consumer/store/sqlite/*' consumer/describe/sqlite.c 'operate/*sqlite*'
door libpq-fe.h common/postgresql_session.h
door mysql.h common/mariadb_session.h
door common/postgresql_session.h 'common/postgresql_*' 'producer/postgresql/*' 'consumer/store/postgresql/*' consumer/describe/postgresql.c
door common/mariadb_session.h 'common/mariadb_*' 'producer/mariadb/*' 'consumer/store/mariadb/*' consumer/describe/mariadb.c
door 'librdkafka/rdkafka\.h' common/kafka_client.h
door 'librdkafka/rdkafka_mock\.h' operate/broker.c
door common/kafka_client.h 'common/kafka_*' 'producer/relay/kafka_*' 'consumer/feed/*' \
    operate/broker.c operate/demo_kafka.c operate/offsets.c
door common/kafka_group.h 'common/kafka_*' 'consumer/feed/*' operate/offsets.c
door yaml.h schemas/config/yaml.c
door pcre2.h 'schemas/json_schema/*'
door microhttpd.h operate/http.c
door xxhash.h common/digest.c

mapfile -t files < <(sources "${layers[@]}" tests)

awk 'FNR == 1 { start = 0 }
    /^\{$/ { start = FNR }
    /^\}$/ && start > 0 {
        if (FNR - start + 1 > 70) print FILENAME ":" start ": " FNR - start + 1 " lines"
        start = 0
    }' "${files[@]}" | report "no function is longer than 70 lines"

wc -l "${files[@]}" | awk '$2 != "total" && $1 > 600' | report "no file is longer than 600 lines"

# Columns are characters, not bytes.
LC_ALL=C.UTF-8 grep -nE '^.{101,}' /dev/null "${files[@]}" |
    report "no line is longer than 100 columns"

awk 'FNR == 1 && !/^\/\* ?[A-Za-z"`]/ { print FILENAME ": " $0 }' "${files[@]}" |
    report "every file opens with a sentence of its purpose"

for file in "${files[@]}"; do
    [[ $file != *.h ]] || grep -qE '^#ifndef [A-Z0-9_]+_H$' "$file" || echo "$file"
done | report "every header has its guard"

# The demo plays a service that has tables and SQL of its own.
sources "${layers[@]}" | grep -v -e sqlite -e postgresql -e mariadb -e operate/demo_services.c |
    xargs -r grep -nE '"(SELECT|INSERT INTO|UPDATE [a-z%]|DELETE FROM|CREATE TABLE|DROP) ?' |
    report "SQL stands only in the back ends' files and sql folders"

grep -nE '\b(strcpy|strcat|sprintf|gets|strtok|atoi|atol)\(' /dev/null \
    $(sources "${layers[@]}") | report "no call of an unbounded or unchecked C function"

here=$(pwd -P)
[[ $here == /*/* ]] || here=/nonexistent/folder # too short to tell from other text
find . \( -name build -o -name .git -o -name node_modules -o -name target \) -prune -o \
    -type f -size -1000k -print0 |
    xargs -0 grep -nIE "(/home/[a-z]|/[U]sers/|$here\b)" |
    report "no path of a build machine"

grep -nE "[ 	]+$" "${files[@]}" | report "no white space at the end of a line"

echo "[==========] $tests_run test(s) run."
[ "$tests_failed" -eq 0 ]
