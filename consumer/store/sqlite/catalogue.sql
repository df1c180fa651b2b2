-- What the catalogue says of a table that an entity type is mapped to.
-- Whether it is a table; the name of its engine, if that has no transactions.
-- name: table_read
SELECT type = 'table', '' FROM sqlite_master
WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')
-- Whether a column's table and the column itself are there, what the catalogue calls them or would,
-- and where it was kept before.
-- name: table_place
SELECT t.name IS NOT NULL, c.name IS NOT NULL,
    coalesce(t.name, ?1) || '.' || coalesce(c.name, ?2),
    (SELECT value FROM keepstep_meta WHERE key = ?3)
FROM (SELECT 1) LEFT JOIN sqlite_master t
    ON t.name = ?1 COLLATE NOCASE AND t.type IN ('table', 'view')
LEFT JOIN pragma_table_xinfo(?1) c ON c.name = ?2 COLLATE NOCASE
-- Another number once any table, index or trigger was made, altered or dropped.
-- name: catalogue_version
PRAGMA schema_version
-- name: catalogue_deferred
SELECT 1 FROM sqlite_master WHERE sql LIKE '%DEFERRED%' LIMIT 1
-- Each column: its name, whether an INSERT must give it, whether it is generated, its type, and
-- whether its table is STRICT.
-- name: table_columns
SELECT name, "notnull" = 1 AND dflt_value IS NULL AND hidden = 0
        AND NOT (pk > 0 AND upper(type) = 'INTEGER'), hidden <> 0, type,
    (SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE)
FROM pragma_table_xinfo(?1)
-- Whether some unique index is exactly the key of ?1 columns, ?2 as a JSON array. A rowid alias has
-- no index of its own.
-- name: table_key
SELECT 1, 0 FROM pragma_index_list(?3) il
WHERE il."unique" = 1 AND il.partial = 0
    AND (SELECT count(*) FROM pragma_index_xinfo(il.name) x WHERE x.key = 1) = ?1
    AND (SELECT count(*) FROM pragma_index_xinfo(il.name) x
         WHERE x.key = 1 AND upper(x.coll) = 'BINARY'
             AND lower(x.name) IN (SELECT lower(value) FROM json_each(?2))) = ?1
UNION ALL
SELECT 1, 0 FROM pragma_table_xinfo(?3) c
WHERE c.pk = 1 AND upper(c.type) = 'INTEGER' AND ?1 = 1
    AND (SELECT count(*) FROM pragma_table_xinfo(?3) WHERE pk > 0) = 1
    AND lower(c.name) IN (SELECT lower(value) FROM json_each(?2))
LIMIT 1
-- Whether any rows change with those of the table ?1, and by which foreign key rows of a copy do,
-- also by way of other tables. ?2 is its key and ?3 are the tables of the copies, as JSON arrays. A
-- deleted row deletes its children (d) or changes them (u). The agent changes no key.
-- name: catalogue_order
WITH RECURSIVE
copy(name) AS (SELECT lower(value) FROM json_each(?3)),
edge(parent, child, upon, becomes, of_key) AS (
    SELECT lower(f."table"), m.name, 'd', iif(f.on_delete = 'CASCADE', 'd', 'u'), 0
    FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
    WHERE m.type = 'table' AND f.on_delete NOT IN ('NO ACTION', 'RESTRICT')
    UNION
    SELECT lower(f."table"), m.name, 'u', 'u', lower(f."table") = lower(?1) AND
        NOT EXISTS (SELECT 1 FROM pragma_foreign_key_list(m.name) c
                    WHERE c.id = f.id AND lower(coalesce(c."to",
                        (SELECT p.name FROM pragma_table_info(f."table") p WHERE p.pk = c.seq + 1)))
                        NOT IN (SELECT lower(value) FROM json_each(?2)))
    FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
    WHERE m.type = 'table' AND f.on_update NOT IN ('NO ACTION', 'RESTRICT')),
reached(name, change) AS (
    SELECT lower(child), becomes FROM edge WHERE parent = lower(?1) AND NOT of_key
    UNION
    SELECT lower(e.child), e.becomes FROM reached r
    JOIN edge e ON e.parent = r.name AND e.upon = r.change),
last(child, parent) AS (
    SELECT child, parent FROM edge e
    WHERE lower(child) IN (SELECT name FROM copy)
        AND ((parent = lower(?1) AND NOT of_key)
             OR EXISTS (SELECT 1 FROM reached r WHERE r.name = e.parent AND r.change = e.upon))
    LIMIT 1)
SELECT EXISTS (SELECT 1 FROM reached) OR EXISTS (
        SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
            AND name NOT LIKE 'keepstep\_%' ESCAPE '\'),
    '', coalesce((SELECT child FROM last), ''), coalesce((SELECT parent FROM last), ''),
    (SELECT count(*) FROM pragma_table_info(?1))
