-- What a PostgreSQL server says of itself, and what a login may do. Nothing here changes anything.

-- A service's synchronous_commit=off does no harm: the relay's own commit, which waits whatever its
-- role or database has by default, takes all earlier ones to the disk before it sends. An unlogged
-- table is empty after a crash.
-- name: not_durable
SELECT string_agg(s, ', ') FROM (
  SELECT name || '=off' AS s FROM unnest('{fsync,full_page_writes}'::text[]) AS name
  WHERE current_setting(name) = 'off'
  UNION ALL SELECT relname || ' UNLOGGED' FROM pg_class WHERE relpersistence = 'u' AND oid IN (
    to_regclass('outbox'), to_regclass('keepstep_relay'), to_regclass('keepstep_relay_partition'),
    to_regclass('keepstep_relay_type'), to_regclass('keepstep_relay_moved'),
    to_regclass('keepstep_relay_read'))) AS n

-- name: look
SELECT 'product', 'PostgreSQL ' || current_setting('server_version')
UNION ALL SELECT 'clock_us', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text
UNION ALL SELECT 'connections', sum(numbackends)::text FROM pg_stat_database
UNION ALL SELECT 'connections_max', (current_setting('max_connections')::int
  - current_setting('superuser_reserved_connections')::int)::text
UNION ALL SELECT 'read_only', CASE WHEN pg_is_in_recovery() THEN 'it is a standby' ELSE '' END
UNION ALL SELECT 'journal', 'synchronous_commit=' || reset_val FROM pg_settings
  WHERE name = 'synchronous_commit'

-- Kind and name of an object, a column or nothing, a privilege.
-- name: has_right
SELECT CASE WHEN $1 = 'FUNCTION' THEN has_function_privilege(to_regprocedure($2)::oid, $4)
  WHEN $1 = 'SCHEMA' THEN has_schema_privilege(to_regnamespace($2)::oid, $4)
  WHEN $3 = '' THEN has_table_privilege(to_regclass($2)::oid, $4)
  ELSE has_column_privilege(to_regclass($2)::oid, $3, $4) END
