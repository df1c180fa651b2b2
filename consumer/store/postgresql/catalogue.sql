-- What the catalogue says of a table that an entity type is mapped to.
-- name: catalogue_lock
SELECT pg_advisory_xact_lock(7310310985321447211)
-- Whether it is a table; the name of its engine, if that has no transactions. 2: the name stands for a
-- table that a snapshot does not know, because it was made later.
-- name: table_read
SELECT CASE WHEN c.oid IS NULL THEN 2 ELSE (c.relkind IN ('r', 'p'))::int END, ''
FROM (SELECT to_regclass($1)::oid) AS named(oid) LEFT JOIN pg_class c ON c.oid = named.oid
WHERE named.oid IS NOT NULL
-- Whether a column's table and the column itself are there, the schema and table that a name stands
-- for, and where the column was kept before. With a dot in it a table's name is schema and table,
-- unless an entity type's own name has it.
-- name: table_place
SELECT (c.oid IS NOT NULL)::int, (a.attname IS NOT NULL)::int,
    concat_ws('.', coalesce(n.nspname, CASE WHEN $1::text NOT LIKE '%.%' THEN current_schema() END),
              coalesce(c.relname, $1), $2::text), m.value
FROM (SELECT coalesce(to_regclass(quote_ident(nullif($1::text, ''))),
    to_regclass(quote_ident(nullif(substring($1::text FROM '^([^.]*)[.]'), '')) || '.' ||
                quote_ident(nullif(substring($1::text FROM '[.](.*)$'), ''))))::oid) AS relation(oid)
LEFT JOIN pg_class c ON c.oid = relation.oid
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = relation.oid AND a.attname = $2::text
    AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN keepstep_meta m ON m.key = $3::text
-- Each column: its name, whether an INSERT must give it, whether it is generated, its type as it is
-- declared, the type's name and modifier, and whether it compares bytewise.
-- name: table_columns
SELECT a.attname::text,
    (a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '')::int,
    (a.attgenerated <> '')::int, format_type(a.atttypid, a.atttypmod), t.typname::text,
    a.atttypmod::bigint, coalesce(c.collisdeterministic, true)::int
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
-- Whether some unique index is exactly the key of $1 columns, $2 as a JSON array.
-- name: table_key
SELECT 1, 0 FROM pg_index i
WHERE i.indrelid = to_regclass($3) AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = $1::bigint
    AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C")
         FROM pg_attribute a WHERE a.attrelid = i.indrelid
            AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
        = (SELECT array_agg(name ORDER BY name COLLATE "C")
           FROM jsonb_array_elements_text($2::text::jsonb) name)
LIMIT 1
-- Whether any rows change with those of the table $1, and by which foreign key rows of a copy do,
-- also by way of other tables. $2 is its key and $3 are the tables of the copies, as JSON arrays. A
-- deleted row deletes its children (d) or changes them (u). The agent changes no key.
-- name: catalogue_order
WITH RECURSIVE own(oid) AS (SELECT to_regclass($1)::oid),
copy(oid) AS (SELECT to_regclass(name)::oid FROM jsonb_array_elements_text($3::text::jsonb) AS name),
edge AS (
    SELECT conname, conrelid AS child, confrelid AS parent, 'd' AS upon,
        CASE confdeltype WHEN 'c' THEN 'd' ELSE 'u' END AS becomes, false AS of_key
    FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0 AND confdeltype IN ('c', 'n', 'd')
    UNION ALL
    SELECT conname, conrelid, confrelid, 'u', 'u', confrelid = own.oid AND NOT EXISTS (
        SELECT 1 FROM pg_attribute a WHERE a.attrelid = confrelid AND a.attnum = ANY (confkey)
            AND a.attname NOT IN (SELECT jsonb_array_elements_text($2::text::jsonb)))
    FROM pg_constraint, own
    WHERE contype = 'f' AND conparentid = 0 AND confupdtype IN ('c', 'n', 'd')),
reached(relid, change) AS (
    SELECT child, becomes FROM edge, own WHERE parent = own.oid AND NOT of_key
    UNION
    SELECT e.child, e.becomes FROM reached r JOIN edge e ON e.parent = r.relid AND e.upon = r.change),
last AS (
    SELECT e.conname::text, e.child::regclass::text AS child, e.parent::regclass::text AS parent
    FROM edge e, own
    WHERE e.child IN (SELECT oid FROM copy)
        AND ((e.parent = own.oid AND NOT e.of_key)
             OR EXISTS (SELECT 1 FROM reached r WHERE r.relid = e.parent AND r.change = e.upon))
    LIMIT 1)
SELECT (EXISTS (SELECT 1 FROM reached) OR EXISTS (
        SELECT 1 FROM pg_trigger t
        WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgname NOT LIKE '00\_keepstep\_%'
            AND t.tgrelid IN (SELECT oid FROM own
                              UNION SELECT relid FROM own, pg_partition_tree(own.oid)))
    OR EXISTS (SELECT 1 FROM pg_rewrite, own WHERE ev_class = own.oid))::int,
    coalesce((SELECT conname FROM last), ''), coalesce((SELECT child FROM last), ''),
    coalesce((SELECT parent FROM last), ''),
    (SELECT count(*) FROM pg_attribute a, own WHERE a.attrelid = own.oid AND a.attnum > 0
        AND NOT a.attisdropped AND a.attgenerated = '')
-- An enum is its label.
-- name: describe_columns
SELECT a.attname, CASE t.typtype WHEN 'e' THEN 'text' ELSE t.typname END, a.atttypmod,
    a.attnotnull::int, (i.indexrelid IS NOT NULL)::int, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
