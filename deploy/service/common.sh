# Sourced by each service: how it talks to its own database.
#   DATABASE  its SQLite file
#   INTERVAL  seconds between two rounds

: "${DATABASE:?set DATABASE to the SQLite file}" "${INTERVAL:=1}"

# UTC with six digits, the form of a date-time column.
now="strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'"

# run_sql: one script from stdin, stopped at its first error. A rollback is the end of the process.
run_sql() {
    sqlite3 -batch -bail -cmd '.timeout 5000' "$DATABASE"
}

# has_table NAME: tables of other services are there once the first of their rows may arrive.
has_table() {
    [ "$(echo "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '$1';" | run_sql)" = 1 ]
}

# create_notes: the one table that all three services write.
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

# write_note AUTHOR: everybody writes over the same few notes.
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

# forever ROUND: call it every INTERVAL seconds; one that fails is told and tried again.
forever() {
    while :; do
        "$1" || echo "round failed, going on" >&2
        sleep "$INTERVAL"
    done
}
