-- What `keepstep init` creates in a service's PostgreSQL database. The comment on an object says
-- that it is Keepstep's.

-- Printed before everything else, so that nothing is made beside another's outbox. What is there
-- already is no news where all of it is run again.
-- name: guard
SET client_min_messages = warning;
DO $keepstep$
BEGIN
  IF to_regclass('outbox') IS NOT NULL
      AND coalesce(obj_description(to_regclass('outbox'), 'pg_class'), '') NOT LIKE 'Keepstep%' THEN
    RAISE EXCEPTION 'the database has a table named outbox that Keepstep did not make: rename it';
  END IF;
END
$keepstep$

-- Where a row is given no id, the relay derives one from its position and created_at.
-- name: create_outbox
CREATE TABLE IF NOT EXISTS outbox (
  position bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
  id text COLLATE "C",
  aggregatetype text COLLATE "C" NOT NULL,
  aggregateid text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  payload text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  traceparent text,
  partition_key text,
  changeset text,
  kafka_partition integer,
  sequence bigint,
  set_aside text,
  changeset_end bigint,
  joint text DEFAULT nullif(current_setting('keepstep.joint', true), ''));
COMMENT ON TABLE outbox IS 'Keepstep: changes that wait to be published'

-- name: create_outbox_id
CREATE UNIQUE INDEX IF NOT EXISTS outbox_id ON outbox (id) WHERE id IS NOT NULL

-- Earlier versions gave each row an id by a default.
-- name: free_outbox_id
DO $keepstep$
DECLARE
  old name;
BEGIN
  IF (SELECT attnotnull FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attname = 'id') THEN
    FOR old IN SELECT c.conname FROM pg_constraint AS c JOIN pg_attribute AS a
        ON a.attrelid = c.conrelid AND a.attname = 'id' AND c.conkey = ARRAY[a.attnum]
        WHERE c.conrelid = 'outbox'::regclass AND c.contype = 'u' LOOP
      EXECUTE format('ALTER TABLE outbox DROP CONSTRAINT %I', old);
    END LOOP;
    ALTER TABLE outbox ALTER id DROP NOT NULL, ALTER id DROP DEFAULT;
  END IF;
END
$keepstep$

-- name: add_changeset
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS changeset_end bigint

-- The name of the joint transaction that made a change (rule 75). The agent sets it while it makes the
-- changes. Rows that are there keep NULL, and are not written.
-- name: add_joint
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS joint text
  DEFAULT nullif(current_setting('keepstep.joint', true), '')

-- How a column of the outbox was found, as enum origin_found counts: absent, same, other.
-- name: find_column
SELECT CASE $1 WHEN 'outbox.id' THEN 1 + attnotnull::integer
  WHEN 'outbox.changeset_end' THEN 1 WHEN 'outbox.joint' THEN 1
  ELSE (CASE pg_get_expr(d.adbin, d.adrelid) WHEN '(pg_current_xact_id())::text' THEN 1
    ELSE (d.adbin IS NOT NULL)::integer * 2 END) END
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass('outbox') AND a.attname = split_part($1, '.', 2)
  AND NOT a.attisdropped

-- Which rows are of one transaction: right for savepoints, COPY, procedures that commit, and prepared
-- transactions.
-- name: set_changeset
ALTER TABLE outbox ALTER changeset SET DEFAULT pg_current_xact_id()::text

-- name: unset_changeset
DO $keepstep$
BEGIN
  IF EXISTS (SELECT 1 FROM pg_attrdef AS d JOIN pg_attribute AS a
      ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      WHERE d.adrelid = 'outbox'::regclass AND a.attname = 'changeset') THEN
    ALTER TABLE outbox ALTER changeset DROP DEFAULT;
  END IF;
END
$keepstep$

-- name: create_outbox_changeset
CREATE INDEX IF NOT EXISTS outbox_changeset ON outbox (changeset COLLATE "C", position)
  WHERE sequence IS NULL AND changeset <> ''

-- name: drop_outbox_changeset
DROP INDEX IF EXISTS outbox_changeset

-- The same where an outbox is there already that has not told transactions apart so far.
-- name: find_changeset_index
SELECT i.indexrelid IS NOT NULL FROM pg_attribute AS a LEFT JOIN pg_index AS i
  ON i.indrelid = a.attrelid AND i.indexrelid = to_regclass('outbox_changeset')
WHERE a.attrelid = to_regclass('outbox') AND a.attname = 'changeset' AND NOT a.attisdropped
  AND obj_description(a.attrelid, 'pg_class') LIKE 'Keepstep%' AND i.indisvalid IS NOT TRUE

-- name: drop_unfinished_changeset
DROP INDEX CONCURRENTLY outbox_changeset

-- name: build_changeset_index
CREATE INDEX CONCURRENTLY outbox_changeset ON outbox (changeset COLLATE "C", position)
  WHERE sequence IS NULL AND changeset <> ''

-- Where a published type has `joint:` (rule 71), and its outbox was there before.
-- name: create_outbox_joint
CREATE INDEX IF NOT EXISTS outbox_joint ON outbox (position)
  WHERE sequence IS NULL AND aggregatetype = 'keepstep.joint'

-- name: find_joint_index
SELECT i.indexrelid IS NOT NULL FROM pg_class AS c LEFT JOIN pg_index AS i
  ON i.indrelid = c.oid AND i.indexrelid = to_regclass('outbox_joint')
WHERE c.oid = to_regclass('outbox') AND obj_description(c.oid, 'pg_class') LIKE 'Keepstep%'
  AND i.indisvalid IS NOT TRUE

-- name: drop_unfinished_joint
DROP INDEX CONCURRENTLY outbox_joint

-- name: build_joint_index
CREATE INDEX CONCURRENTLY outbox_joint ON outbox (position)
  WHERE sequence IS NULL AND aggregatetype = 'keepstep.joint'

-- A row where an outbox of an earlier version lacks the index: is there one that an `init` left
-- unfinished?
-- name: find_id_index
SELECT i.indexrelid IS NOT NULL FROM pg_attribute AS a LEFT JOIN pg_index AS i
  ON i.indrelid = a.attrelid AND i.indexrelid = to_regclass('outbox_id')
WHERE a.attrelid = to_regclass('outbox') AND a.attname = 'id' AND a.attnotnull
  AND obj_description(a.attrelid, 'pg_class') LIKE 'Keepstep%' AND i.indisvalid IS NOT TRUE

-- Two `init` at once take turns.
-- name: try_index_turn
SELECT pg_try_advisory_lock(1264941910)

-- name: end_index_turn
SELECT pg_advisory_unlock(1264941910)

-- name: drop_id_index
DROP INDEX CONCURRENTLY outbox_id

-- The service writes on meanwhile, and its transactions are waited for, however long that takes.
-- name: wait_for_writers
SET lock_timeout = 0; SET statement_timeout = 0

-- name: build_id_index
CREATE UNIQUE INDEX CONCURRENTLY outbox_id ON outbox (id) WHERE id IS NOT NULL

-- name: create_outbox_waiting
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (position) WHERE sequence IS NULL

-- name: create_outbox_claimed
CREATE INDEX IF NOT EXISTS outbox_claimed ON outbox (kafka_partition, sequence) WHERE sequence IS NOT NULL

-- The entity's hash, as a key may be longer than an index takes.
-- name: create_outbox_set_aside
CREATE INDEX IF NOT EXISTS outbox_set_aside ON outbox
  (hashtextextended(aggregateid, hashtextextended(aggregatetype, 0)), position)
  WHERE set_aside IS NOT NULL

-- A commit notifies only while a relay sleeps, because all commits of the server queue behind one
-- that notifies. A relay that sleeps holds the advisory lock of the outbox's oid. PREPARE TRANSACTION
-- fails after a NOTIFY. So a server that allows it gets none, and the relay finds the row at its
-- next poll. The setting keepstep.notify, on or off, overrules that. The lock is asked for first, in an
-- expression of its own: while no relay sleeps the service's transaction prepares nothing else. CASE
-- keeps its order.
-- name: create_wake
CREATE OR REPLACE FUNCTION keepstep_outbox_wake() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $keepstep$
BEGIN
  IF (CASE WHEN pg_try_advisory_lock_shared(1264941907, TG_RELID::integer)
      THEN pg_advisory_unlock_shared(1264941907, TG_RELID::integer) ELSE false END)
  THEN
    RETURN NULL;
  END IF;
  IF coalesce(nullif(current_setting('keepstep.notify', true), ''),
      (CASE current_setting('max_prepared_transactions') WHEN '0' THEN 'on' ELSE 'off' END)) = 'on'
  THEN
    PERFORM pg_notify('keepstep_outbox', '');
  END IF;
  RETURN NULL;
END
$keepstep$;
REVOKE ALL ON FUNCTION keepstep_outbox_wake() FROM PUBLIC;
DO $keepstep$
BEGIN
  EXECUTE format('ALTER FUNCTION keepstep_outbox_wake() OWNER TO %I',
    (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'outbox'::regclass));
END
$keepstep$;
COMMENT ON FUNCTION keepstep_outbox_wake() IS 'Keepstep 3'

-- name: create_wake_trigger
CREATE OR REPLACE TRIGGER keepstep_outbox_wake AFTER INSERT ON outbox
  FOR EACH STATEMENT EXECUTE FUNCTION keepstep_outbox_wake();
ALTER TABLE outbox ENABLE ALWAYS TRIGGER keepstep_outbox_wake;
COMMENT ON TRIGGER keepstep_outbox_wake ON outbox IS 'Keepstep 1'

-- name: create_relay
CREATE TABLE IF NOT EXISTS keepstep_relay (
  single integer PRIMARY KEY CHECK (single = 1),
  origin text NOT NULL,
  incarnation text NOT NULL,
  holder text NOT NULL DEFAULT '',
  epoch bigint NOT NULL DEFAULT 0,
  lease_until_us bigint NOT NULL DEFAULT 0)

-- name: create_relay_partition
CREATE TABLE IF NOT EXISTS keepstep_relay_partition (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  last_sequence bigint NOT NULL,
  last_id text NOT NULL,
  acknowledged_sequence bigint NOT NULL,
  acknowledged_offset bigint NOT NULL,
  acknowledged_id text NOT NULL,
  PRIMARY KEY (topic, partition)) WITH (fillfactor = 50)

-- Into which topic the rows of an entity type are numbered.
-- name: create_relay_type
CREATE TABLE IF NOT EXISTS keepstep_relay_type (
  entity_type text COLLATE "C" PRIMARY KEY, topic text COLLATE "C" NOT NULL)

-- How far the log was read when the lease was taken, or while nothing was under way.
-- name: create_relay_read
CREATE TABLE IF NOT EXISTS keepstep_relay_read (
  topic text COLLATE "C" NOT NULL, partition integer NOT NULL, read_offset bigint NOT NULL,
  PRIMARY KEY (topic, partition))

-- Rows that were numbered for a topic which their type has left; in the outbox their partition is -1.
-- name: create_relay_moved
CREATE TABLE IF NOT EXISTS keepstep_relay_moved (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  sequence bigint NOT NULL,
  position bigint NOT NULL UNIQUE,
  PRIMARY KEY (topic, partition, sequence))

-- A new incarnation publishes nothing before the service's own agent has read to here (rule 13).
-- name: create_relay_wait
CREATE TABLE IF NOT EXISTS keepstep_relay_wait (
  topic text COLLATE "C" NOT NULL, partition integer NOT NULL, until_offset bigint NOT NULL,
  PRIMARY KEY (topic, partition))

-- What an operator has paused, by entity type (rule 49). The applying side makes it too.
-- name: create_paused
CREATE TABLE IF NOT EXISTS keepstep_paused (
  entity_type text COLLATE "C" PRIMARY KEY, paused_at bigint NOT NULL, paused_by text NOT NULL,
  reason text NOT NULL)

-- How far the rows that were there before `init` have been published.
-- name: create_existing
CREATE TABLE IF NOT EXISTS keepstep_existing (
  entity_type text COLLATE "C" PRIMARY KEY, rows bigint NOT NULL DEFAULT 0,
  done boolean NOT NULL DEFAULT false)

-- name: create_existing_key
CREATE TABLE IF NOT EXISTS keepstep_existing_key (
  entity_type text COLLATE "C" NOT NULL, ordinal integer NOT NULL, value text,
  PRIMARY KEY (entity_type, ordinal))

-- What the triggers of an entity type publish: `"property":"column",…`, those of them that are newer
-- than rows that were published, and the partition key's column.
-- name: create_captured
CREATE TABLE IF NOT EXISTS keepstep_captured (
  entity_type text COLLATE "C" PRIMARY KEY, mapped text NOT NULL, news text NOT NULL,
  partition_key text NOT NULL)

-- Rows that the log may have, while --new-incarnation reads it, with what its records say. `same`:
-- it has the row.
-- name: create_in_log
CREATE TEMP TABLE IF NOT EXISTS keepstep_in_log (position bigint NOT NULL, entity bigint NOT NULL,
  value bigint NOT NULL, same boolean NOT NULL, PRIMARY KEY (position, entity, value))

-- name: create_log_end
CREATE TEMP TABLE IF NOT EXISTS keepstep_log_end (
  topic text NOT NULL, partition integer NOT NULL, until_offset bigint NOT NULL,
  PRIMARY KEY (topic, partition))

-- By an id that the row was given, or at the position that a derived id names.
-- name: note_in_log
INSERT INTO pg_temp.keepstep_in_log
SELECT position, 0, 0, true FROM outbox WHERE id = ANY (ARRAY (SELECT unnest($1::text[])))
UNION ALL
SELECT o.position, n.entity, n.value, false FROM outbox AS o
JOIN unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) AS n (
  position, created_at, entity, value) ON n.position = o.position
WHERE o.position = ANY (ARRAY (SELECT unnest($2::bigint[]))) AND o.id IS NULL
  AND to_char(o.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') = n.created_at
ON CONFLICT DO NOTHING

-- name: read_noted
SELECT n.position, o.aggregatetype, o.aggregateid, o.payload
FROM (SELECT DISTINCT position FROM pg_temp.keepstep_in_log WHERE NOT same AND position > $1::bigint
  ORDER BY position LIMIT 100) AS n
LEFT JOIN outbox AS o ON o.position = n.position ORDER BY n.position

-- The value of a void is 0: it says nothing of what the event said.
-- name: confirm_in_log
UPDATE pg_temp.keepstep_in_log AS n SET same = true
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r (position, entity, value)
WHERE n.position = r.position AND n.entity = r.entity AND n.value IN (r.value, 0)

-- name: rename_noted
UPDATE outbox AS o SET id = r.id FROM unnest($1::bigint[], $2::text[]) AS r (position, id)
WHERE o.position = r.position AND o.id IS NULL
  AND NOT EXISTS (SELECT 1 FROM pg_temp.keepstep_in_log AS n WHERE n.position = r.position AND n.same)

-- name: note_log_end
INSERT INTO pg_temp.keepstep_log_end VALUES ($1, $2::integer, $3::bigint)

-- name: read_holder
SELECT holder, lease_until_us FROM keepstep_relay

-- name: has_relay
SELECT to_regclass('keepstep_relay') IS NOT NULL

-- name: insert_relay
INSERT INTO keepstep_relay (single, origin, incarnation) VALUES (1, $1, $2)
  ON CONFLICT (single) DO NOTHING

-- What goes through a whole outbox takes as long as it takes.
-- name: lift_limit
SET LOCAL statement_timeout = 0

-- name: forward_drop
DELETE FROM outbox WHERE position IN (SELECT position FROM pg_temp.keepstep_in_log WHERE same)

-- A new incarnation starts its sequences again: what was acknowledged is dropped, the rest waits. Copies
-- pass a set without its end (rule 56), so such a set waits whole.
-- name: restart_relay
UPDATE keepstep_relay SET origin = $1, incarnation = $2, epoch = epoch + 1, holder = '',
  lease_until_us = 0

-- name: forward_forget
DELETE FROM keepstep_relay_wait

-- name: forward_wait
INSERT INTO keepstep_relay_wait SELECT topic, partition, until_offset FROM pg_temp.keepstep_log_end

-- name: restart_drop_acknowledged
DELETE FROM outbox WHERE sequence IS NOT NULL AND coalesce(changeset_end, sequence) <= coalesce((
  SELECT p.acknowledged_sequence FROM keepstep_relay_partition AS p
  JOIN keepstep_relay_type AS t ON t.topic = p.topic
  WHERE t.entity_type = outbox.aggregatetype AND p.partition = outbox.kafka_partition), (
  SELECT p.acknowledged_sequence FROM keepstep_relay_partition AS p
  JOIN keepstep_relay_moved AS m ON m.topic = p.topic AND m.partition = p.partition
  WHERE m.position = outbox.position), 0)

-- name: restart_unclaim
UPDATE outbox SET sequence = NULL, kafka_partition = NULL, changeset_end = NULL
WHERE sequence IS NOT NULL

-- Transactions get their numbers again in a database that was restored.
-- name: restart_changesets
UPDATE outbox SET changeset = 'inc-' || (SELECT incarnation FROM keepstep_relay) || ' ' || changeset
WHERE changeset <> '' AND changeset NOT LIKE 'inc-%'

-- name: restart_partitions
DELETE FROM keepstep_relay_partition

-- name: restart_moved
DELETE FROM keepstep_relay_moved

-- name: restart_read
DELETE FROM keepstep_relay_read

-- name: restart_existing
DELETE FROM keepstep_existing

-- name: restart_existing_key
DELETE FROM keepstep_existing_key

-- name: restart_captured
UPDATE keepstep_captured SET news = ''

-- Two `init` at once take turns; a table that the service holds is not waited for while its own
-- writers queue behind us.
-- name: begin_install
BEGIN;
SET LOCAL lock_timeout = '200ms';
SELECT pg_advisory_xact_lock(1264941908)

-- Where the outbox is, or will be.
-- name: outbox_schema
SELECT coalesce((SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n
  ON n.oid = c.relnamespace WHERE c.oid = to_regclass('outbox')), current_schema())

-- name: find_relation
SELECT obj_description(c.oid, 'pg_class') FROM pg_class AS c WHERE c.oid = to_regclass($1)

-- Its comment, and whether it is switched off, there or in a partition.
-- name: find_trigger
SELECT coalesce(obj_description(t.oid, 'pg_trigger'), ''), t.tgenabled <> 'A' OR EXISTS (
  SELECT 1 FROM pg_partition_tree(t.tgrelid) AS p JOIN pg_trigger AS s ON s.tgrelid = p.relid
  WHERE s.tgname = t.tgname AND s.tgfoid = t.tgfoid AND s.tgenabled <> 'A')
FROM pg_trigger AS t WHERE t.tgname = $1 AND t.tgrelid = to_regclass($2)

-- Each of them is alone, and no change set with the others.
-- name: write_events
INSERT INTO outbox (aggregatetype, aggregateid, type, payload, traceparent, partition_key, changeset)
SELECT t, k, n, p, r, q, '' FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
  $6::text[]) WITH ORDINALITY AS e (t, k, n, p, r, q, ordinal) ORDER BY ordinal

-- What `init` has made in its schema, in the order in which it is taken away, each with its statement.
-- name: list_made
WITH home AS (SELECT coalesce((SELECT relnamespace FROM pg_class WHERE oid = coalesce(
    to_regclass('keepstep_relay'), to_regclass('keepstep_meta'), to_regclass('outbox'))),
    to_regnamespace(current_schema())) AS oid),
made AS (
  SELECT 1 AS turn, 'trigger' AS kind, t.tgname::text AS name,
    format('DROP TRIGGER IF EXISTS %I ON %s', t.tgname, t.tgrelid::regclass) AS sql
  FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
  WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND p.proname LIKE 'keepstep\_%'
    AND p.pronamespace = (SELECT oid FROM home)
  UNION ALL SELECT 2, 'function', p.proname::text,
    format('DROP FUNCTION IF EXISTS %s', p.oid::regprocedure)
  FROM pg_proc AS p
  WHERE p.proname LIKE 'keepstep\_%' AND p.pronamespace = (SELECT oid FROM home)
  UNION ALL SELECT CASE WHEN c.relname IN ('keepstep_relay', 'keepstep_meta') THEN 4 ELSE 3 END,
    'table', c.relname::text, format('DROP TABLE IF EXISTS %s', c.oid::regclass)
  FROM pg_class AS c
  WHERE c.relkind IN ('r', 'p') AND c.relnamespace = (SELECT oid FROM home)
    AND (c.relname LIKE 'keepstep\_%' OR (c.relname = 'outbox'
      AND coalesce(obj_description(c.oid, 'pg_class'), '') LIKE 'Keepstep%')))
SELECT kind, name, sql FROM made ORDER BY turn, name <> 'outbox', name, sql

-- Whoever writes into the outbox in a transaction that is open is waited for.
-- name: lock_outbox
LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE
-- name: count_unpublished
SELECT count(*) FROM outbox WHERE sequence IS NULL

-- name: pause_type
INSERT INTO keepstep_paused SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[])
ON CONFLICT (entity_type) DO NOTHING

-- name: resume_type
DELETE FROM keepstep_paused WHERE entity_type IN (SELECT * FROM unnest($1::text[]))

-- name: read_progress
SELECT coalesce(max(rows), 0), coalesce(max(done::integer), 0),
  (SELECT count(*) FROM keepstep_relay_type WHERE entity_type = $1)
FROM keepstep_existing WHERE entity_type = $1

-- name: read_captured
SELECT mapped, news, partition_key FROM keepstep_captured WHERE entity_type = $1

-- name: write_captured
INSERT INTO keepstep_captured VALUES ($1, $2, $3, $4) ON CONFLICT (entity_type) DO UPDATE SET
  mapped = excluded.mapped, news = excluded.news, partition_key = excluded.partition_key

-- What is under way already goes on, unless it began without a column that is new.
-- name: republish_keys
DELETE FROM keepstep_existing_key WHERE entity_type = $1 AND (
  EXISTS (SELECT 1 FROM keepstep_existing WHERE entity_type = $1 AND done)
  OR EXISTS (SELECT 1 FROM keepstep_captured WHERE entity_type = $1 AND news <> ''))

-- name: republish_progress
DELETE FROM keepstep_existing WHERE entity_type = $1 AND (done
  OR EXISTS (SELECT 1 FROM keepstep_captured WHERE entity_type = $1 AND news <> ''))

-- name: republish_news
UPDATE keepstep_captured SET news = '' WHERE entity_type = $1

-- name: limit_wait
SET LOCAL lock_timeout = '100ms'

-- A row that a policy hides from this role is an error, and not an absent row.
-- name: refuse_hidden_rows
SET LOCAL row_security = off

-- name: hold_progress
SELECT pg_advisory_xact_lock(1264941909, hashtext($1))

-- name: has_place
SELECT count(*) FROM keepstep_existing_key WHERE entity_type = $1

-- name: write_progress
INSERT INTO keepstep_existing AS e VALUES ($1, $2::bigint, $3::boolean)
  ON CONFLICT (entity_type) DO UPDATE SET rows = e.rows + excluded.rows, done = excluded.done

-- name: check_table
SELECT c.relkind, c.relpersistence,
  EXISTS (SELECT 1 FROM pg_inherits AS i WHERE i.inhparent = c.oid) AND c.relkind <> 'p',
  c.relispartition, current_setting('server_encoding'),
  row_security_active(c.oid) OR EXISTS (
    SELECT 1 FROM pg_partition_tree(c.oid) AS p WHERE row_security_active(p.relid)),
  NOT (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles AS r WHERE r.oid = c.relowner)
    AND EXISTS (SELECT 1 FROM pg_class AS p WHERE p.relrowsecurity
      AND (p.oid = c.oid OR p.oid IN (SELECT relid FROM pg_partition_tree(c.oid)))
      AND (p.relforcerowsecurity OR NOT pg_has_role(c.relowner, p.relowner, 'USAGE')))
FROM pg_class AS c WHERE c.oid = to_regclass($1)

-- name: check_sight
SELECT to_regclass($1) IS NULL AND EXISTS (SELECT 1 FROM pg_class WHERE relkind IN ('r', 'p')
  AND relname = (parse_ident($1))[array_upper(parse_ident($1), 1)])

-- name: check_key
SELECT i.indimmediate::integer, i.indnkeyatts FROM pg_index AS i
WHERE i.indrelid = to_regclass($1) AND i.indisprimary

-- A foreign key to the own table whose action writes other rows of it.
-- name: check_cascade
SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = to_regclass($1)
  AND confrelid = conrelid AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))

-- Of types that are not PostgreSQL's own only an enum without a cast of its own, and citext's.
-- name: check_column
SELECT coalesce(array_position(i.indkey::smallint[], a.attnum), -1), format_type(a.atttypid, NULL),
  CASE WHEN b.typtype = 'e' AND NOT EXISTS (SELECT 1 FROM pg_cast AS k
      WHERE k.castsource = b.oid AND k.casttarget = 'pg_catalog.text'::regtype) THEN 'enum'
    WHEN b.typcategory = 'A' THEN 'array'
    WHEN b.typnamespace = 'pg_catalog'::regnamespace OR EXISTS (SELECT 1 FROM pg_depend AS d
      JOIN pg_extension AS x ON x.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
      WHERE d.classid = 'pg_type'::regclass AND d.objid = b.oid AND x.extname = 'citext')
    THEN b.typname ELSE b.oid::regtype::text || ' of its own' END,
  coalesce(l.collisdeterministic, true)::integer, a.attgenerated, b.typname = 'numeric' AND
  a.atttypmod > 0, (a.atttypmod - 4) >> 16 & 65535, (a.atttypmod - 4) & 2047,
  b.typname = 'varchar' AND a.atttypmod > 0, a.atttypmod - 4
FROM pg_attribute AS a
JOIN pg_type AS y ON y.oid = a.atttypid
JOIN pg_type AS b ON b.oid = CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END
LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped

-- The tables that TRUNCATE may name: the table itself and all its partitions.
-- name: list_partitions
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (c.oid = to_regclass($1) OR c.oid IN (
  SELECT relid FROM pg_partition_tree(to_regclass($1)))) ORDER BY 1
