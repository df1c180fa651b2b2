-- The statements on a local copy; consumer/store/sql/table.h says how they are filled in.
-- name: table_create
CREATE TABLE IF NOT EXISTS {table}({all||@ %, }PRIMARY KEY ({key|, |@}))
ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
-- name: table_widen
ALTER TABLE {table} ADD COLUMN {added||@ %}
-- A unique index that the table got since it was prepared may find another entity's row. The key,
-- which is NOT NULL, then becomes an error instead.
-- name: row_upsert
INSERT INTO {table}({bound|, |@}) VALUES ({bound|, |#}) ON DUPLICATE KEY UPDATE
{first||@} = CASE WHEN {key| AND |@ = VALUES(@)} THEN {first||@} ELSE NULL END
{others||, @ = VALUES(@)}
-- name: row_insert
INSERT INTO {table}({bound|, |@}) VALUES ({bound|, |#})
-- name: row_update
UPDATE {table} SET {others|, |@ = #} WHERE {key| AND |@ = #}
-- name: row_update_key
UPDATE {table} SET {first||@ = @} WHERE {key| AND |@ = #}
-- name: row_delete
DELETE FROM {table} WHERE {key| AND |@ = #}
-- The first rows, so many.
-- name: table_clear
DELETE FROM {table} ORDER BY {key|, |@} LIMIT {limit}
-- Which of many keys are there; their rows are locked.
-- name: row_find
SELECT {key|, |@} FROM {table} WHERE {rows} FOR UPDATE
-- name: table_keep
DO (SELECT 1 FROM {table} LIMIT 0)
-- In and behind a query of rows by key. A plan that reads the table would wait for other rows too.
-- name: row_index
FORCE INDEX (PRIMARY)
-- name: row_lock
FOR UPDATE WAIT 1
