-- Keepstep's tables beside a local copy. Safe to run again. Texts compare bytewise and unpadded; what
-- comes from records may be no UTF-8, so it is bytes. entity_digest stands for entity type and key,
-- which are too long for an index.
-- name: install
CREATE TABLE IF NOT EXISTS keepstep_meta(
    `key` VARCHAR(64) NOT NULL PRIMARY KEY,
    value VARCHAR(255) NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS keepstep_position(
    topic VARCHAR(255) NOT NULL,
    `partition` INT NOT NULL,
    next_offset BIGINT NOT NULL,
    durable_offset BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    token VARCHAR(36) NOT NULL,
    revision BIGINT NOT NULL DEFAULT 0,
    anchor_offset BIGINT NOT NULL DEFAULT -1,
    anchor_id VARBINARY(255) NOT NULL DEFAULT '',
    cluster_id VARCHAR(255) NOT NULL DEFAULT '',
    partition_count INT NOT NULL DEFAULT 0,
    partial TINYINT NOT NULL DEFAULT 0 CHECK (partial IN (0, 1)),
    stopped BLOB NOT NULL DEFAULT '',
    updated_at BIGINT NOT NULL,
    filled_to BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, `partition`)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS keepstep_sequence(
    source VARBINARY(255) NOT NULL,
    incarnation VARBINARY(36) NOT NULL,
    topic VARCHAR(255) NOT NULL,
    `partition` INT NOT NULL,
    base BIGINT NOT NULL,
    last BIGINT NOT NULL,
    last_id VARBINARY(255) NOT NULL,
    digests BLOB NOT NULL,
    PRIMARY KEY (topic, `partition`, source, incarnation)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS keepstep_idempotency_key(
    source VARBINARY(255) NOT NULL,
    id VARBINARY(255) NOT NULL,
    digest BIGINT NOT NULL,
    applied_at BIGINT NOT NULL,
    topic VARCHAR(255) NOT NULL DEFAULT '',
    PRIMARY KEY (source, id),
    INDEX keepstep_idempotency_key_applied_at (applied_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS keepstep_superseded(
    entity_digest BINARY(32) NOT NULL PRIMARY KEY,
    entity_type BLOB NOT NULL,
    entity_key LONGBLOB NOT NULL,
    topic VARCHAR(255) NOT NULL,
    `partition` INT NOT NULL,
    `offset` BIGINT NOT NULL,
    record_key LONGBLOB,
    record_value LONGBLOB,
    headers LONGBLOB
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
-- state: 0 held, 1 waiting, 2 behind, 3 skipped. sequence: 0 where the event has none; NULL where it is
-- not known, as version 1 parked it. changeset_end: NULL where the event is no part of a set.
CREATE TABLE IF NOT EXISTS keepstep_parked(
    parked_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    topic VARCHAR(255) NOT NULL,
    `partition` INT NOT NULL,
    `offset` BIGINT NOT NULL,
    record_key LONGBLOB,
    record_value LONGBLOB,
    headers LONGBLOB,
    state TINYINT NOT NULL CHECK (state BETWEEN 0 AND 3),
    reason BLOB NOT NULL,
    code INT NOT NULL,
    attempts INT NOT NULL,
    parked_at BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    source VARBINARY(255),
    incarnation VARBINARY(36),
    sequence BIGINT,
    changeset_end BIGINT,
    UNIQUE INDEX keepstep_parked_offset (topic, `partition`, `offset`)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS keepstep_blocked(
    entity_digest BINARY(32) NOT NULL,
    entity_type BLOB NOT NULL,
    entity_key LONGBLOB NOT NULL,
    parked_id BIGINT NOT NULL PRIMARY KEY,
    INDEX keepstep_blocked_entity (entity_digest)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE INDEX IF NOT EXISTS keepstep_parked_skipped ON keepstep_parked(state, next_attempt_at);
CREATE TABLE IF NOT EXISTS keepstep_fill(
    topic VARCHAR(255) NOT NULL PRIMARY KEY,
    id VARCHAR(36) NOT NULL,
    source VARCHAR(255) NOT NULL,
    stage VARCHAR(16) NOT NULL
        CHECK (stage IN ('asked', 'clearing', 'loading', 'replaying', 'done',
        'cancelled')),
    rows_offset BIGINT NOT NULL,
    `rows` BIGINT NOT NULL,
    digest BIGINT NOT NULL,
    voids INT NOT NULL,
    asked_at BIGINT NOT NULL,
    reason BLOB NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
-- The publishing side makes it too.
CREATE TABLE IF NOT EXISTS keepstep_paused(
    entity_type VARCHAR(255) NOT NULL PRIMARY KEY,
    paused_at BIGINT NOT NULL,
    paused_by VARCHAR(255) NOT NULL,
    reason BLOB NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT = 'keepstep paused 1';
-- Older versions lack these columns.
ALTER TABLE keepstep_position ADD COLUMN IF NOT EXISTS filled_to BIGINT NOT NULL DEFAULT 0;
ALTER TABLE keepstep_idempotency_key
    ADD COLUMN IF NOT EXISTS topic VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE keepstep_parked ADD COLUMN IF NOT EXISTS source VARBINARY(255),
    ADD COLUMN IF NOT EXISTS incarnation VARBINARY(36), ADD COLUMN IF NOT EXISTS sequence BIGINT,
    ADD COLUMN IF NOT EXISTS changeset_end BIGINT;
CREATE INDEX IF NOT EXISTS keepstep_parked_changeset
    ON keepstep_parked(topic, `partition`, changeset_end);
-- Whether all events that a token names are applied here (rule 47): 1, 0, or NULL where this copy has
-- never seen their origin in one of the topics.
DELIMITER //
CREATE OR REPLACE FUNCTION keepstep_applied(token MEDIUMTEXT CHARACTER SET utf8mb4)
RETURNS INT READS SQL DATA SQL SECURITY INVOKER COMMENT 'keepstep applied 2'
BEGIN
  DECLARE message TEXT CHARACTER SET utf8mb4;
  IF token NOT REGEXP
      '^[A-Za-z0-9][A-Za-z0-9._-]*/[0-9a-f-]{36}(/[A-Za-z0-9._-]+:[0-9]{1,10}=[0-9]{1,18}(,[0-9]{1,10}=[0-9]{1,18})*)+$'
  THEN
    SET message = CONCAT('keepstep: ', LEFT(token, 300), ' is no token');
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
  END IF;
  RETURN (SELECT CASE
    WHEN SUM(NOT EXISTS (SELECT 1 FROM keepstep_sequence AS s WHERE s.topic = w.topic
      AND s.source = SUBSTRING_INDEX(token, '/', 1))) > 0 THEN NULL
    ELSE SUM(NOT EXISTS (SELECT 1 FROM keepstep_sequence AS s WHERE s.topic = w.topic
        AND s.`partition` = w.place AND s.source = SUBSTRING_INDEX(token, '/', 1)
        AND s.incarnation = SUBSTRING_INDEX(SUBSTRING_INDEX(token, '/', 2), '/', -1)
        AND s.last >= w.sequence)
      OR EXISTS (SELECT 1 FROM keepstep_position AS p WHERE p.topic = w.topic
        AND (p.partial <> 0 OR p.next_offset < p.filled_to))
      OR EXISTS (SELECT 1 FROM keepstep_fill AS f WHERE f.topic = w.topic
        AND f.stage IN ('asked', 'clearing', 'loading'))
      OR EXISTS (SELECT 1 FROM keepstep_parked AS k WHERE k.topic = w.topic
        AND k.`partition` = w.place AND k.state <> 3 AND (k.sequence IS NULL OR (k.sequence <= w.sequence
          AND k.source = SUBSTRING_INDEX(token, '/', 1)
          AND k.incarnation = SUBSTRING_INDEX(SUBSTRING_INDEX(token, '/', 2), '/', -1))))) = 0 END
  FROM JSON_TABLE(CONCAT('[{"t":"', REPLACE(REPLACE(REPLACE(REPLACE(SUBSTRING(token,
      LENGTH(SUBSTRING_INDEX(token, '/', 2)) + 2), ',', '],['), '=', ','), ':', '","p":[['),
      '/', ']]},{"t":"'), ']]}]'),
    '$[*]' COLUMNS (topic VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$.t',
    NESTED PATH '$.p[*]' COLUMNS (place INT PATH '$[0]', sequence BIGINT PATH '$[1]'))) AS w);
END//
DELIMITER ;
INSERT INTO keepstep_meta(`key`, value) VALUES ('schema_version', '3')
ON DUPLICATE KEY UPDATE value = CASE WHEN value IN ('1', '2') THEN '3' ELSE value END;
-- MariaDB grants on one table at a time.
-- name: grants
GRANT SELECT, INSERT ON keepstep_meta TO keepstep_agent;
GRANT SELECT, INSERT, UPDATE ON keepstep_position TO keepstep_agent;
GRANT SELECT, INSERT, UPDATE ON keepstep_fill TO keepstep_agent;
GRANT SELECT, INSERT, UPDATE, DELETE ON keepstep_sequence TO keepstep_agent;
GRANT SELECT, INSERT, DELETE ON keepstep_idempotency_key TO keepstep_agent;
GRANT SELECT, INSERT, UPDATE, DELETE ON keepstep_superseded TO keepstep_agent;
GRANT SELECT, INSERT, UPDATE, DELETE ON keepstep_parked TO keepstep_agent;
GRANT SELECT, INSERT, DELETE ON keepstep_blocked TO keepstep_agent;
GRANT SELECT, INSERT, DELETE ON keepstep_paused TO keepstep_agent;
GRANT SELECT ON keepstep_meta TO keepstep_lag;
GRANT SELECT ON keepstep_paused TO keepstep_lag;
GRANT SELECT ON keepstep_position TO keepstep_lag;
GRANT SELECT ON keepstep_fill TO keepstep_lag;
GRANT SELECT ON keepstep_sequence TO keepstep_lag;
GRANT SELECT ON keepstep_blocked TO keepstep_lag;
GRANT SELECT (parked_id, topic, `partition`, `offset`, state, source, incarnation, sequence,
    changeset_end) ON keepstep_parked TO keepstep_lag;
GRANT SELECT (topic, `partition`, next_offset, filled_to, partial)
    ON keepstep_position TO keepstep_reader;
GRANT SELECT (source, incarnation, topic, `partition`, last) ON keepstep_sequence TO keepstep_reader;
GRANT SELECT (topic, stage) ON keepstep_fill TO keepstep_reader;
GRANT SELECT (topic, `partition`, source, incarnation, sequence, state)
    ON keepstep_parked TO keepstep_reader;
GRANT EXECUTE ON FUNCTION keepstep_applied TO keepstep_reader;
GRANT EXECUTE ON FUNCTION keepstep_applied TO keepstep_agent;
GRANT EXECUTE ON FUNCTION keepstep_applied TO keepstep_lag;
