-- What a service of joint transactions has besides, in MariaDB (rules 60 to 75). A row that the service
-- inserts asks for a transaction: the triggers check it, complete it, and write the record for the log.

-- state: proposed, queued, reserved, refused, committing, aborting, held, committed, aborted, elsewhere.
-- Times are microseconds since 1970. proposal_offset: NULL until the agent has read the proposal. An id
-- that is too long is cut without an error under some sql_modes, and then has 256 characters.
-- name: create_joint
CREATE TABLE IF NOT EXISTS keepstep_joint (
  proposer VARCHAR(255) NOT NULL DEFAULT '',
  id VARCHAR(256) NOT NULL,
  changes LONGTEXT NOT NULL,
  timeout_ms BIGINT NOT NULL DEFAULT 10000,
  created_at BIGINT NOT NULL DEFAULT (CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS INTEGER)),
  state VARCHAR(16) NOT NULL DEFAULT 'proposed',
  reason TEXT NOT NULL DEFAULT '',
  votes LONGTEXT NOT NULL DEFAULT '',
  proposal_id VARCHAR(63) NOT NULL DEFAULT '',
  proposal_offset BIGINT,
  decision_offset BIGINT,
  read_at BIGINT NOT NULL DEFAULT 0,
  decided_at BIGINT NOT NULL DEFAULT 0,
  withdrawn TINYINT NOT NULL DEFAULT 0,
  late TINYINT NOT NULL DEFAULT 0,
  PRIMARY KEY (proposer, id),
  KEY keepstep_joint_open (state, proposal_offset),
  KEY keepstep_joint_decided (state, decided_at),
  CONSTRAINT keepstep_joint_proposed CHECK ((state = 'proposed') = (proposal_offset IS NULL))
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep joint 1'

-- Entities that nobody but their transaction may write (rules 64 and 67), by their canonical keys. A key
-- may be longer than an index takes, so they are found by the MD5 of type and key.
-- name: create_reserved
CREATE TABLE IF NOT EXISTS keepstep_reserved (
  position BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  digest BINARY(16) AS (UNHEX(MD5(CONCAT(entity_type, ' ', entity_key)))) STORED,
  bucket SMALLINT AS (CONV(LEFT(MD5(CONCAT(entity_type, ' ', entity_key)), 3), 16, 10)) STORED,
  entity_type VARCHAR(255) NOT NULL,
  entity_key TEXT NOT NULL,
  operation CHAR(1) NOT NULL,
  proposer VARCHAR(255) NOT NULL,
  id VARCHAR(256) NOT NULL,
  UNIQUE KEY keepstep_reserved_digest (digest),
  KEY keepstep_reserved_of (proposer, id),
  KEY keepstep_reserved_bucket (bucket)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep reserved 1'

-- What the triggers see in a try (rule 64). It is empty outside of one. In a try it has a row without a
-- type, whose key is the agent's connection: keepstep_look_away() writes it.
-- name: create_touched
CREATE TABLE IF NOT EXISTS keepstep_touched (
  position BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  entity_type VARCHAR(255) NOT NULL,
  entity_key TEXT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep touched 1'

-- By these rows writers and reservations exclude each other (rule 66). `reserved`: in how many names of
-- the bucket a writer would find himself; it may be too high, and then costs a look. Made anew, it counts
-- what is reserved.
-- name: create_guard
CREATE TABLE IF NOT EXISTS keepstep_guard (
  bucket SMALLINT NOT NULL PRIMARY KEY,
  reserved BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB COMMENT = 'keepstep guard 1' AS
WITH digit AS (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL
  SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7)
SELECT a.n * 512 + b.n * 64 + c.n * 8 + d.n AS bucket, (SELECT COUNT(*) FROM keepstep_reserved AS r
  WHERE r.bucket = a.n * 512 + b.n * 64 + c.n * 8 + d.n) AS reserved
FROM digit AS a, digit AS b, digit AS c, digit AS d

-- name: has_reserved
SELECT count(*) FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name = 'keepstep_reserved'

-- name: find_reserved
SELECT entity_type FROM keepstep_reserved
WHERE NOT JSON_CONTAINS(?1, JSON_QUOTE(entity_type)) LIMIT 1

-- name: find_unsettled
SELECT CONCAT(id, ' of ', IF(proposer = '', 'this service', proposer), ' is ', state)
FROM keepstep_joint WHERE state NOT IN ('committed', 'aborted', 'elsewhere')
ORDER BY proposal_offset LIMIT 1

-- It reads no table. A read in a trigger takes shared locks: of the relay's row, which would keep the
-- relay waiting until the service commits, and of the gap where an id is not yet, which would keep others
-- from asking. That an id was used says the primary key: to INSERT by an error, to IGNORE by a warning;
-- REPLACE may delete no row. No value of a column's is an array or an object: a deeper text has one.
-- name: create_joint_check
CREATE OR REPLACE TRIGGER keepstep_joint_check BEFORE INSERT ON keepstep_joint FOR EACH ROW
BEGIN
  DECLARE own TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT {service};
  DECLARE reason TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  IF NEW.state = 'proposed' THEN
    IF NEW.proposer NOT IN ('', own) THEN
      SET reason = 'proposer is set by the trigger: leave it out';
    ELSEIF OCTET_LENGTH(NEW.id) NOT BETWEEN 1 AND 255 THEN
      SET reason = 'id must be a text of 1 to 255 bytes';
    ELSEIF NEW.timeout_ms < 1 THEN
      SET reason = 'timeout_ms must be a whole number of at least 1';
    ELSEIF OCTET_LENGTH(CONCAT(NEW.timeout_ms, NEW.changes)) > 65536 - 26 THEN
      SET reason = 'the proposal is larger than 65536 bytes';
    ELSEIF NOT JSON_VALID(NEW.changes) THEN
      SET reason = 'changes is no JSON text';
    ELSEIF JSON_TYPE(NEW.changes) <> 'ARRAY' OR JSON_LENGTH(NEW.changes) NOT BETWEEN 1 AND 100 THEN
      SET reason = 'changes must be an array of 1 to 100 changes';
    ELSEIF JSON_DEPTH(NEW.changes) > 4 OR EXISTS (
        SELECT 1 FROM JSON_TABLE(NEW.changes, '$[*]' COLUMNS (asked JSON PATH '$')) AS c
        WHERE NOT (JSON_TYPE(c.asked) <=> 'OBJECT'
          AND JSON_TYPE(JSON_EXTRACT(c.asked, '$.service')) <=> 'STRING'
          AND JSON_TYPE(JSON_EXTRACT(c.asked, '$.type')) <=> 'STRING'
          AND JSON_TYPE(JSON_EXTRACT(c.asked, '$.key')) <=> 'OBJECT'
          AND COALESCE(JSON_VALUE(c.asked, '$.op') IN ('c', 'u', 'd', 'k'), 0)
          AND COALESCE(JSON_TYPE(JSON_EXTRACT(c.asked, '$.set')), 'OBJECT') = 'OBJECT'
          AND COALESCE(JSON_TYPE(JSON_EXTRACT(c.asked, '$.add')), 'OBJECT') = 'OBJECT'
          AND COALESCE(JSON_TYPE(JSON_EXTRACT(c.asked, '$.if')), 'OBJECT') = 'OBJECT'
          AND JSON_LENGTH(JSON_REMOVE(c.asked, '$.service', '$.type', '$.key', '$.op', '$.set',
            '$.add', '$.if')) <=> 0)) THEN
      SET reason = 'each of changes needs service, type, op (c, u, d or k) and key, an object of the key columns; it may have set, add and if, objects of columns';
    ELSEIF (SELECT COUNT(DISTINCT c.service) FROM JSON_TABLE(NEW.changes, '$[*]' COLUMNS (
        service TEXT PATH '$.service')) AS c) > 16 THEN
      SET reason = 'changes name more than 16 services';
    ELSEIF EXISTS (SELECT 1 FROM JSON_TABLE(NEW.changes, '$[*]' COLUMNS (
          service TEXT PATH '$.service', type TEXT PATH '$.type', `key` JSON PATH '$.key')) AS c
        GROUP BY BINARY c.service, BINARY c.type, BINARY JSON_NORMALIZE(c.`key`)
        HAVING COUNT(*) > 1) THEN
      SET reason = 'an entity occurs twice in changes';
    END IF;
    IF reason IS NOT NULL THEN
      SET reason = CONCAT('keepstep: ', reason);
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = reason;
    END IF;
    SET NEW.proposer = own;
  END IF;
END

-- Behind the row, so that a row which is not written after all leaves no record.
-- name: create_joint_propose
CREATE OR REPLACE TRIGGER keepstep_joint_propose AFTER INSERT ON keepstep_joint FOR EACH ROW
BEGIN
  IF NEW.state = 'proposed' THEN
    INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('keepstep.joint',
      CONCAT(_utf8mb4 '{"id":' COLLATE utf8mb4_nopad_bin, JSON_QUOTE(NEW.id), ',"proposer":', JSON_QUOTE(NEW.proposer), '}'),
      'keepstep.joint.proposal',
      CONCAT('{"timeout_ms":', NEW.timeout_ms, ',"changes":', NEW.changes, '}'));
  END IF;
END

-- The agent writes what stands first in the log; what is old is emptied. What was decided stays so,
-- whoever writes the row, and also by ON DUPLICATE KEY UPDATE.
-- name: create_joint_kept
CREATE OR REPLACE TRIGGER keepstep_joint_kept BEFORE UPDATE ON keepstep_joint FOR EACH ROW
BEGIN
  IF NEW.id <> OLD.id OR NEW.proposer <> OLD.proposer
      OR ((NEW.changes <> OLD.changes OR NEW.timeout_ms <> OLD.timeout_ms)
        AND NOT (OLD.state = 'proposed' AND NEW.state <> 'proposed')
        AND NOT (NEW.changes = '' AND NEW.timeout_ms = OLD.timeout_ms
          AND NEW.state IN ('committed', 'aborted', 'elsewhere')))
  THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'keepstep: what was asked for cannot be changed: ask for another transaction, under another id';
  END IF;
  IF OLD.state <> 'proposed' AND (NOT (NEW.proposal_offset <=> OLD.proposal_offset)
      OR (NOT (NEW.decision_offset <=> OLD.decision_offset) AND OLD.decision_offset IS NOT NULL)
      OR (NEW.state <> OLD.state AND (NEW.state = 'proposed' OR CASE OLD.state
        WHEN 'committing' THEN NEW.state NOT IN ('held', 'committed')
        WHEN 'held' THEN NEW.state <> 'committed'
        WHEN 'aborting' THEN NEW.state <> 'aborted'
        ELSE OLD.state IN ('committed', 'aborted', 'elsewhere') END)))
  THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'keepstep: what the log has said of a joint transaction cannot be changed: ask for another transaction, under another id';
  END IF;
  IF OLD.state = 'proposed' AND NEW.state <> 'proposed' AND NEW.read_at = 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'keepstep: the agent alone says that a proposal was read: leave the row to it';
  END IF;
  IF NEW.state <> OLD.state AND OLD.state <> 'proposed'
      AND NEW.state IN ('committed', 'aborted', 'elsewhere')
  THEN
    IF NEW.state = 'elsewhere'
        OR (NEW.decision_offset IS NULL AND OLD.state IN ('queued', 'reserved', 'refused'))
        OR EXISTS (SELECT 1 FROM keepstep_reserved AS r
          WHERE r.proposer = OLD.proposer AND r.id = OLD.id)
    THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'keepstep: the agent alone ends a joint transaction: `keepstep joint withdraw` and `keepstep joint release` ask it to';
    END IF;
  END IF;
END

-- A name is used once, for ever.
-- name: create_joint_stays
CREATE OR REPLACE TRIGGER keepstep_joint_stays BEFORE DELETE ON keepstep_joint FOR EACH ROW
BEGIN
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'keepstep: rows of keepstep_joint stay, because an id is used once; limits.joint_retention_s empties old ones';
END

-- Others commit rows into the outbox while a try looks at its own: these are told by what they note here.
-- They are taken back with the try, so that nobody ever publishes it. A record of joint transactions is
-- claimed before others. A change that one makes has its name.
-- name: create_outbox_try
CREATE OR REPLACE TRIGGER keepstep_outbox_try BEFORE INSERT ON outbox FOR EACH ROW
BEGIN
  IF @keepstep_reserved IS NOT NULL AND EXISTS (SELECT 1 FROM keepstep_touched AS t
      WHERE t.position = @keepstep_reserved AND t.entity_type = '' AND t.entity_key = CONNECTION_ID())
  THEN
    SET NEW.traceparent = CONCAT('keepstep try ', CONNECTION_ID());
  END IF;
  IF NEW.aggregatetype = 'keepstep.joint' THEN
    SET NEW.waits_first = 1;
  ELSE
    SET NEW.joint = @keepstep_joint;
  END IF;
END

-- Begins a try: from now on triggers of this connection note what they see, instead of looking whether it
-- is reserved. It gives the row that says so, which goes with the try. DETERMINISTIC is what a server with a
-- binary log asks of each function (error 1418); one that is called by itself, as this is, is logged right.
-- name: create_look_away
CREATE OR REPLACE FUNCTION keepstep_look_away() RETURNS BIGINT
DETERMINISTIC MODIFIES SQL DATA SQL SECURITY DEFINER COMMENT 'keepstep look away 2'
BEGIN
  INSERT INTO keepstep_touched (entity_type, entity_key) VALUES ('', CONNECTION_ID());
  RETURN LAST_INSERT_ID();
END

-- The secondary unique indexes of a table, as [index, why its values have no names (null: they have), the
-- name of {row}'s values, whether the table's triggers look for it]. A name is NULL where one of the values is,
-- and else equal exactly where the index finds values equal. `init` runs the expression by itself too.
-- name: create_unique_names
CREATE OR REPLACE FUNCTION keepstep_unique_names(wanted_table VARCHAR(64) CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
READS SQL DATA SQL SECURITY DEFINER COMMENT 'keepstep unique names 1'
RETURN (SELECT COALESCE(JSON_ARRAYAGG(JSON_ARRAY(u.name, u.reason, u.value, COALESCE(
    LOCATE(BINARY REPLACE(u.value, '{row}', 'NEW'), w.inserts) > 0
    AND LOCATE(BINARY REPLACE(u.value, '{row}', 'NEW'), w.updates) > 0, 0))), '[]')
  FROM (SELECT f.index_name AS name, CASE
      WHEN f.index_name REGEXP '[^A-Za-z0-9_]' THEN 'has other letters in its name than A-Z, 0-9 and _'
      WHEN MAX(f.reason) IS NOT NULL THEN MAX(f.reason) END AS reason,
      CONCAT('CONCAT(CONVERT(''["', f.index_name, '"'' USING utf8mb4), '','', ',
        GROUP_CONCAT(f.value ORDER BY f.seq_in_index SEPARATOR ', '','', '), ', '']'')') AS value
    FROM (SELECT s.index_name, s.seq_in_index, CASE
        WHEN s.column_name REGEXP '[{}]' THEN CONCAT('has a brace in the name of its column ', s.column_name)
        WHEN s.sub_part IS NOT NULL THEN CONCAT('has only the beginning of column ', s.column_name)
        WHEN c.extra LIKE '%VIRTUAL%' THEN CONCAT('has the virtual column ', s.column_name)
        WHEN c.data_type IN ('char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext')
          AND RIGHT(c.collation_name, 4) <> '_bin'
          THEN CONCAT('does not compare bytewise: ', s.column_name, ' has collation ', c.collation_name)
        WHEN c.data_type NOT IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'year', 'decimal',
          'date', 'datetime', 'time', 'timestamp', 'uuid', 'char', 'varchar', 'tinytext', 'text',
          'mediumtext', 'longtext', 'binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob')
          THEN CONCAT('does not compare bytewise: ', s.column_name, ' is of type ', c.data_type)
        END AS reason, CASE
        WHEN c.data_type IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'year', 'decimal') THEN n.name
        WHEN c.data_type IN ('date', 'datetime', 'time', 'uuid') THEN CONCAT('''"'', ', n.name, ', ''"''')
        WHEN c.data_type = 'timestamp' THEN CONCAT('UNIX_TIMESTAMP(', n.name, ')')
        WHEN c.data_type IN ('char', 'varchar') THEN CONCAT('JSON_QUOTE(CONVERT(', n.text,
          ' USING utf8mb4) COLLATE utf8mb4_bin)')
        WHEN c.data_type IN ('binary', 'varbinary') THEN CONCAT('''"'', HEX(', n.name, '), ''"''')
        ELSE CONCAT('''"'', MD5(', n.text, '), ''"''') END AS value
      FROM information_schema.statistics AS s
      JOIN information_schema.columns AS c ON c.table_schema = s.table_schema
        AND c.table_name = s.table_name AND c.column_name = s.column_name
        AND c.table_schema = DATABASE() AND c.table_name = wanted_table
      JOIN (SELECT column_name, CONCAT('{row}.`', REPLACE(column_name, '`', '``'), '`') AS name,
          IF(collation_name IS NULL OR RIGHT(collation_name, 9) = 'nopad_bin',
            CONCAT('{row}.`', REPLACE(column_name, '`', '``'), '`'),
            CONCAT('RTRIM({row}.`', REPLACE(column_name, '`', '``'), '`)')) AS text
        FROM information_schema.columns
        WHERE table_schema = DATABASE() AND table_name = wanted_table) AS n
        ON n.column_name = c.column_name
      WHERE s.table_schema = DATABASE() AND s.table_name = wanted_table
        AND s.non_unique = 0 AND s.index_name <> 'PRIMARY') AS f
    GROUP BY f.index_name) AS u
  JOIN (SELECT GROUP_CONCAT(IF(event_manipulation = 'INSERT', BINARY action_statement, '')) AS inserts,
      GROUP_CONCAT(IF(event_manipulation = 'UPDATE', BINARY action_statement, '')) AS updates
    FROM information_schema.triggers
    WHERE event_object_schema = DATABASE() AND event_object_table = wanted_table) AS w)

-- Behind SELECT u.value FROM JSON_TABLE( and that: the names of all that have some.
-- name: read_unique_names
, '$[*]' COLUMNS (name VARCHAR(64) PATH '$[0]', reason TEXT PATH '$[1]', value TEXT PATH '$[2]')) AS u
WHERE u.reason IS NULL ORDER BY u.name

-- The foreign keys of a table, as [its name, the table that it names, column, what that names].
-- name: create_foreign_keys
CREATE OR REPLACE FUNCTION keepstep_foreign_keys(wanted VARCHAR(64) CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
READS SQL DATA SQL SECURITY DEFINER COMMENT 'keepstep foreign keys 1'
RETURN (SELECT COALESCE(JSON_ARRAYAGG(JSON_ARRAY(constraint_name,
    IF(referenced_table_schema = DATABASE(), referenced_table_name,
      CONCAT(referenced_table_schema, '.', referenced_table_name)),
    column_name, referenced_column_name)), '[]')
  FROM information_schema.key_column_usage
  WHERE table_schema = DATABASE() AND table_name = wanted AND referenced_table_name IS NOT NULL)

-- What of a table no name covers, as {"reason":1 where it stands in the way of deletes alone}: not so a foreign
-- key that names what an UPDATE may change. The agent's role does not see the foreign keys of other tables. A
-- period that is WITHOUT OVERLAPS shows as its end and its start, and the CHECK of their order.
-- name: create_uncovered
CREATE OR REPLACE FUNCTION keepstep_uncovered(wanted VARCHAR(64) CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
READS SQL DATA SQL SECURITY DEFINER COMMENT 'keepstep uncovered 5'
RETURN CONCAT(
  '[', (SELECT COALESCE(GROUP_CONCAT(JSON_ARRAY(CONCAT('has the unique index ', index_name), 0)), '[]')
    FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = wanted
      AND non_unique = 0 AND index_name <> 'PRIMARY' AND seq_in_index = 1),
  ',', (SELECT COALESCE(GROUP_CONCAT(JSON_ARRAY(
      CONCAT('has a foreign key to table ', referenced_table_name), 0)), '[]')
    FROM information_schema.referential_constraints
    WHERE constraint_schema = DATABASE() AND table_name = wanted),
  ',', (SELECT COALESCE(GROUP_CONCAT(JSON_ARRAY(
      CONCAT('is named by a foreign key of table ', IF(k.table_schema = DATABASE(), '',
        CONCAT(k.table_schema, '.')), k.table_name), IF(p.column_name IS NULL, 0, 1))), '[]')
    FROM information_schema.key_column_usage AS k LEFT JOIN information_schema.columns AS p
      ON p.table_schema = DATABASE() AND p.table_name = wanted
      AND p.column_name = k.referenced_column_name AND p.column_key = 'PRI'
    WHERE k.referenced_table_schema = DATABASE() AND k.referenced_table_name = wanted
      AND LEFT(k.table_name, 9) <> 'keepstep_'),
  ',', (SELECT COALESCE(GROUP_CONCAT(JSON_ARRAY(CONCAT('has the index ', e.index_name, ' WITHOUT OVERLAPS'), 0)),
      '[]')
    FROM information_schema.statistics AS e JOIN information_schema.statistics AS s
      ON s.index_name = e.index_name AND s.seq_in_index = e.seq_in_index + 1
    JOIN information_schema.check_constraints AS c
      ON c.check_clause = CONCAT('`', REPLACE(s.column_name, '`', '``'), '` < `',
        REPLACE(e.column_name, '`', '``'), '`')
    WHERE e.table_schema = DATABASE() AND e.table_name = wanted AND e.non_unique = 0
      AND s.table_schema = DATABASE() AND s.table_name = wanted
      AND c.constraint_schema = DATABASE() AND c.table_name = wanted),
  ',', (SELECT IF(COUNT(DISTINCT event_manipulation) = 3, '[]',
      JSON_ARRAY('has no triggers that ask for reservations: run `keepstep init`', 0))
    FROM information_schema.triggers WHERE event_object_schema = DATABASE()
      AND event_object_table = wanted AND LOCATE('keepstep_touched', action_statement) > 0), ']')

-- keepstep_reader is for the service's own logins: they ask for transactions, and see what became of
-- them.
-- name: joint_grants
GRANT SELECT, INSERT, UPDATE ON keepstep_joint TO keepstep_agent;
GRANT SELECT, INSERT, DELETE ON keepstep_reserved TO keepstep_agent;
GRANT SELECT, UPDATE ON keepstep_guard TO keepstep_agent;
GRANT SELECT, DELETE ON keepstep_touched TO keepstep_agent;
GRANT UPDATE ON keepstep_meta TO keepstep_agent;
GRANT SELECT (type, payload, traceparent),
  INSERT (aggregatetype, aggregateid, type, payload, changeset) ON outbox TO keepstep_agent;
GRANT SELECT (entity_type) ON keepstep_captured TO keepstep_agent;
GRANT EXECUTE ON FUNCTION keepstep_uncovered TO keepstep_agent;
GRANT EXECUTE ON FUNCTION keepstep_foreign_keys TO keepstep_agent;
GRANT EXECUTE ON FUNCTION keepstep_unique_names TO keepstep_agent, keepstep_relay;
GRANT EXECUTE ON FUNCTION keepstep_look_away TO keepstep_agent;
GRANT SELECT, INSERT (id, changes, timeout_ms) ON keepstep_joint TO keepstep_reader;

-- The agent makes the changes of joint transactions.
-- name: capture_grant_joint
GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO keepstep_agent
