-- Whose rights a capture function has: those of its table's owner, who decides which code the
-- table's types, casts and policies run. Nobody else may hang it on a table, and it hangs on no
-- other than its own.

-- Behind the declarations of `sealed` (the function), `captured` (its table) and `target` (the
-- outbox). A trigger on another table that cannot be dropped does nothing: the function refuses it.
-- name: seal
  holder CONSTANT name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = captured);
  found record;
BEGIN
  FOR found IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
        ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
      FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
      WHERE p.oid = sealed AND a.grantee <> p.proowner
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', sealed, found.grantee);
  END LOOP;
  EXECUTE format('ALTER FUNCTION %s OWNER TO %I', sealed, holder);
  FOR found IN SELECT t.tgname, t.tgrelid::regclass AS relation
      FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
      WHERE t.tgfoid = sealed AND t.tgparentid = 0 AND pg_has_role(c.relowner, 'USAGE')
      AND coalesce(pg_partition_root(c.oid), c.oid) <> captured
  LOOP
    BEGIN
      EXECUTE format('DROP TRIGGER %I ON %s', found.tgname, found.relation);
    EXCEPTION WHEN lock_not_available OR feature_not_supported OR undefined_table THEN
      RAISE WARNING 'keepstep: trigger % on % is not mine and could not be dropped',
        found.tgname, found.relation;
    END;
  END LOOP;
  IF NOT has_column_privilege(holder, target, 'payload', 'INSERT') THEN
    EXECUTE format('GRANT INSERT (aggregatetype, aggregateid, type, partition_key, payload) '
      'ON %s TO %I', target, holder);
  END IF;
  FOR found IN SELECT DISTINCT n.oid::regnamespace AS name FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.oid IN (target, captured) AND NOT has_schema_privilege(holder, n.oid, 'USAGE')
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', found.name, holder);
  END LOOP;
  FOR found IN SELECT leaf FROM (SELECT captured UNION SELECT relid FROM pg_partition_tree(captured))
        AS part (leaf) WHERE NOT has_table_privilege(holder, leaf, 'SELECT')
  LOOP
    EXECUTE format('GRANT SELECT ON %s TO %I', found.leaf, holder);
  END LOOP;
END

-- The comment, and whether the function is not as `init` makes it and leaves it behind.
-- name: find_function
SELECT coalesce(obj_description(p.oid, 'pg_proc'), ''), coalesce(NOT (
  strpos($2, p.prosrc) > 0 AND p.proowner = c.relowner
    AND p.proconfig && CASE WHEN p.prosecdef THEN ARRAY['search_path=pg_catalog, pg_temp']
      ELSE ARRAY['search_path=pg_catalog, pg_temp',
        format('search_path=pg_catalog, %s, pg_temp', p.pronamespace::regnamespace)] END
    AND p.prosecdef = (strpos($2, 'SECURITY DEFINER') > 0)
    AND NOT EXISTS (
      SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
      WHERE a.grantee = 0 OR p.prosecdef AND a.grantee <> p.proowner
        AND NOT (p.proname = 'keepstep_joint_silence' AND pg_get_userbyid(a.grantee) = 'keepstep_agent'))
    AND (NOT p.prosecdef
      OR has_column_privilege(p.proowner, to_regclass('outbox'), 'payload', 'INSERT')
      AND has_schema_privilege(p.proowner, c.relnamespace, 'USAGE')
      AND has_table_privilege(p.proowner, c.oid, 'SELECT')
      AND (strpos(p.prosrc, 'keepstep_guard') = 0 OR coalesce(
        has_column_privilege(p.proowner, to_regclass('keepstep_guard'), 'bucket', 'UPDATE')
        AND has_table_privilege(p.proowner, to_regclass('keepstep_guard'), 'SELECT')
        AND has_table_privilege(p.proowner, to_regclass('keepstep_reserved'), 'SELECT')
        AND has_column_privilege(p.proowner, to_regclass('keepstep_touched'), 'entity_key', 'INSERT'),
        false))
      AND NOT EXISTS (SELECT 1 FROM pg_partition_tree(c.oid)
        WHERE NOT has_table_privilege(p.proowner, relid, 'SELECT'))
      AND NOT EXISTS (SELECT 1 FROM pg_trigger AS t JOIN pg_class AS o ON o.oid = t.tgrelid
        WHERE t.tgfoid = p.oid AND t.tgparentid = 0 AND pg_has_role(o.relowner, 'USAGE')
        AND coalesce(pg_partition_root(o.oid), o.oid) <> c.oid))), true)
FROM pg_proc AS p LEFT JOIN pg_class AS c ON c.oid = to_regclass($3)
WHERE p.proname = $1 AND p.pronamespace = coalesce((SELECT o.relnamespace FROM pg_class AS o
  WHERE o.oid = to_regclass('outbox')), current_schema()::regnamespace)

-- The table's owner, whether a function may be given to it, the outbox's owner, and whether that
-- one, whose triggers would run with the rights of the table's owner, has them anyhow.
-- name: check_owner
SELECT quote_ident(pg_get_userbyid(c.relowner)), (c.relowner = m.oid OR m.rolsuper
  OR has_schema_privilege(c.relowner, current_schema(), 'CREATE') AND
    pg_has_role(c.relowner, CASE WHEN current_setting('server_version_num')::integer < 160000
      THEN 'MEMBER' ELSE 'SET' END))::integer,
  quote_ident(current_schema()), quote_ident(pg_get_userbyid(coalesce(o.relowner, m.oid))),
  pg_has_role(coalesce(o.relowner, m.oid), c.relowner, 'USAGE')::integer
FROM pg_class AS c JOIN pg_roles AS m ON m.rolname = current_user
LEFT JOIN pg_class AS o ON o.oid = to_regclass('outbox')
WHERE c.oid = to_regclass($1)

-- name: describe_table
SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)
