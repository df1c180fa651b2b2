-- What `keepstep init` creates in a service's SQLite database.

-- Printed before everything else, so that nothing is made beside another's outbox: all of it is one
-- transaction. Only a trigger may RAISE; a constraint says it as well.
-- name: guard
BEGIN IMMEDIATE;
CREATE TEMP TABLE keepstep_guard (is_ours INTEGER CONSTRAINT
  "the database has a table named outbox that Keepstep did not make: rename it" CHECK (is_ours));
INSERT INTO temp.keepstep_guard SELECT NOT EXISTS (
  SELECT 1 FROM main.sqlite_schema WHERE name = 'outbox' COLLATE NOCASE) OR (
  SELECT count(*) = 5 FROM pragma_table_info('outbox', 'main')
  WHERE name IN ('position', 'changeset', 'kafka_partition', 'sequence', 'set_aside'));
DROP TABLE temp.keepstep_guard

-- Where a row is given no id, the relay derives one from its position and created_at. The clock has
-- milliseconds only; the last three digits are random, so that a position which is used again after
-- a restore, or in a clone, has another created_at.
-- name: create_outbox
CREATE TABLE IF NOT EXISTS outbox (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT,
  aggregatetype TEXT NOT NULL,
  aggregateid TEXT NOT NULL,
  type TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (
    strftime('%Y-%m-%dT%H:%M:%f', 'now') || substr(1000 + abs(random() % 1000), 2) || 'Z'),
  traceparent TEXT,
  partition_key TEXT,
  changeset TEXT,
  kafka_partition INTEGER,
  sequence INTEGER,
  set_aside TEXT,
  changeset_end INTEGER,
  joint TEXT)

-- name: create_outbox_id
CREATE UNIQUE INDEX IF NOT EXISTS outbox_id ON outbox (id) WHERE id IS NOT NULL

-- name: add_changeset
ALTER TABLE outbox ADD COLUMN changeset_end INTEGER

-- The name of the joint transaction that made a change (rule 75).
-- name: add_joint
ALTER TABLE outbox ADD COLUMN joint TEXT

-- How a column of the outbox was found, as enum origin_found counts: absent, same.
-- name: find_column
SELECT count(*) FROM pragma_table_info('outbox', 'main') WHERE 'outbox.' || name = ?1

-- SQLite tells nobody which transaction a row is written in. A service can: it raises `id` at the
-- beginning of its transactions. While it is 0 nobody has.
-- name: create_transaction
CREATE TABLE IF NOT EXISTS keepstep_transaction (
  single INTEGER PRIMARY KEY CHECK (single = 1), id INTEGER NOT NULL)

-- name: drop_transaction
DROP TABLE IF EXISTS keepstep_transaction

-- name: set_changeset
DROP TRIGGER IF EXISTS keepstep_outbox_changeset;
INSERT OR IGNORE INTO keepstep_transaction VALUES (1, 0);
CREATE TRIGGER keepstep_outbox_changeset AFTER INSERT ON outbox WHEN NEW.changeset IS NULL
BEGIN
  UPDATE outbox SET changeset = coalesce((SELECT nullif(id, 0) FROM keepstep_transaction), '-')
  WHERE position = NEW.position;
END

-- name: unset_changeset
DROP TRIGGER IF EXISTS keepstep_outbox_changeset

-- name: create_outbox_changeset
CREATE INDEX IF NOT EXISTS outbox_changeset ON outbox (changeset, position)
  WHERE sequence IS NULL AND changeset <> ''

-- name: drop_outbox_changeset
DROP INDEX IF EXISTS outbox_changeset

-- name: create_outbox_waiting
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (position) WHERE sequence IS NULL

-- Where a published type has `joint:` (rule 71).
-- name: create_outbox_joint
CREATE INDEX IF NOT EXISTS outbox_joint ON outbox (position)
  WHERE sequence IS NULL AND aggregatetype = 'keepstep.joint'

-- name: create_outbox_claimed
CREATE INDEX IF NOT EXISTS outbox_claimed ON outbox (kafka_partition, sequence) WHERE sequence IS NOT NULL

-- name: create_outbox_set_aside
CREATE INDEX IF NOT EXISTS outbox_set_aside ON outbox (aggregatetype, aggregateid, position)
  WHERE set_aside IS NOT NULL

-- name: create_relay
CREATE TABLE IF NOT EXISTS keepstep_relay (
  single INTEGER PRIMARY KEY CHECK (single = 1),
  origin TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  holder TEXT NOT NULL DEFAULT '',
  epoch INTEGER NOT NULL DEFAULT 0,
  lease_until_us INTEGER NOT NULL DEFAULT 0)

-- name: create_relay_partition
CREATE TABLE IF NOT EXISTS keepstep_relay_partition (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  last_id TEXT NOT NULL,
  acknowledged_sequence INTEGER NOT NULL,
  acknowledged_offset INTEGER NOT NULL,
  acknowledged_id TEXT NOT NULL,
  PRIMARY KEY (topic, partition)) WITHOUT ROWID

-- Into which topic the rows of an entity type are numbered.
-- name: create_relay_type
CREATE TABLE IF NOT EXISTS keepstep_relay_type (entity_type TEXT PRIMARY KEY, topic TEXT NOT NULL) WITHOUT ROWID

-- How far the log was read when the lease was taken, or while nothing was under way.
-- name: create_relay_read
CREATE TABLE IF NOT EXISTS keepstep_relay_read (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, read_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)) WITHOUT ROWID

-- Rows that were numbered for a topic which their type has left; in the outbox their partition is -1.
-- name: create_relay_moved
CREATE TABLE IF NOT EXISTS keepstep_relay_moved (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  position INTEGER NOT NULL UNIQUE,
  PRIMARY KEY (topic, partition, sequence)) WITHOUT ROWID

-- The triggers of a table are silent while its name stands here, in the agent's transaction.
-- The applying side makes it too.
-- name: create_applying
CREATE TABLE IF NOT EXISTS keepstep_applying (table_name TEXT PRIMARY KEY) WITHOUT ROWID

-- What an operator has paused, by entity type (rule 49). The applying side makes it too.
-- name: create_paused
CREATE TABLE IF NOT EXISTS keepstep_paused (
  entity_type TEXT PRIMARY KEY NOT NULL, paused_at INTEGER NOT NULL, paused_by TEXT NOT NULL,
  reason TEXT NOT NULL) WITHOUT ROWID

-- How far the rows that were there before `init` have been published.
-- name: create_existing
CREATE TABLE IF NOT EXISTS keepstep_existing (
  entity_type TEXT PRIMARY KEY, rows INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0)

-- name: create_existing_key
CREATE TABLE IF NOT EXISTS keepstep_existing_key (
  entity_type TEXT NOT NULL, ordinal INTEGER NOT NULL, value,
  PRIMARY KEY (entity_type, ordinal)) WITHOUT ROWID

-- What the triggers of an entity type publish: `"property":"column",…`, those of them that are newer
-- than rows that were published, and the partition key's column.
-- name: create_captured
CREATE TABLE IF NOT EXISTS keepstep_captured (
  entity_type TEXT PRIMARY KEY, mapped TEXT NOT NULL, news TEXT NOT NULL,
  partition_key TEXT NOT NULL) WITHOUT ROWID

-- A new incarnation publishes nothing before the service's own agent has read to here (rule 13).
-- name: create_relay_wait
CREATE TABLE IF NOT EXISTS keepstep_relay_wait (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, until_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)) WITHOUT ROWID

-- Rows that the log may have, while --new-incarnation reads it, with what its records say. `same`:
-- it has the row.
-- name: create_in_log
CREATE TEMP TABLE IF NOT EXISTS keepstep_in_log (position INTEGER NOT NULL, entity INTEGER NOT NULL,
  value INTEGER NOT NULL, same INTEGER NOT NULL, PRIMARY KEY (position, entity, value)) WITHOUT ROWID

-- name: create_log_end
CREATE TEMP TABLE IF NOT EXISTS keepstep_log_end (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, until_offset INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)) WITHOUT ROWID

-- By an id that the row was given, or at the position that a derived id names.
-- name: note_in_log
INSERT OR IGNORE INTO temp.keepstep_in_log
SELECT position, 0, 0, 1 FROM main.outbox WHERE id = ?1
UNION ALL
SELECT position, ?4, ?5, 0 FROM main.outbox WHERE position = ?2 AND id IS NULL AND created_at = ?3

-- name: read_noted
SELECT n.position, o.aggregatetype, o.aggregateid, o.payload
FROM (SELECT DISTINCT position FROM temp.keepstep_in_log WHERE NOT same AND position > ?1
  ORDER BY position LIMIT 100) AS n
LEFT JOIN main.outbox AS o ON o.position = n.position ORDER BY n.position

-- The value of a void is 0: it says nothing of what the event said.
-- name: confirm_in_log
UPDATE temp.keepstep_in_log SET same = 1 WHERE position = ?1 AND entity = ?2 AND value IN (?3, 0)

-- name: rename_noted
UPDATE main.outbox SET id = ?2 WHERE position = ?1 AND id IS NULL
AND NOT EXISTS (SELECT 1 FROM temp.keepstep_in_log WHERE position = ?1 AND same)

-- name: note_log_end
INSERT INTO temp.keepstep_log_end VALUES (?1, ?2, ?3)

-- name: read_holder
SELECT holder, lease_until_us FROM keepstep_relay

-- name: has_relay
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'keepstep_relay'

-- name: forward_drop
DELETE FROM outbox WHERE position IN (SELECT position FROM temp.keepstep_in_log WHERE same)

-- name: forward_forget
DELETE FROM keepstep_relay_wait

-- name: forward_wait
INSERT INTO keepstep_relay_wait SELECT topic, partition, until_offset FROM temp.keepstep_log_end

-- name: insert_relay
INSERT INTO keepstep_relay (single, origin, incarnation) VALUES (1, ?1, ?2)
  ON CONFLICT (single) DO NOTHING

-- A new incarnation starts its sequences again: what was acknowledged is dropped, the rest waits. Copies
-- pass a set without its end (rule 56), so such a set waits whole.
-- name: restart_relay
UPDATE keepstep_relay SET origin = ?1, incarnation = ?2, epoch = epoch + 1, holder = '',
  lease_until_us = 0

-- name: restart_drop_acknowledged
DELETE FROM outbox WHERE sequence IS NOT NULL AND coalesce(changeset_end, sequence) <= coalesce((
  SELECT p.acknowledged_sequence FROM keepstep_relay_partition p
  JOIN keepstep_relay_type t ON t.topic = p.topic
  WHERE t.entity_type = outbox.aggregatetype AND p.partition = outbox.kafka_partition), (
  SELECT p.acknowledged_sequence FROM keepstep_relay_partition p
  JOIN keepstep_relay_moved m ON m.topic = p.topic AND m.partition = p.partition
  WHERE m.position = outbox.position), 0)

-- name: restart_unclaim
UPDATE outbox SET sequence = NULL, kafka_partition = NULL, changeset_end = NULL
WHERE sequence IS NOT NULL

-- A database that was restored gives the same numbers again.
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

-- name: read_captured
SELECT mapped, news, partition_key FROM keepstep_captured WHERE entity_type = ?1

-- name: write_captured
INSERT INTO keepstep_captured VALUES (?1, ?2, ?3, ?4) ON CONFLICT (entity_type) DO UPDATE SET
  mapped = ?2, news = ?3, partition_key = ?4

-- What is under way already goes on, unless it began without a column that is new.
-- name: republish_keys
DELETE FROM keepstep_existing_key WHERE entity_type = ?1 AND (
  EXISTS (SELECT 1 FROM keepstep_existing WHERE entity_type = ?1 AND done)
  OR EXISTS (SELECT 1 FROM keepstep_captured WHERE entity_type = ?1 AND news <> ''))

-- name: republish_progress
DELETE FROM keepstep_existing WHERE entity_type = ?1 AND (done
  OR EXISTS (SELECT 1 FROM keepstep_captured WHERE entity_type = ?1 AND news <> ''))

-- name: republish_news
UPDATE keepstep_captured SET news = '' WHERE entity_type = ?1

-- name: find_object
SELECT sql, tbl_name FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE

-- Whether the outbox is Keepstep's, whichever version made it; whether it is one whose rows each need
-- an id; whether its ids are unique by the table itself, as earlier versions made it.
-- name: find_outbox
SELECT sum(name IN ('position', 'changeset', 'kafka_partition', 'sequence', 'set_aside')) = 5,
  max(name = 'id' AND "notnull") AND group_concat(name) = 'position,id,aggregatetype,aggregateid,type,'
    || 'payload,created_at,traceparent,partition_key,changeset,kafka_partition,sequence,set_aside',
  EXISTS (SELECT 1 FROM pragma_index_list('outbox', 'main') WHERE origin = 'u')
FROM pragma_table_info('outbox', 'main')

-- Earlier versions gave each row an id by a default. SQLite cannot alter a column, but what it keeps
-- on the disk is the same without NOT NULL and DEFAULT, so that the catalogue's text may be changed
-- (sqlite.org/lang_altertable.html, section 7). UNIQUE has an index, and so it stays.
-- name: free_outbox_id
UPDATE sqlite_schema SET sql = 'CREATE TABLE ' || replace(
  substr(?1, instr(?1, 'outbox (')), ' id TEXT,', ' id TEXT UNIQUE,')
WHERE type = 'table' AND name = 'outbox'

-- What `init` has made, in the order in which it is taken away, each with its statement.
-- name: list_made
SELECT type, name, printf('DROP %s IF EXISTS "%w"', upper(type), name) FROM sqlite_schema
WHERE type IN ('trigger', 'table') AND (name LIKE 'keepstep\_%' ESCAPE '\' OR (name = 'outbox' AND (
  SELECT count(*) = 5 FROM pragma_table_info('outbox', 'main')
  WHERE name IN ('position', 'changeset', 'kafka_partition', 'sequence', 'set_aside'))))
ORDER BY type DESC, name <> 'outbox', name IN ('keepstep_relay', 'keepstep_meta'), name

-- name: count_unpublished
SELECT count(*) FROM outbox WHERE sequence IS NULL

-- name: pause_type
INSERT INTO keepstep_paused VALUES (?1, ?2, ?3, ?4) ON CONFLICT (entity_type) DO NOTHING

-- name: resume_type
DELETE FROM keepstep_paused WHERE entity_type = ?1

-- name: read_progress
SELECT coalesce(max(rows), 0), coalesce(max(done), 0),
  EXISTS (SELECT 1 FROM keepstep_relay_type WHERE entity_type = ?1)
FROM keepstep_existing WHERE entity_type = ?1

-- name: write_progress
INSERT INTO keepstep_existing VALUES (?1, ?2, ?3)
  ON CONFLICT (entity_type) DO UPDATE SET rows = rows + ?2, done = ?3

-- name: write_place
INSERT OR REPLACE INTO keepstep_existing_key VALUES (?1, ?2, ?3)

-- Each of them is alone, and no change set with the others.
-- name: write_events
INSERT INTO outbox (aggregatetype, aggregateid, type, payload, traceparent, partition_key, changeset)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, '')

-- name: write_existing
INSERT INTO outbox (aggregatetype, type, aggregateid, payload, partition_key, changeset)
VALUES (?1, ?1 || '.read', ?2, ?3, ?4, '')
