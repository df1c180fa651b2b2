-- The statements on a local copy; consumer/store/sql/table.h says how they are filled in. One takes
-- a whole run: an array of each column's values.
-- name: table_create
CREATE TABLE IF NOT EXISTS {table}({all||@ %, }PRIMARY KEY ({key|, |@}))
-- name: table_widen
ALTER TABLE {table} ADD COLUMN {added||@ %}
-- name: row_upsert
INSERT INTO {table}({bound|, |@}) OVERRIDING SYSTEM VALUE SELECT {bound|, |#} FROM {rows}
ON CONFLICT ({key|, |@}) DO UPDATE SET {others|, |@ = excluded.@}
-- name: row_upsert_key
INSERT INTO {table}({bound|, |@}) OVERRIDING SYSTEM VALUE SELECT {bound|, |#} FROM {rows}
ON CONFLICT ({key|, |@}) DO NOTHING
-- name: row_insert
INSERT INTO {table}({bound|, |@}) OVERRIDING SYSTEM VALUE SELECT {bound|, |#} FROM {rows}
-- name: row_copy
COPY {table}({all|, |@}) FROM STDIN (FORMAT binary)
-- name: row_update
UPDATE {table} AS kept SET {others|, |@ = #} FROM {rows} WHERE {key| AND |kept.@ = #}
-- name: row_update_key
SELECT 1 FROM {table} AS kept, {rows} WHERE {key| AND |kept.@ = #}
-- name: row_delete
DELETE FROM {table} AS kept USING {rows} WHERE {key| AND |kept.@ = #}
-- The first rows, so many, in a range of blocks: what is dead in front of it is not read again. A transaction that
-- began with the first rows each time would.
-- name: table_clear
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM {table} WHERE ctid >= '({from},0)' AND ctid < '({to},0)' LIMIT {limit}))
-- How many blocks the table has, or the largest of its partitions.
-- name: table_blocks
SELECT (greatest(pg_relation_size($keepstep${table}$keepstep$), (SELECT max(pg_relation_size(relid))
  FROM pg_partition_tree($keepstep${table}$keepstep$))) / current_setting('block_size')::bigint + 1)::text, ''
-- name: table_keep
LOCK TABLE {table} IN ROW SHARE MODE
-- When the server has last read this statement: 'now' is a constant from then. It reads it anew once
-- something of the table is another thing: a column, a trigger, an index, a constraint, also one of a table
-- that names it. So nobody looks at the catalogue. Of partitions and functions that tells nothing.
-- name: table_version
SELECT ((extract(epoch FROM timestamptz 'now') * 1000000)::bigint
  # (to_regclass($1)::oid::bigint << 20))::text, '' WHERE NOT EXISTS (SELECT FROM {table} WHERE false)
-- Behind a query of rows by key, and what lets it wait: not as long as deadlock_timeout, which is 1 s.
-- name: row_lock
FOR NO KEY UPDATE OF t
-- name: row_patience
SET LOCAL lock_timeout = '500ms'
