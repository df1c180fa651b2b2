#!/usr/bin/env bash
# Checks the rules of the source tree that no compiler checks. It prints what a test program prints.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export LC_ALL=C
shopt -s lastpipe # report() counts at the end of a pipe

layers=(common schemas producer consumer operate)
tests_failed=0
tests_run=0

# report NAME: fails if standard input names offences.
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

# only_below LAYER LOWER...: of all layers, LAYER includes only itself and LOWER.
only_below() {
    local allowed
    allowed=$(IFS='|' && echo "$*")
    sources "$1" | xargs grep -HnE '^ *# *include *"[a-z_]+/' |
        grep -vE "include *\"($allowed)/" | report "$1 includes only $*"
}

# inside FOLDER HEADER...: which headers of their own layer FOLDER's files may include: FOLDER's, and
# those that match a HEADER, a regular expression. Files of folders in FOLDER are not checked.
inside() {
    local folder=$1 layer=${1%%/*} allowed
    shift
    allowed=$(IFS='|' && echo "$folder/[a-z_]+\\.h${*:+|$*}")
    find "$folder" -maxdepth 1 -name '*.[ch]' -exec \
        grep -HnE "^ *# *include *\"$layer/" /dev/null {} + |
        grep -vE "include *\"($allowed)\"" |
        report "of $layer, the files in $folder include only ${*:-their own}"
}

# only_in TEXT PATTERN...: prints lines that match TEXT, a regular expression, outside the files that
# match a pattern.
only_in() {
    local text=$1 line pattern
    shift
    sources "${layers[@]}" | xargs grep -HnE "$text" | while IFS= read -r line; do
        for pattern in "$@"; do
            # shellcheck disable=SC2053 # a pattern, on purpose
            [[ ${line%%:*} == $pattern ]] && continue 2
        done
        echo "$line"
    done
}

# door HEADER PATTERN...: only files matching one of the patterns include HEADER.
door() {
    local header=$1
    shift
    only_in "^ *# *include *[<\"]$header[>\"]" "$@" |
        report "${header//\\/} is included only by $*"
}

# one_knows NAMES PATTERN...: only files matching one of the patterns use NAMES.
one_knows() {
    local names=$1
    shift
    only_in "\\b($names)\\b" "$@" | report "$names is named only in $*"
}

only_below common
only_below schemas common
only_below producer schemas common
only_below consumer schemas common
only_below operate producer consumer schemas common

# The folders of a layer, from the bottom up. Two back ends never include each other.
inside schemas/json_schema schemas/json.h
inside schemas/record 'schemas/(change|json|json_schema/json_schema)\.h'
inside schemas/config 'schemas/(json|json_schema/json_schema|record/format)\.h'
inside schemas 'schemas/json_schema/json_schema\.h' 'schemas/record/(format|value)\.h' \
    'schemas/config/config\.h'

inside consumer
inside consumer/describe
inside consumer/store
for store in sqlite postgresql mariadb; do
    inside consumer/store/$store 'consumer/store/(sql/)?[a-z_]+\.h' 'consumer/joint/joint\.h'
done
inside consumer/store/memory 'consumer/store/[a-z_]+\.h'
[ ! -d consumer/store/sql ] || inside consumer/store/sql 'consumer/store/[a-z_]+\.h' \
    'consumer/joint/joint\.h'
inside consumer/feed 'consumer/store/store\.h'
inside consumer/joint 'consumer/metrics\.h' 'consumer/feed/feed\.h' 'consumer/store/(store|registry)\.h'
inside consumer/apply 'consumer/metrics\.h' 'consumer/store/[a-z_]+\.h'
inside consumer/agent 'consumer/metrics\.h' 'consumer/(feed/(feed|rows_reader)|apply/(applier|large)|fill/loader)\.h' \
    'consumer/store/(store|registry)\.h'

inside producer 'producer/(init/origin|outbox/outbox|source/source)\.h'
inside producer/library
inside producer/sql
inside producer/outbox producer/sql/session.h
inside producer/source producer/sql/session.h
inside producer/capture producer/init/origin.h producer/registry.h
for database in sqlite postgresql mariadb; do
    inside producer/$database 'producer/(sql/session|(outbox|source)/sql|init/origin_sql|capture/(capture|check|dialect))\.h'
done
inside producer/relay 'producer/(outbox/outbox|capture/watch|registry)\.h'
inside producer/init 'producer/(capture/(capture|dialect)|registry|sql/session)\.h' 'producer/relay/kafka_[a-z_]+\.h'

door consumer/store/registry.h consumer/store/registry.c consumer/agent/agent.c 'consumer/joint/*' 'operate/*'
for database in sqlite postgresql mariadb memory; do
    one_knows "store_${database}_ops" 'consumer/store/registry.*' "consumer/store/$database/*"
done
for database in sqlite postgresql mariadb; do
    one_knows "(outbox|origin|source)_${database}_ops" 'producer/registry.*' "producer/$database/*"
done

# No other layer includes the internal headers of a folder.
grep -nE '^ *# *include *"(consumer|producer)/([a-z_]+/)*([a-z]+_)?internal\.h"' /dev/null \
    $(sources operate bench) | report "no internal header is included from another layer"

one_knows EX_CONFIG common/status.c operate/manual/manual.c
door jansson.h schemas/json.h
door sqlite3.h common/sqlite_session.h 'producer/library/*_sqlite.c'
door libpq-fe.h common/postgresql_session.h
door mysql.h common/mariadb_session.h
door common/postgresql_session.h 'common/postgresql_*' 'producer/postgresql/*' 'consumer/store/postgresql/*' consumer/describe/postgresql.c
door common/sqlite_session.h 'common/sqlite_*' 'producer/sqlite/*' 'consumer/store/sqlite/*' consumer/describe/sqlite.c 'operate/*sqlite*'
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

# The demo's services have tables and SQL of their own.
sources "${layers[@]}" | grep -v -e sqlite -e postgresql -e mariadb -e operate/demo_services.c \
    -e operate/demo_joint.c |
    xargs -r grep -nE '"(SELECT|INSERT INTO|UPDATE [a-z%]|DELETE FROM|CREATE TABLE|DROP) ?' |
    report "SQL stands only in the back ends' files and sql folders"

grep -nE '\b(strcpy|strcat|sprintf|gets|strtok|atoi|atol)\(' /dev/null \
    $(sources "${layers[@]}") | report "no call of an unbounded or unchecked C function"

here=$(pwd -P)
[[ $here == /*/* ]] || here=/nonexistent/folder # a path this short could be other text
find . \( -name build -o -name .git -o -name node_modules -o -name target \) -prune -o \
    -type f -size -1000k -print0 |
    xargs -0 grep -nIE "(/home/[a-z]|/[U]sers/|$here\b)" |
    report "no path of a build machine"

# libmicrohttpd dictates http_handle().
{
    awk -v dictated=http_handle -f tests/tidy/parameters.awk $(sources "${layers[@]}") ||
        echo "parameters.awk failed"
} | report "no function has more than five parameters"

# Not SQL: each database's statements are read by themselves, in its own dialect.
{
    find consumer/store/{sqlite,postgresql,mariadb,memory} \
        producer/{sqlite,postgresql,mariadb} -name '*.[ch]' | sort |
        xargs awk -f tests/tidy/twice.awk || echo "twice.awk failed"
} | report "no six lines stand in two back ends"

# One name for one thing in all JSON. What `keepstep config` prints are the configuration's own keys.
mapfile -t printing < <(sources operate | grep -vx operate/config_command.c)
{
    awk -f tests/tidy/json_names.awk docs/JSON.md "${printing[@]}" || echo "json_names.awk failed"
} | report "what is printed as JSON has the names of docs/JSON.md"

# The page's empty list has names that it has elsewhere.
grep -nE 'buffer_append_(text|format)\(.*\\"[a-z0-9_]+\\":' "${printing[@]}" |
    grep -vF '{\"records\":[],' | report "names in JSON are written by operate/member.c"

grep -nE "[ 	]+$" "${files[@]}" | report "no white space at the end of a line"

# Else a program would miss the runs that are meant for it.
grep -nE '^(/\*| \*).*labels:' tests/{unit,conformance,e2e}/*.c |
    grep -vE 'labels: (early|alone|threads) ?(\*/)?$' |
    report "labels are known, and stand on one line"

echo "[==========] $tests_run test(s) run."
[ "$tests_failed" -eq 0 ]
