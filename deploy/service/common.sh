# Each service sources this file. It has what all services do with their databases.
#   DATABASE  its SQLite file
#   INTERVAL  seconds between two rounds

: "${DATABASE:?set DATABASE to the SQLite file}" "${INTERVAL:=1}"

# The current time in UTC with six digits, as a date-time column holds it.
now="strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'"

# run_sql: runs a script from stdin and stops at its first error. Then the process ends, which rolls
# the transaction back.
run_sql() {
    sqlite3 -batch -bail -cmd '.timeout 5000' "$DATABASE"
}

# has_table NAME: a copy of another service's table exists once its first rows may arrive.
has_table() {
    [ "$(echo "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '$1';" | run_sql)" = 1 ]
}

# create_notes: makes the table that all three services write.
create_notes() {
    run_sql <<SQL
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS notes (
    id         TEXT NOT NULL PRIMARY KEY,
    author     TEXT NOT NULL,
    body       TEXT NOT NULL,
    written_at TEXT NOT NULL
);
SQL
}

# write_note AUTHOR: writes one of three notes. All services write the same ones.
write_note() {
    run_sql <<SQL
BEGIN IMMEDIATE;
INSERT INTO notes (id, author, body, written_at)
VALUES ('board-' || abs(random() % 3), '$1', 'seen by $1', $now)
ON CONFLICT (id) DO UPDATE SET author = excluded.author, body = excluded.body,
                               written_at = excluded.written_at;
COMMIT;
SQL
}

# forever ROUND: calls ROUND, then waits INTERVAL seconds, again and again. A failure is printed.
forever() {
    while :; do
        "$1" || echo "this round failed; the next one follows" >&2
        sleep "$INTERVAL"
    done
}
