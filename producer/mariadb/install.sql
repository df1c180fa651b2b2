-- What `keepstep init` creates in a service's MariaDB database. A table's comment says its version.

-- Printed before everything else, so that nothing is made beside another's outbox.
-- name: guard
BEGIN NOT ATOMIC
  IF EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE()
      AND table_name = 'outbox' AND table_comment NOT LIKE 'keepstep outbox %') THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
      'the database has a table named outbox that Keepstep did not make: rename it';
  END IF;
END

-- Where a row is given no id, the relay derives one from its position and created_at. UTC_TIMESTAMP
-- makes mixed replication log rows. `blocks` finds the entity that a row set aside holds back, and
-- costs nothing for other rows. Writers insert by VALUES only: INSERT ... SELECT into an
-- AUTO_INCREMENT table would lock it until the end of the statement. The redundant row format keeps
-- the room of a number that is NULL, so that a claim writes it in place: in the others each row grows
-- in a full page, and costs three times as much.
-- name: create_outbox
CREATE TABLE IF NOT EXISTS outbox (
  position BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin,
  aggregatetype VARCHAR(255) NOT NULL,
  aggregateid TEXT NOT NULL,
  type VARCHAR(270) NOT NULL,
  payload LONGTEXT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
  traceparent VARCHAR(255),
  partition_key TEXT,
  changeset VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin,
  changeset_end BIGINT,
  kafka_partition INT,
  sequence BIGINT,
  set_aside TEXT,
  joint TEXT,
  waits_first TINYINT,
  blocks BINARY(16) AS (IF(set_aside IS NULL, NULL,
    UNHEX(MD5(CONCAT(aggregatetype, ' ', aggregateid))))) STORED,
  UNIQUE KEY outbox_id (id),
  KEY outbox_claimed (kafka_partition, sequence),
  KEY outbox_set_aside (blocks, position)
) ENGINE = InnoDB ROW_FORMAT = REDUNDANT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
  COMMENT = 'keepstep outbox 1'

-- Earlier versions gave each row an id by a default. In the redundant row format this changes the
-- catalogue alone.
-- name: free_outbox_id
BEGIN NOT ATOMIC
  IF EXISTS (SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE()
      AND table_name = 'outbox' AND column_name = 'id' AND is_nullable = 'NO') THEN
    ALTER TABLE outbox MODIFY id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin, LOCK = NONE;
  END IF;
END

-- `changeset` was reserved and empty, and too wide for an index. Both changes are of the catalogue alone.
-- name: add_changeset
BEGIN NOT ATOMIC
  IF EXISTS (SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE()
      AND table_name = 'outbox' AND column_name = 'changeset' AND character_set_name <> 'ascii') THEN
    ALTER TABLE outbox DROP COLUMN changeset,
      ADD COLUMN changeset VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  END IF;
  ALTER TABLE outbox ADD COLUMN IF NOT EXISTS changeset_end BIGINT;
END

-- The name of the joint transaction that made a change (rule 75), and a mark of records that are claimed
-- before others (rule 71).
-- name: add_joint
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS joint TEXT,
  ADD COLUMN IF NOT EXISTS waits_first TINYINT

-- Where a published type has `joint:`.
-- name: create_outbox_joint
ALTER TABLE outbox ADD KEY IF NOT EXISTS outbox_joint (waits_first)

-- How a column of the outbox was found, as enum origin_found counts: absent, same, other.
-- name: find_column
SELECT CASE ?1 WHEN 'outbox.id' THEN IF(MAX(column_name = 'id' AND is_nullable = 'YES'), 1, 2)
  WHEN 'outbox.joint' THEN IF(SUM(column_name IN ('joint', 'waits_first')) = 2, 1, 0)
  ELSE IF(MAX(column_name = 'changeset_end') AND
    MAX(column_name = 'changeset' AND character_set_name = 'ascii'), 1, 0) END
FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'outbox'

-- name: find_index
SELECT 1 FROM information_schema.statistics
WHERE table_schema = DATABASE() AND table_name = 'outbox' AND index_name = ?1

-- The server has no number of a transaction, but @@last_gtid is another one behind each commit of the
-- session. Whatever is not written to the binary log cannot be told apart: '-'. What a joint transaction
-- changes can, by its name.
-- name: set_changeset
CREATE OR REPLACE TRIGGER keepstep_outbox_changeset BEFORE INSERT ON outbox FOR EACH ROW
BEGIN
  IF NEW.changeset IS NOT NULL THEN
    DO 0;
  ELSEIF NOT (@@log_bin AND @@sql_log_bin) THEN
    SET NEW.changeset = COALESCE(CONCAT('joint ', MD5(@keepstep_joint)), '-');
  ELSE
    IF @keepstep_connection IS NULL THEN
      SET @keepstep_connection = UUID();
    END IF;
    SET NEW.changeset = CONCAT(@keepstep_connection, ' ', @@last_gtid);
  END IF;
END

-- Whether a change of the outbox is written to the log: one that is not moves no @@last_gtid.
-- name: check_logged
BEGIN NOT ATOMIC
  DECLARE gtid_before TEXT DEFAULT @@last_gtid;
  IF @@log_bin AND @@sql_log_bin THEN
    START TRANSACTION;
    INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset) VALUES ('', '', '', '', '');
    DELETE FROM outbox WHERE position = LAST_INSERT_ID();
    COMMIT;
    IF @@last_gtid = gtid_before THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
        'binlog_do_db or binlog_ignore_db leaves this database out of the binary log: nothing tells its transactions apart';
    END IF;
  END IF;
END

-- name: unset_changeset
DROP TRIGGER IF EXISTS keepstep_outbox_changeset

-- Where a transaction can write a table without transactions, or a sequence, @@last_gtid moves in the
-- middle of it. So the session's counters say whether a transaction has begun or ended since: once a
-- statement, as what was rolled back moves nothing else, and each time that @@last_gtid has moved. That
-- costs 0.2 ms. Of a statement without a transaction the clock says it.
-- name: set_changeset_careful
CREATE OR REPLACE TRIGGER keepstep_outbox_changeset_careful BEFORE INSERT ON outbox FOR EACH ROW
BEGIN
  IF NEW.changeset IS NOT NULL THEN
    DO 0;
  ELSEIF NOT (@@log_bin AND @@sql_log_bin) THEN
    SET NEW.changeset = COALESCE(CONCAT('joint ', MD5(@keepstep_joint)), '-');
  ELSE
    IF @keepstep_connection IS NULL THEN
      SET @keepstep_connection = UUID(), @keepstep_gtid = NULL, @keepstep_now = NULL;
    END IF;
    IF NOT (@keepstep_gtid <=> @@last_gtid AND @keepstep_now <=> NOW(6)) THEN
      IF @@in_transaction THEN
        SET @keepstep_changeset = (SELECT GROUP_CONCAT(variable_value ORDER BY variable_name)
          FROM information_schema.session_status WHERE variable_name IN
          ('COM_BEGIN', 'COM_COMMIT', 'COM_ROLLBACK', 'COM_XA_START'));
      ELSEIF NOT (@keepstep_now <=> NOW(6)) THEN
        SET @keepstep_changeset = @@last_gtid;
      END IF;
      SET @keepstep_gtid = @@last_gtid, @keepstep_now = NOW(6);
    END IF;
    SET NEW.changeset = CONCAT(@keepstep_connection, ' ', @keepstep_changeset);
  END IF;
END

-- name: unset_changeset_careful
DROP TRIGGER IF EXISTS keepstep_outbox_changeset_careful

-- name: create_outbox_changeset
ALTER TABLE outbox ADD KEY IF NOT EXISTS outbox_changeset (changeset, kafka_partition)

-- name: drop_outbox_changeset
ALTER TABLE outbox DROP KEY IF EXISTS outbox_changeset

-- Whether a transaction can write what is outside of transactions. Nobody writes the server's own
-- tables in one.
-- name: moves
SELECT EXISTS (SELECT 1 FROM information_schema.tables AS t
  LEFT JOIN information_schema.engines AS e ON e.engine = t.engine
  WHERE t.table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
  AND (t.table_type = 'SEQUENCE' OR (t.table_type = 'BASE TABLE' AND e.transactions = 'NO')))

-- name: watch_moves
SELECT COALESCE(JSON_VALUE(keepstep_catalogue('outbox'), '$.moves'), 0)

-- name: create_relay
CREATE TABLE IF NOT EXISTS keepstep_relay (
  single TINYINT NOT NULL PRIMARY KEY CHECK (single = 1),
  origin VARCHAR(255) NOT NULL,
  incarnation CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  holder VARCHAR(255) NOT NULL DEFAULT '',
  epoch BIGINT NOT NULL DEFAULT 0,
  lease_until_us BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep relay 1'

-- name: create_relay_partition
CREATE TABLE IF NOT EXISTS keepstep_relay_partition (
  topic VARCHAR(255) NOT NULL,
  `partition` INT NOT NULL,
  last_sequence BIGINT NOT NULL,
  last_id VARCHAR(63) NOT NULL,
  acknowledged_sequence BIGINT NOT NULL,
  acknowledged_offset BIGINT NOT NULL,
  acknowledged_id VARCHAR(63) NOT NULL,
  PRIMARY KEY (topic, `partition`)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
  COMMENT = 'keepstep relay partition 1'

-- Into which topic the rows of an entity type are numbered.
-- name: create_relay_type
CREATE TABLE IF NOT EXISTS keepstep_relay_type (
  entity_type VARCHAR(255) NOT NULL PRIMARY KEY,
  topic VARCHAR(255) NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep relay type 1'

-- How far the log was read when the lease was taken, or while nothing was under way.
-- name: create_relay_read
CREATE TABLE IF NOT EXISTS keepstep_relay_read (
  topic VARCHAR(255) NOT NULL,
  `partition` INT NOT NULL,
  read_offset BIGINT NOT NULL,
  PRIMARY KEY (topic, `partition`)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep relay read 1'

-- Rows that were numbered for a topic which their type has left; in the outbox their partition is -1.
-- name: create_relay_moved
CREATE TABLE IF NOT EXISTS keepstep_relay_moved (
  topic VARCHAR(255) NOT NULL,
  `partition` INT NOT NULL,
  sequence BIGINT NOT NULL,
  position BIGINT NOT NULL,
  PRIMARY KEY (topic, `partition`, sequence),
  UNIQUE KEY keepstep_relay_moved_position (position)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep relay moved 1'

-- A new incarnation publishes nothing before the service's own agent has read to here (rule 13).
-- name: create_relay_wait
CREATE TABLE IF NOT EXISTS keepstep_relay_wait (
  topic VARCHAR(255) NOT NULL,
  `partition` INT NOT NULL,
  until_offset BIGINT NOT NULL,
  PRIMARY KEY (topic, `partition`)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep relay wait 1'

-- What an operator has paused, by entity type (rule 49). The applying side makes it too.
-- name: create_paused
CREATE TABLE IF NOT EXISTS keepstep_paused (
  entity_type VARCHAR(255) NOT NULL PRIMARY KEY,
  paused_at BIGINT NOT NULL,
  paused_by VARCHAR(255) NOT NULL,
  reason BLOB NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep paused 1'

-- How far the rows that were there before `init` have been published.
-- name: create_existing
CREATE TABLE IF NOT EXISTS keepstep_existing (
  entity_type VARCHAR(255) NOT NULL PRIMARY KEY,
  `rows` BIGINT NOT NULL DEFAULT 0,
  done TINYINT NOT NULL DEFAULT 0
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep existing 1'

-- name: create_existing_key
CREATE TABLE IF NOT EXISTS keepstep_existing_key (
  entity_type VARCHAR(255) NOT NULL,
  ordinal INT NOT NULL,
  value LONGBLOB NOT NULL,
  PRIMARY KEY (entity_type, ordinal)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep existing key 1'

-- What the relay may know of a published table, which the catalogue shows only to those who may
-- change the table: its rows and its triggers' texts stay hidden.
-- name: create_catalogue
CREATE OR REPLACE FUNCTION keepstep_catalogue(wanted VARCHAR(64) CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
READS SQL DATA SQL SECURITY DEFINER COMMENT 'keepstep catalogue 2'
RETURN CONCAT(
  '{"table":', COALESCE((SELECT JSON_ARRAYAGG(JSON_ARRAY(table_type, COALESCE(engine, '')))
    FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = wanted), '[]'),
  ',"columns":', COALESCE((SELECT JSON_ARRAYAGG(JSON_ARRAY(c.column_name, c.data_type,
      COALESCE(k.seq_in_index, 0), k.sub_part IS NOT NULL))
    FROM information_schema.columns AS c
    LEFT JOIN information_schema.statistics AS k ON k.table_schema = DATABASE()
      AND k.table_name = wanted AND k.column_name = c.column_name AND k.index_name = 'PRIMARY'
    WHERE c.table_schema = DATABASE() AND c.table_name = wanted), '[]'),
  ',"cascades":', COALESCE((SELECT JSON_ARRAYAGG(JSON_ARRAY(constraint_name,
      referenced_table_name))
    FROM information_schema.referential_constraints
    WHERE constraint_schema = DATABASE() AND table_name = wanted
    AND (delete_rule NOT IN ('RESTRICT', 'NO ACTION')
      OR update_rule NOT IN ('RESTRICT', 'NO ACTION'))), '[]'),
  ',"triggers":', COALESCE((SELECT JSON_ARRAYAGG(JSON_ARRAY(trigger_name, event_object_table,
      MD5(action_statement), sql_mode LIKE '%STRICT_%' AND sql_mode NOT LIKE '%PAD_CHAR%'))
    FROM information_schema.triggers
    WHERE event_object_schema = DATABASE() AND event_object_table = wanted), '[]'),
  ',"moves":', EXISTS (SELECT 1 FROM information_schema.tables AS t
    LEFT JOIN information_schema.engines AS e ON e.engine = t.engine
    WHERE wanted = 'outbox'
    AND t.table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
    AND (t.table_type = 'SEQUENCE' OR (t.table_type = 'BASE TABLE' AND e.transactions = 'NO'))), '}')

-- What the triggers of an entity type publish: `"property":"column",…`, those of them that are newer
-- than rows that were published, and the partition key's column.
-- name: create_captured
CREATE TABLE IF NOT EXISTS keepstep_captured (
  entity_type VARCHAR(255) NOT NULL PRIMARY KEY,
  mapped MEDIUMTEXT NOT NULL,
  news MEDIUMTEXT NOT NULL,
  partition_key VARCHAR(255) NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep captured 1'

-- Rows that the log may have, while --new-incarnation reads it, with what its records say. `same`:
-- it has the row.
-- name: create_in_log
CREATE TEMPORARY TABLE IF NOT EXISTS keepstep_in_log (
  position BIGINT NOT NULL, entity BIGINT NOT NULL, value BIGINT NOT NULL, same TINYINT NOT NULL,
  PRIMARY KEY (position, entity, value)) ENGINE = InnoDB

-- name: create_log_end
CREATE TEMPORARY TABLE IF NOT EXISTS keepstep_log_end (
  topic VARCHAR(255) NOT NULL, `partition` INT NOT NULL, until_offset BIGINT NOT NULL,
  PRIMARY KEY (topic, `partition`)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin

-- By an id that the row was given, or at the position that a derived id names.
-- name: note_in_log
INSERT IGNORE INTO keepstep_in_log SELECT o.position, 0, 0, 1 FROM JSON_TABLE(?1, '$[*]' COLUMNS (
  id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]')) AS n
STRAIGHT_JOIN outbox AS o ON o.id = n.id
UNION ALL
SELECT o.position, n.entity, n.value, 0 FROM JSON_TABLE(?1, '$[*]' COLUMNS (
  position BIGINT PATH '$[1]', created_at VARCHAR(255) PATH '$[2]', entity BIGINT PATH '$[3]',
  value BIGINT PATH '$[4]')) AS n
STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.position = n.position
WHERE o.id IS NULL AND BINARY DATE_FORMAT(o.created_at, '%Y-%m-%dT%H:%i:%s.%fZ') = BINARY n.created_at

-- name: read_noted
SELECT n.position, o.aggregatetype, o.aggregateid, o.payload
FROM (SELECT DISTINCT position FROM keepstep_in_log WHERE NOT same AND position > ?1
  ORDER BY position LIMIT 100) AS n
LEFT JOIN outbox AS o ON o.position = n.position ORDER BY n.position

-- The value of a void is 0: it says nothing of what the event said.
-- name: confirm_in_log
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (position BIGINT PATH '$[0]', entity BIGINT PATH '$[1]',
  value BIGINT PATH '$[2]')) AS r
STRAIGHT_JOIN keepstep_in_log AS n ON n.position = r.position AND n.entity = r.entity
  AND n.value IN (r.value, 0)
SET n.same = 1

-- name: rename_noted
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (position BIGINT PATH '$[0]',
  id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]')) AS r
STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.position = r.position
SET o.id = r.id WHERE o.id IS NULL
AND NOT EXISTS (SELECT 1 FROM keepstep_in_log AS n WHERE n.position = r.position AND n.same)

-- name: note_log_end
INSERT INTO keepstep_log_end VALUES (?1, ?2, ?3)

-- name: find_table
SELECT table_comment FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name = ?1

-- name: find_function
SELECT routine_comment FROM information_schema.routines
WHERE routine_schema = DATABASE() AND routine_name = ?1 AND routine_type = 'FUNCTION'

-- On which table, whether with this text, whether under a sql_mode that cuts nothing, and whether
-- the server takes a table's name for the same in capitals.
-- name: find_trigger
SELECT event_object_table, MD5(action_statement) = MD5(?1),
  sql_mode LIKE '%STRICT_%' AND sql_mode NOT LIKE '%PAD_CHAR%', @@lower_case_table_names <> 0
FROM information_schema.triggers WHERE trigger_schema = DATABASE() AND trigger_name = ?2

-- name: check_table
SELECT table_type, COALESCE(engine, '') FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name = ?

-- name: check_columns
SELECT c.column_name, c.data_type, COALESCE(k.seq_in_index, 0), k.sub_part IS NOT NULL
FROM information_schema.columns AS c
LEFT JOIN information_schema.statistics AS k ON k.table_schema = c.table_schema
  AND k.table_name = c.table_name AND k.column_name = c.column_name AND k.index_name = 'PRIMARY'
WHERE c.table_schema = DATABASE() AND c.table_name = ?

-- Cascades run inside InnoDB and fire no trigger.
-- name: check_cascade
SELECT constraint_name, referenced_table_name FROM information_schema.referential_constraints
WHERE constraint_schema = DATABASE() AND table_name = ?
  AND (delete_rule NOT IN ('RESTRICT', 'NO ACTION') OR update_rule NOT IN ('RESTRICT', 'NO ACTION'))
LIMIT 1

-- The same by the relay's role. A function that does not exist is no empty answer, but an error.
-- name: watch_table
SELECT t.type, t.engine FROM JSON_TABLE(keepstep_catalogue(?), '$.table[*]' COLUMNS (
  type VARCHAR(64) PATH '$[0]', engine VARCHAR(64) PATH '$[1]')) AS t

-- name: watch_columns
SELECT c.name, c.type, c.place, c.part FROM JSON_TABLE(keepstep_catalogue(?), '$.columns[*]'
  COLUMNS (name VARCHAR(64) PATH '$[0]', type VARCHAR(64) PATH '$[1]', place INT PATH '$[2]',
  part INT PATH '$[3]')) AS c

-- name: watch_cascade
SELECT c.name, c.follows FROM JSON_TABLE(keepstep_catalogue(?), '$.cascades[*]' COLUMNS (
  name VARCHAR(64) PATH '$[0]', follows VARCHAR(64) PATH '$[1]')) AS c LIMIT 1

-- name: watch_trigger
SELECT t.hangs_on, t.digest = MD5(?1), t.strict, @@lower_case_table_names <> 0
FROM JSON_TABLE(keepstep_catalogue(?3), '$.triggers[*]' COLUMNS (name VARCHAR(64) PATH '$[0]',
  hangs_on VARCHAR(64) PATH '$[1]', digest CHAR(32) PATH '$[2]', strict INT PATH '$[3]')) AS t
WHERE t.name = ?2

-- A statement log runs the triggers again at the replica and gives positions in another order.
-- name: check_binary_log
SELECT @@GLOBAL.log_bin AND @@GLOBAL.binlog_format = 'STATEMENT'

-- That the table is missing is an error of its own.
-- name: has_relay
SELECT COUNT(*) >= 0 FROM (SELECT 1 FROM keepstep_relay LIMIT 1) AS t

-- name: read_holder
SELECT holder, lease_until_us FROM keepstep_relay

-- name: insert_relay
INSERT IGNORE INTO keepstep_relay (single, origin, incarnation) VALUES (1, ?1, ?2)

-- What goes through a whole outbox takes as long as it takes.
-- name: forward_drop
SET STATEMENT max_statement_time = 0 FOR
DELETE FROM outbox WHERE position IN (SELECT position FROM keepstep_in_log WHERE same)

-- name: forward_forget
DELETE FROM keepstep_relay_wait

-- name: forward_wait
INSERT INTO keepstep_relay_wait SELECT topic, `partition`, until_offset FROM keepstep_log_end

-- A new incarnation starts its sequences again: what was acknowledged is dropped, the rest waits. Copies
-- pass a set without its end (rule 56), so such a set waits whole.
-- name: restart_relay
UPDATE keepstep_relay SET origin = ?1, incarnation = ?2, epoch = epoch + 1, holder = '',
  lease_until_us = 0

-- name: restart_drop_acknowledged
SET STATEMENT max_statement_time = 0 FOR
DELETE o FROM outbox AS o
JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
LEFT JOIN keepstep_relay_moved AS m ON m.position = o.position
JOIN keepstep_relay_partition AS p ON p.topic = COALESCE(m.topic, t.topic)
  AND p.`partition` = COALESCE(m.`partition`, o.kafka_partition)
WHERE o.sequence IS NOT NULL
  AND COALESCE(o.changeset_end, o.sequence) <= p.acknowledged_sequence

-- name: restart_unclaim
SET STATEMENT max_statement_time = 0 FOR
UPDATE outbox SET sequence = NULL, kafka_partition = NULL, changeset_end = NULL,
  waits_first = IF(aggregatetype = 'keepstep.joint', 1, NULL)
WHERE sequence IS NOT NULL

-- A server that was restored gives the same numbers again.
-- name: restart_changesets
SET STATEMENT max_statement_time = 0 FOR
UPDATE outbox SET changeset = CONCAT('inc-', (SELECT incarnation FROM keepstep_relay), ' ', changeset)
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
INSERT INTO keepstep_captured VALUES (?1, ?2, ?3, ?4) ON DUPLICATE KEY UPDATE
  mapped = VALUES(mapped), news = VALUES(news), partition_key = VALUES(partition_key)

-- What is under way already goes on, unless it began without a column that is new.
-- name: republish_keys
DELETE k FROM keepstep_existing_key AS k
LEFT JOIN keepstep_existing AS e ON e.entity_type = k.entity_type
LEFT JOIN keepstep_captured AS c ON c.entity_type = k.entity_type
WHERE k.entity_type = ?1 AND (e.done OR c.news <> '')

-- name: republish_progress
DELETE e FROM keepstep_existing AS e
LEFT JOIN keepstep_captured AS c ON c.entity_type = e.entity_type
WHERE e.entity_type = ?1 AND (e.done OR c.news <> '')

-- name: republish_news
UPDATE keepstep_captured SET news = '' WHERE entity_type = ?1

-- What `init` has made, in the order in which it is taken away, each with its statement. Each of them
-- commits; what says that there is an outbox, and a copy, goes last.
-- name: list_made
SELECT kind, name, sql_text FROM (
  SELECT 1 AS turn, 'trigger' AS kind, trigger_name AS name,
    CONCAT('DROP TRIGGER IF EXISTS `', REPLACE(trigger_name, '`', '``'), '`') AS sql_text
  FROM information_schema.triggers
  WHERE trigger_schema = DATABASE() AND trigger_name LIKE 'keepstep\\_%'
  UNION ALL SELECT 2, 'function', routine_name, CONCAT('DROP FUNCTION IF EXISTS `', routine_name, '`')
  FROM information_schema.routines
  WHERE routine_schema = DATABASE() AND routine_name LIKE 'keepstep\\_%'
    AND routine_comment LIKE 'keepstep %'
  UNION ALL SELECT IF(table_name IN ('keepstep_relay', 'keepstep_meta'), 4, 3), 'table', table_name,
    CONCAT('DROP TABLE IF EXISTS `', table_name, '`')
  FROM information_schema.tables
  WHERE table_schema = DATABASE() AND (table_name LIKE 'keepstep\\_%'
    OR (table_name = 'outbox' AND table_comment LIKE 'keepstep outbox %'))) AS made
ORDER BY turn, name <> 'outbox', name

-- Whoever writes into the outbox in a transaction that is open is waited for.
-- name: count_unpublished
SELECT COUNT(*) FROM outbox WHERE sequence IS NULL LOCK IN SHARE MODE

-- name: pause_type
INSERT IGNORE INTO keepstep_paused VALUES (?1, ?2, ?3, ?4)

-- name: resume_type
DELETE FROM keepstep_paused WHERE entity_type = ?1

-- name: read_progress
SELECT COALESCE(MAX(`rows`), 0), COALESCE(MAX(done), 0),
  EXISTS (SELECT 1 FROM keepstep_relay_type WHERE entity_type = ?1)
FROM keepstep_existing WHERE entity_type = ?1

-- The row is locked first, so that two inits take turns.
-- name: hold_progress
INSERT INTO keepstep_existing (entity_type) VALUES (?1) ON DUPLICATE KEY UPDATE done = done

-- name: write_progress
UPDATE keepstep_existing SET `rows` = `rows` + ?2, done = ?3 WHERE entity_type = ?1

-- name: read_place
SELECT value FROM keepstep_existing_key WHERE entity_type = ?1 ORDER BY ordinal

-- name: write_place
INSERT INTO keepstep_existing_key (entity_type, ordinal, value) VALUES (?1, ?2, ?3)
ON DUPLICATE KEY UPDATE value = VALUES(value)

-- For the next transaction: at READ COMMITTED, which the session has, an absent row is not locked.
-- name: lock_gaps
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- Each of them is alone, and no change set with the others.
-- name: write_events
INSERT INTO outbox (aggregatetype, aggregateid, type, payload, traceparent, partition_key, changeset)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, '')

-- What the roles need on this side. The agent reads which own changes are pending.
-- name: grants
CREATE ROLE IF NOT EXISTS keepstep_relay;
CREATE ROLE IF NOT EXISTS keepstep_agent;
CREATE ROLE IF NOT EXISTS keepstep_lag;
CREATE ROLE IF NOT EXISTS keepstep_run;
CREATE ROLE IF NOT EXISTS keepstep_reader;
GRANT keepstep_relay TO keepstep_run;
GRANT keepstep_agent TO keepstep_run;
GRANT SELECT, DELETE,
  UPDATE (aggregateid, kafka_partition, sequence, set_aside, changeset, changeset_end, waits_first)
  ON outbox TO keepstep_relay;
GRANT SELECT, UPDATE (holder, epoch, lease_until_us) ON keepstep_relay TO keepstep_relay;
GRANT SELECT, INSERT, UPDATE ON keepstep_relay_partition TO keepstep_relay;
GRANT SELECT, INSERT, UPDATE ON keepstep_relay_type TO keepstep_relay;
GRANT SELECT, INSERT, DELETE ON keepstep_relay_moved TO keepstep_relay;
GRANT SELECT, INSERT, UPDATE ON keepstep_relay_read TO keepstep_relay;
GRANT SELECT ON keepstep_relay_wait TO keepstep_relay;
GRANT SELECT ON keepstep_existing TO keepstep_relay;
GRANT EXECUTE ON FUNCTION keepstep_catalogue TO keepstep_relay;
GRANT SELECT, INSERT, DELETE ON keepstep_paused TO keepstep_relay;
GRANT SELECT ON keepstep_position TO keepstep_relay;
GRANT SELECT ON keepstep_fill TO keepstep_relay;
GRANT SELECT ON keepstep_sequence TO keepstep_relay;
GRANT SELECT (position, aggregatetype, aggregateid, kafka_partition, sequence, set_aside, id)
  ON outbox TO keepstep_agent;
GRANT SELECT ON keepstep_relay TO keepstep_agent;
GRANT SELECT (position, aggregatetype, created_at, kafka_partition, sequence, set_aside)
  ON outbox TO keepstep_lag;
GRANT SELECT ON keepstep_relay TO keepstep_lag;
GRANT SELECT ON keepstep_relay_partition TO keepstep_lag;
GRANT SELECT ON keepstep_paused TO keepstep_lag;
GRANT SELECT ON keepstep_relay_type TO keepstep_lag;
GRANT EXECUTE ON FUNCTION keepstep_catalogue TO keepstep_lag;
GRANT SELECT (origin, incarnation) ON keepstep_relay TO keepstep_reader;
GRANT SELECT (position, aggregatetype, aggregateid, kafka_partition, sequence, set_aside, blocks)
  ON outbox TO keepstep_reader;
GRANT SELECT ON keepstep_relay_type TO keepstep_reader;
GRANT SELECT ON keepstep_relay_moved TO keepstep_reader;
GRANT EXECUTE ON FUNCTION keepstep_ticket TO keepstep_reader;
GRANT EXECUTE ON FUNCTION keepstep_token TO keepstep_reader;
GRANT EXECUTE ON FUNCTION keepstep_token TO keepstep_relay;
