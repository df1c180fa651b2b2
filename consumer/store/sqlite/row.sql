-- The statements on a local copy; consumer/store/sql/table.h says how they are filled in.
-- name: table_create
CREATE TABLE IF NOT EXISTS {table}({all||@ %, }PRIMARY KEY ({key|, |@}))
-- name: table_widen
ALTER TABLE {table} ADD COLUMN {added||@ %}
-- name: row_upsert
INSERT INTO {table}({bound|, |@}) VALUES ({bound|, |#})
ON CONFLICT ({key|, |@}) DO UPDATE SET {others|, |@ = excluded.@}
-- name: row_upsert_key
INSERT INTO {table}({bound|, |@}) VALUES ({bound|, |#}) ON CONFLICT ({key|, |@}) DO NOTHING
-- name: row_insert
INSERT INTO {table}({bound|, |@}) VALUES ({bound|, |#})
-- name: row_update
UPDATE {table} SET {others|, |@ = #} WHERE {key| AND |@ = #}
-- name: row_update_key
UPDATE {table} SET {first||@ = @} WHERE {key| AND |@ = #}
-- name: row_delete
DELETE FROM {table} WHERE {key| AND |@ = #}
-- Any rows, so many.
-- name: table_clear
DELETE FROM {table} WHERE ({key|, |@}) IN (SELECT {key|, |@} FROM {table} LIMIT {limit})
