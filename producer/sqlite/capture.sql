-- What captures a table in SQLite. Words in braces: producer/capture/dialect.h.

-- The triggers are silent while an agent of this service writes the table.
-- name: capture_head
DROP TRIGGER IF EXISTS {name};
CREATE TRIGGER {name} AFTER {change} ON {table}
WHEN NOT EXISTS (SELECT 1 FROM keepstep_applying WHERE table_name = {text table_name})

-- name: capture_delete
{head}
BEGIN
{reserved OLD}
  {event d OLD null}
    WHERE NOT EXISTS (SELECT 1 {present OLD});
END

-- name: capture_key
{head} AND ({key_differs})
BEGIN
{reserved OLD}
{reserved NEW}
{fixed}
{null_keys}
  {event d OLD null}
    WHERE NOT EXISTS (SELECT 1 {present OLD});
  {event c null present}
    {present NEW};
END

-- name: capture_update
{head} AND NOT ({key_differs}){when_changed}
BEGIN
{reserved OLD}
{fixed}
  {event u OLD present}
    {present NEW}{if_changed};
END

-- name: capture_insert
{head}
BEGIN
{reserved NEW}
{null_keys}
  {event c null present}
    {present NEW};
END

-- A change of an entity that a joint transaction reserves fails (rule 67), also one that nothing is
-- published of. While the agent tries a transaction it looks at the reserved entities itself, by what is
-- noted here: it reserves each row that the try touches (rule 64).
-- name: capture_reserved
  SELECT RAISE(ABORT, {text reserved_message}) FROM keepstep_reserved AS r
    WHERE r.entity_type = {text entity_type} AND r.entity_key = {key}
    AND NOT EXISTS (SELECT 1 FROM keepstep_applying WHERE table_name = 'keepstep_reserved');
  INSERT INTO keepstep_touched (entity_type, entity_key) SELECT {text entity_type}, {key}
    FROM keepstep_applying WHERE table_name = 'keepstep_reserved';

-- The part `present` below reads the row as it is when the trigger runs. The change may have left it
-- otherwise: the service's own triggers run before and after this one and may change it again. If
-- they delete the row or insert it again, the trigger of that change writes an event of its own.
-- name: capture_event
INSERT INTO outbox (aggregatetype, aggregateid, type, partition_key, payload) SELECT {text entity_type}, {key}, {type}, {partition_key},
    {payload}

-- The row with the key of {row}. The index finds it by the key's collation; then the bytes are
-- compared too.
-- name: capture_present
FROM {table} AS present WHERE {same_key}

-- An update that would move the row's events to another partition fails.
-- name: capture_fixed
  SELECT RAISE(ABORT, {text fixed_message})
    WHERE {partition_differs};

-- NULL is equal to nothing, not even to NULL, so no copy could find such a row again.
-- name: capture_null_key
  SELECT RAISE(ABORT, {text null_key_message}) WHERE NEW.{column} IS NULL;

-- The existing rows: entity key, payload, partition key, then the key's columns.
-- name: capture_existing
SELECT {key}, {payload}, {partition_key}, {key_columns} FROM {table} AS t{where_behind} ORDER BY {key_columns} LIMIT {limit}

-- What the row of one key is now, and its partition key. BEGIN IMMEDIATE keeps everybody else from
-- writing.
-- name: capture_key_row
SELECT {key}, {payload} FROM {table} AS t WHERE {is_key}

-- name: capture_key_partition
SELECT {key}, {partition_key} FROM {table} AS t WHERE {is_key}

-- name: capture_noted_key
(SELECT value FROM keepstep_existing_key WHERE entity_type = {text entity_type} AND ordinal = {ordinal})

-- The table, and how many columns its primary key has.
-- name: check_table
SELECT (SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0), name FROM sqlite_schema
WHERE type = 'table' AND name = ?1 COLLATE NOCASE

-- name: check_column
SELECT pk, name FROM pragma_table_xinfo(?1) WHERE name = ?2 COLLATE NOCASE

-- name: check_unique
SELECT count(*), max(CASE origin WHEN 'u' THEN 'the constraint UNIQUE (' || columns
    || '): make the table anew without it (sqlite.org/lang_altertable.html, section 7)'
    ELSE 'index ' || name || ' of ' || columns || ': drop it, or make it anew without UNIQUE' END)
FROM (SELECT l.origin, l.name, (SELECT group_concat(coalesce(c.name, 'an expression'), ', ')
    FROM pragma_index_info(l.name) AS c) AS columns
  FROM pragma_index_list(?1) AS l WHERE l."unique" AND l.origin <> 'pk')

-- A foreign key to the own table whose action writes other rows of it.
-- name: check_cascade
SELECT count(*), max("from") FROM pragma_foreign_key_list(?1)
WHERE "table" = ?1 COLLATE NOCASE AND (on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
  OR on_update IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))
