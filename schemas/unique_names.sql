-- The secondary unique indexes of a table in PostgreSQL, for what captures it and for what promises its
-- values (rule 64): the index; why its values have no names, NULL where they have; the name of {row}'s values,
-- NULL where they keep nobody out; the columns that it reads; and whether the table's trigger looks for it.
-- A name is equal exactly where the index finds values equal.
-- name: unique_names_postgresql
WITH part(oid) AS (
    SELECT to_regclass($1)::oid UNION SELECT relid::oid FROM pg_partition_tree(to_regclass($1))),
unique_index AS (
    SELECT i.indexrelid, i.indrelid, i.indpred, i.indnkeyatts, i.indkey::smallint[] AS keys,
        i.indclass::oid[] AS classes, i.indcollation::oid[] AS collations, c.relname AS name,
        to_jsonb(i) ->> 'indnullsnotdistinct' IS NOT DISTINCT FROM 'true' AS nulls_collide
    FROM pg_index AS i JOIN part ON part.oid = i.indrelid JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indisunique AND NOT i.indisprimary
    AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid)),
key_column AS (
    SELECT i.indexrelid, n, a.attname, CASE
        WHEN b.typnamespace <> 'pg_catalog'::regnamespace OR a.attgenerated = 'v' OR NOT o.opcdefault
            OR NOT coalesce(l.collisdeterministic, true) THEN NULL
        WHEN b.typname IN ('int2', 'int4', 'int8', 'bool', 'uuid', 'text', 'varchar', 'date', 'time',
            'timestamp')
            THEN 'to_json({row}.%I)'
        WHEN b.typname = 'timestamptz' THEN 'to_json({row}.%I AT TIME ZONE ''UTC'')'
        WHEN b.typname = 'numeric' THEN 'to_json(trim_scale({row}.%I))'
        WHEN b.typname = 'bytea' THEN 'to_json(encode({row}.%I, ''hex''))' END AS form
    FROM unique_index AS i CROSS JOIN generate_series(0, i.indnkeyatts - 1) AS n
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.keys[n]
    LEFT JOIN pg_type AS y ON y.oid = a.atttypid
    LEFT JOIN pg_type AS b ON b.oid = CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END
    LEFT JOIN pg_opclass AS o ON o.oid = i.classes[n]
    LEFT JOIN pg_collation AS l ON l.oid = i.collations[n]),
named AS (
    SELECT i.indexrelid, i.indrelid, i.name, CASE
        WHEN i.indrelid <> to_regclass($1) THEN 'is one of a partition alone'
        WHEN i.indpred IS NOT NULL THEN 'has a condition'
        WHEN bool_or(k.attname IS NULL) THEN 'is of an expression'
        WHEN concat(i.name, string_agg(k.attname, '')) ~ '[{}$]' THEN 'has a brace or a dollar in a name'
        WHEN bool_or(k.form IS NULL) THEN 'does not compare bytewise: '
            || string_agg(k.attname, ', ' ORDER BY k.n) FILTER (WHERE k.form IS NULL) END AS reason,
        format(CASE WHEN i.nulls_collide THEN 'CASE WHEN true THEN %2$s END'
                ELSE 'CASE WHEN %s THEN %s END' END,
            string_agg(format('{row}.%I IS NOT NULL', coalesce(k.attname, '')), ' AND ' ORDER BY k.n),
            format('json_build_array(%L, %s)::text', i.name,
                string_agg(format(k.form, coalesce(k.attname, '')), ', ' ORDER BY k.n))) AS value,
        string_agg(format('{row}.%I IS NULL', coalesce(k.attname, '')), ', ' ORDER BY k.n) AS read
    FROM unique_index AS i JOIN key_column AS k ON k.indexrelid = i.indexrelid
    GROUP BY i.indexrelid, i.indrelid, i.name, i.indpred, i.nulls_collide)
SELECT name, reason, value, read, (EXISTS (SELECT FROM pg_trigger AS t
    JOIN pg_proc AS f ON f.oid = t.tgfoid WHERE t.tgrelid = to_regclass($1) AND t.tgenabled = 'A'
    AND position(replace(value, '{row}', 'NEW') IN f.prosrc) > 0))::int
FROM named ORDER BY name
