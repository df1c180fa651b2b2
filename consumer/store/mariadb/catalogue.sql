-- What the catalogue says of a table that an entity type is mapped to, and of the server.
-- name: catalogue_server
SELECT @@max_allowed_packet
-- How many definitions of tables the server has opened. A table's is opened anew after any change of it, of its
-- indexes or its triggers, and that of a table that names it before any row of it is written. So, behind
-- table_keep, the same number means the same table. Only what named it may be gone.
-- name: catalogue_version
SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status
WHERE variable_name = 'OPENED_TABLE_DEFINITIONS'
-- Whether it is a table; the name of its engine, if that has no transactions.
-- name: table_read
SELECT table_type NOT LIKE '%VIEW%', if(coalesce(engine, 'InnoDB') = 'InnoDB', '', engine)
FROM information_schema.tables WHERE table_schema = database() AND table_name = ?1
-- Whether a column's table and the column itself are there, what the catalogue calls them or would,
-- and where it was kept before.
-- name: table_place
SELECT table_name IS NOT NULL, column_name IS NOT NULL,
    concat(coalesce(table_name, ?1), '.', coalesce(column_name, ?2)), value
FROM (SELECT
    (SELECT table_name FROM information_schema.tables
     WHERE table_schema = database() AND table_name = ?1 LIMIT 1) AS table_name,
    (SELECT column_name FROM information_schema.columns
     WHERE table_schema = database() AND table_name = ?1 AND column_name = ?2 LIMIT 1) AS column_name,
    (SELECT value FROM keepstep_meta WHERE `key` = ?3) AS value) AS place
-- Each column: its name, whether an INSERT must give it, whether it is generated, its type as it is
-- declared, the type's name, and what limits its values.
-- name: table_columns
SELECT column_name, is_nullable = 'NO' AND column_default IS NULL AND is_generated = 'NEVER'
        AND extra NOT LIKE '%auto_increment%',
    is_generated = 'ALWAYS', column_type, data_type, is_nullable = 'YES',
    coalesce(character_maximum_length, 0), coalesce(character_octet_length, 0),
    coalesce(numeric_precision, 0), coalesce(numeric_scale, 0), coalesce(datetime_precision, 0),
    coalesce(character_set_name, ''), coalesce(collation_name, ''), lower(extra)
FROM information_schema.columns WHERE table_schema = database() AND table_name = ?1
-- How many unique indexes are exactly the key of so many columns, a JSON array, and how many are
-- not. A column that is indexed in part, or that may be NULL, makes no key.
-- name: table_key
SELECT coalesce(sum(is_key), 0), coalesce(sum(NOT is_key), 0)
FROM (SELECT count(*) = ?1 AND min(sub_part IS NULL AND nullable <> 'YES'
            AND json_contains(lower(?2), json_quote(lower(column_name)))) AS is_key
    FROM information_schema.statistics
    WHERE table_schema = database() AND table_name = ?3 AND non_unique = 0
    GROUP BY index_name) AS unique_index
-- name: catalogue_cascade
SELECT constraint_name, table_name, referenced_table_name
FROM information_schema.referential_constraints
WHERE constraint_schema = database() AND (table_name = ?1 OR referenced_table_name = ?1)
    AND (update_rule NOT IN ('RESTRICT', 'NO ACTION') OR delete_rule NOT IN ('RESTRICT', 'NO ACTION'))
LIMIT 1
-- Triggers that are not Keepstep's, as far as the role may see them, and what `init` saw.
-- name: catalogue_order
SELECT (SELECT count(*) FROM information_schema.triggers
        WHERE event_object_schema = database() AND event_object_table = ?1
            AND trigger_name NOT LIKE 'keepstep\_%'),
    coalesce((SELECT value FROM keepstep_meta WHERE `key` = ?2), ''),
    (SELECT count(*) FROM information_schema.columns WHERE table_schema = database()
        AND table_name = ?1 AND is_generated = 'NEVER')
-- name: catalogue_insert_triggers
SELECT count(*) FROM information_schema.triggers
WHERE event_object_schema = database() AND event_object_table = ?1 AND action_timing = 'BEFORE'
    AND event_manipulation = 'INSERT'
-- A table as a schema would have it; a JSON column is a text with a check.
-- name: describe_columns
SELECT c.column_name, c.data_type, c.column_type, coalesce(c.character_maximum_length, 0),
    coalesce(c.numeric_precision, 0), coalesce(c.numeric_scale, 0), c.is_nullable = 'YES',
    c.column_key = 'PRI', EXISTS (SELECT 1 FROM information_schema.check_constraints k
        WHERE k.constraint_schema = c.table_schema AND k.table_name = c.table_name
            AND k.check_clause = concat('json_valid(`', c.column_name, '`)'))
FROM information_schema.columns c
WHERE c.table_schema = database() AND c.table_name = ? ORDER BY c.ordinal_position
