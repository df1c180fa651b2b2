-- What the relay asks of a service's MariaDB outbox. The session replaces ?1, ?2 … by MariaDB's `?`.
-- A statement over JSON_TABLE takes all rows of a step at once, as one JSON array of arrays.

-- name: read_lease
SELECT origin, incarnation, holder, epoch, lease_until_us FROM keepstep_relay

-- name: lock_lease
SELECT origin, incarnation, holder, epoch, lease_until_us FROM keepstep_relay FOR UPDATE

-- name: take_lease
UPDATE keepstep_relay SET holder = ?1, lease_until_us = ?2, epoch = epoch + 1

-- name: release_lease
UPDATE keepstep_relay SET holder = '', lease_until_us = 0 WHERE epoch = ?1

-- name: renew_lease
UPDATE keepstep_relay SET lease_until_us = ?2 WHERE epoch = ?1

-- name: load_partitions
SELECT p.topic, p.`partition`, last_sequence, last_id, acknowledged_sequence, acknowledged_offset,
  acknowledged_id, coalesce(r.read_offset, 0)
FROM keepstep_relay_partition AS p
LEFT JOIN keepstep_relay_read AS r ON r.topic = p.topic AND r.`partition` = p.`partition`
UNION ALL
SELECT r.topic, r.`partition`, 0, '', 0, -1, '', r.read_offset FROM keepstep_relay_read AS r
WHERE NOT EXISTS (SELECT 1 FROM keepstep_relay_partition AS p
  WHERE p.topic = r.topic AND p.`partition` = r.`partition`)
ORDER BY 1, 2

-- A plain read, without locks: a long transaction of the service holds nobody up. Rows without a
-- number are the first of the index of numbers, by position; that none is set aside is asked once.
-- The last column says in the same snapshot whether, up to ?4, no row lacks a number but the ?5 that
-- are being claimed, of which ?4 is the last (?6 is one more). A claim is seen whole or not at all.
-- name: load_waiting
SELECT o.position, o.id, o.aggregatetype, o.aggregateid, o.type,
  IF(OCTET_LENGTH(o.payload) <= ?2, o.payload, NULL),
  DATE_FORMAT(o.created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), o.traceparent, o.partition_key,
  o.kafka_partition, o.sequence, o.set_aside, NULL, NULL, o.joint,
  OCTET_LENGTH(o.payload),
  (SELECT COUNT(*) = 0 OR (COUNT(*) = ?5 AND MAX(position) = ?4) FROM (
    SELECT position FROM outbox FORCE INDEX (outbox_claimed) WHERE kafka_partition IS NULL
    AND sequence IS NULL AND position <= ?4 ORDER BY position LIMIT ?6) AS b)
FROM outbox AS o FORCE INDEX (outbox_claimed)
WHERE o.kafka_partition IS NULL AND o.sequence IS NULL AND o.set_aside IS NULL AND o.position > ?4
AND o.aggregatetype NOT IN (SELECT entity_type FROM keepstep_paused)
AND (NOT EXISTS (SELECT 1 FROM outbox FORCE INDEX (outbox_set_aside) WHERE blocks IS NOT NULL)
  OR NOT EXISTS (SELECT 1 FROM outbox AS s FORCE INDEX (outbox_set_aside)
    WHERE s.blocks = UNHEX(MD5(CONCAT(o.aggregatetype, ' ', o.aggregateid)))
    AND s.aggregatetype = o.aggregatetype AND s.aggregateid = o.aggregateid
    AND s.position < o.position))
ORDER BY o.position LIMIT ?1

-- Records of joint transactions that wait: they are claimed before others (rule 71).
-- name: load_joint
SELECT o.position, o.id, o.aggregatetype, o.aggregateid, o.type,
  IF(OCTET_LENGTH(o.payload) <= ?2, o.payload, NULL),
  DATE_FORMAT(o.created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), o.traceparent, o.partition_key,
  o.kafka_partition, o.sequence, o.set_aside, NULL, NULL, o.joint, OCTET_LENGTH(o.payload)
FROM outbox AS o FORCE INDEX (outbox_joint)
WHERE o.waits_first = 1 AND o.set_aside IS NULL
AND NOT EXISTS (SELECT 1 FROM outbox AS s FORCE INDEX (outbox_set_aside)
  WHERE s.blocks = UNHEX(MD5(CONCAT(o.aggregatetype, ' ', o.aggregateid)))
  AND s.aggregatetype = o.aggregatetype AND s.aggregateid = o.aggregateid
  AND s.position < o.position)
ORDER BY o.position LIMIT ?1

-- All rows that wait, and of each the last position that waits with its identity, and of its entity
-- the last one before it that is set aside. The last column says, where ?6 asks for it, whether a row
-- of its identity waits up to ?4, where that stands for one transaction, or is '-': a session without
-- a binary log may commit late beside others that have one. That all of ?5 rows wait up to ?4 is
-- counted by indexes alone: all without a number, but for those that are set aside. As above each
-- index is named. A record of joint transactions is in no set.
-- name: load_sets
SELECT o.position, o.id, o.aggregatetype, o.aggregateid, o.type,
  IF(OCTET_LENGTH(o.payload) <= ?2, o.payload, NULL),
  DATE_FORMAT(o.created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), o.traceparent, o.partition_key,
  o.kafka_partition, o.sequence, o.set_aside, o.changeset, NULL, o.joint,
  OCTET_LENGTH(o.payload),
  CASE WHEN ?5 = 0 THEN NOT EXISTS (SELECT 1 FROM outbox FORCE INDEX (outbox_claimed)
    WHERE kafka_partition IS NULL AND sequence IS NULL AND set_aside IS NULL AND position <= ?4)
  ELSE CASE (SELECT COUNT(*) FROM outbox FORCE INDEX (outbox_claimed)
      WHERE kafka_partition IS NULL AND sequence IS NULL AND position <= ?4) -
      (SELECT COUNT(*) FROM outbox FORCE INDEX (outbox_set_aside)
      WHERE blocks IS NOT NULL AND position <= ?4)
    WHEN 0 THEN 1 WHEN ?5 THEN EXISTS (SELECT 1 FROM outbox FORCE INDEX (PRIMARY)
      WHERE position = ?4 AND kafka_partition IS NULL AND set_aside IS NULL)
    ELSE 0 END END,
  IF(o.changeset <> '', (SELECT s.position FROM outbox AS s FORCE INDEX (outbox_changeset)
    WHERE s.changeset = o.changeset AND s.kafka_partition IS NULL AND s.set_aside IS NULL
    AND s.aggregatetype <> 'keepstep.joint' ORDER BY s.position DESC LIMIT 1), o.position),
  (SELECT s.position FROM outbox AS s FORCE INDEX (outbox_set_aside)
    WHERE s.blocks = UNHEX(MD5(CONCAT(o.aggregatetype, ' ', o.aggregateid)))
    AND s.aggregatetype = o.aggregatetype AND s.aggregateid = o.aggregateid
    AND s.position < o.position ORDER BY s.position DESC LIMIT 1),
  o.aggregatetype IN (SELECT entity_type FROM keepstep_paused),
  IF(?6 <> 0 AND o.changeset = '-',
    (SELECT s.position FROM outbox AS s FORCE INDEX (outbox_changeset)
    WHERE ?6 <> 0 AND s.changeset = '-' AND s.kafka_partition IS NULL AND s.set_aside IS NULL
    AND s.aggregatetype <> 'keepstep.joint' ORDER BY s.position LIMIT 1) <= ?4,
  IF(?6 <> 0 AND o.changeset <> '' AND o.changeset NOT LIKE '% -',
    (SELECT s.position FROM outbox AS s FORCE INDEX (outbox_changeset)
    WHERE s.changeset = o.changeset AND s.kafka_partition IS NULL AND s.set_aside IS NULL
    AND s.aggregatetype <> 'keepstep.joint' ORDER BY s.position LIMIT 1) <= ?4, NULL))
FROM outbox AS o FORCE INDEX (outbox_claimed)
WHERE o.kafka_partition IS NULL AND o.sequence IS NULL AND o.set_aside IS NULL AND o.position > ?4
ORDER BY o.position LIMIT ?1

-- Whether the outbox has the columns that this version needs, and the indexes of whole and of joint
-- transactions.
-- name: is_prepared
SELECT (SELECT COUNT(*) = 2 FROM information_schema.columns WHERE table_schema = DATABASE()
    AND table_name = 'outbox' AND column_name IN ('changeset_end', 'joint')),
  EXISTS (SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE()
    AND table_name = 'outbox' AND index_name = 'outbox_changeset'), 0,
  EXISTS (SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE()
    AND table_name = 'outbox' AND index_name = 'outbox_joint')

-- How many rows of load_sets fit.
-- name: count_fitting_sets
SELECT COUNT(*) FROM (SELECT SUM(bytes)
    OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_it
  FROM (SELECT position, IF(OCTET_LENGTH(payload) <= ?2, OCTET_LENGTH(payload), 0) AS bytes
    FROM outbox FORCE INDEX (outbox_claimed)
    WHERE kafka_partition IS NULL AND sequence IS NULL AND set_aside IS NULL AND position > ?4
    ORDER BY position LIMIT ?1) AS w) AS f
WHERE before_it IS NULL OR before_it < ?3

-- How many rows of load_waiting fit: what a client does not fetch is sent to it all the same.
-- name: count_fitting
SELECT COUNT(*) FROM (SELECT SUM(bytes)
    OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_it
  FROM (SELECT o.position, IF(OCTET_LENGTH(o.payload) <= ?2, OCTET_LENGTH(o.payload), 0) AS bytes
    FROM outbox AS o FORCE INDEX (outbox_claimed)
    WHERE o.kafka_partition IS NULL AND o.sequence IS NULL AND o.set_aside IS NULL
    AND o.position > ?4
    AND o.aggregatetype NOT IN (SELECT entity_type FROM keepstep_paused)
    AND (NOT EXISTS (SELECT 1 FROM outbox FORCE INDEX (outbox_set_aside) WHERE blocks IS NOT NULL)
      OR NOT EXISTS (SELECT 1 FROM outbox AS s FORCE INDEX (outbox_set_aside)
        WHERE s.blocks = UNHEX(MD5(CONCAT(o.aggregatetype, ' ', o.aggregateid)))
        AND s.aggregatetype = o.aggregatetype AND s.aggregateid = o.aggregateid
        AND s.position < o.position))
    ORDER BY o.position LIMIT ?1) AS w) AS f
WHERE before_it IS NULL OR before_it < ?3

-- All rows of a claim in one statement: one a row costs the server half as much again. By primary
-- key only, so that it locks nothing else.
-- name: claim_rows
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (position BIGINT PATH '$[0]', `partition` INT PATH '$[1]',
  sequence BIGINT PATH '$[2]', changeset_end BIGINT PATH '$[3]')) AS r
STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.position = r.position
SET o.kafka_partition = r.`partition`, o.sequence = r.sequence,
  o.changeset_end = NULLIF(r.changeset_end, 0), o.waits_first = NULL
WHERE o.sequence IS NULL AND o.set_aside IS NULL

-- A JSON_TABLE costs the server more than a few rows.
-- name: claim_row
UPDATE outbox FORCE INDEX (PRIMARY) SET kafka_partition = ?2, sequence = ?3,
  changeset_end = NULLIF(?4, 0), waits_first = NULL
WHERE position = ?1 AND sequence IS NULL AND set_aside IS NULL

-- name: claim_partition
INSERT INTO keepstep_relay_partition VALUES (?1, ?2, ?3, ?4, 0, -1, '')
ON DUPLICATE KEY UPDATE last_sequence = VALUES(last_sequence), last_id = VALUES(last_id)

-- name: claim_partitions
INSERT INTO keepstep_relay_partition
SELECT r.topic, r.`partition`, r.last_sequence, r.last_id, 0, -1, ''
FROM JSON_TABLE(?1, '$[*]' COLUMNS (
  topic VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[0]', `partition` INT PATH '$[1]',
  last_sequence BIGINT PATH '$[2]',
  last_id VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[3]')) AS r
ON DUPLICATE KEY UPDATE last_sequence = VALUES(last_sequence), last_id = VALUES(last_id)

-- name: claim_types
INSERT INTO keepstep_relay_type
SELECT r.entity_type, r.topic FROM JSON_TABLE(?1, '$[*]' COLUMNS (
  entity_type VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[0]',
  topic VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[1]')) AS r
ON DUPLICATE KEY UPDATE entity_type = VALUES(entity_type)

-- name: read_type
SELECT topic FROM keepstep_relay_type WHERE entity_type = ?1

-- name: move_scan
SELECT COALESCE(MAX(position), 0), COUNT(*) FROM (
  SELECT position FROM outbox FORCE INDEX (PRIMARY) WHERE position > ?1 ORDER BY position LIMIT ?2) AS o

-- name: move_note
INSERT INTO keepstep_relay_moved SELECT ?4, o.kafka_partition, o.sequence, o.position
FROM outbox AS o FORCE INDEX (PRIMARY)
WHERE o.aggregatetype = ?1 AND o.position > ?2 AND o.position <= ?3 AND o.kafka_partition >= 0

-- name: move_rows
UPDATE outbox FORCE INDEX (PRIMARY) SET kafka_partition = -1
WHERE aggregatetype = ?1 AND position > ?2 AND position <= ?3 AND kafka_partition >= 0

-- name: move_type
UPDATE keepstep_relay_type SET topic = ?2 WHERE entity_type = ?1

-- name: load_claimed
SELECT position, id, aggregatetype, aggregateid, type, payload,
  DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), traceparent, partition_key, kafka_partition,
  sequence, set_aside, changeset, changeset_end, joint
FROM outbox AS o FORCE INDEX (outbox_claimed)
WHERE kafka_partition = ?2 AND sequence > ?3 AND EXISTS (SELECT 1 FROM keepstep_relay_type AS t
  WHERE t.entity_type = o.aggregatetype AND t.topic = ?1)
UNION ALL
SELECT o.position, id, aggregatetype, aggregateid, type, payload,
  DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), traceparent, partition_key, kafka_partition,
  o.sequence, set_aside, changeset, changeset_end, joint
FROM keepstep_relay_moved AS m STRAIGHT_JOIN outbox AS o ON o.position = m.position
WHERE m.`partition` = ?2 AND m.sequence > ?3 AND m.topic = ?1
ORDER BY sequence

-- name: acknowledge
INSERT INTO keepstep_relay_partition
SELECT r.topic, r.`partition`, r.sequence, r.id, r.sequence, r.log_offset, r.id
FROM JSON_TABLE(?1, '$[*]' COLUMNS (
  topic VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[0]', `partition` INT PATH '$[1]',
  sequence BIGINT PATH '$[2]', log_offset BIGINT PATH '$[3]',
  id VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[4]')) AS r
ON DUPLICATE KEY UPDATE acknowledged_sequence = VALUES(acknowledged_sequence),
  acknowledged_offset = VALUES(acknowledged_offset), acknowledged_id = VALUES(acknowledged_id)

-- name: note_read
INSERT INTO keepstep_relay_read
SELECT r.topic, r.`partition`, r.read_offset FROM JSON_TABLE(?1, '$[*]' COLUMNS (
  topic VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[0]', `partition` INT PATH '$[1]',
  read_offset BIGINT PATH '$[2]')) AS r
ON DUPLICATE KEY UPDATE read_offset = VALUES(read_offset)

-- name: set_aside
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (position BIGINT PATH '$[0]',
  reason LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[1]',
  entity_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[2]',
  changeset VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$[3]')) AS r
STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.position = r.position
SET o.set_aside = r.reason, o.aggregateid = r.entity_key,
  o.changeset = COALESCE(r.changeset, o.changeset)
WHERE o.sequence IS NULL

-- Whether the row that others are to wait for is set aside, which nobody ends before they are.
-- name: hold_set_aside
SELECT 1 FROM outbox FORCE INDEX (PRIMARY) WHERE position = ?1 AND set_aside IS NOT NULL FOR UPDATE

-- The rows of the same set that were not loaded. An identity is ASCII: in the parameter's character
-- set it would fit no index.
-- name: set_aside_rest
UPDATE outbox FORCE INDEX (outbox_changeset) SET set_aside = ?4, changeset = ?5
WHERE changeset = CONVERT(?1 USING ascii) COLLATE ascii_bin AND kafka_partition IS NULL
  AND position > ?2 AND position <= ?3 AND sequence IS NULL AND set_aside IS NULL
  AND aggregatetype <> 'keepstep.joint'

-- name: load_group
SELECT position, id, aggregatetype, aggregateid, type, NULL,
  DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), traceparent, partition_key, kafka_partition,
  sequence, set_aside, changeset, changeset_end, joint, NULL
FROM outbox FORCE INDEX (outbox_changeset)
WHERE changeset = CONVERT(?1 USING ascii) COLLATE ascii_bin AND kafka_partition IS NULL
  AND position > ?2 AND position <= ?3 AND sequence IS NULL AND set_aside IS NULL
  AND aggregatetype <> 'keepstep.joint' ORDER BY position LIMIT ?4

-- name: write_keys
UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (position BIGINT PATH '$[0]',
  entity_key LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$[1]')) AS r
STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.position = r.position
SET o.aggregateid = r.entity_key WHERE o.sequence IS NULL

-- By an id that the row was given, or at the position that a derived id names.
-- name: find_row
SELECT o.position, id, aggregatetype, aggregateid, type, payload,
  DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), traceparent, partition_key,
  COALESCE(m.`partition`, kafka_partition), o.sequence, set_aside, changeset, changeset_end, joint,
  NULL,
  COALESCE(m.topic, t.topic)
FROM outbox AS o LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
LEFT JOIN keepstep_relay_moved AS m ON m.position = o.position
WHERE o.position = COALESCE((SELECT position FROM outbox WHERE id = ?1), ?2)

-- In the order of commits, so that reading can end at the first rows that are too young. Old?
-- Acknowledged? Young (a time to come is neither)?
-- name: purge_scan
SELECT o.position, o.created_at < ?2,
  COALESCE(o.changeset_end, o.sequence) <= p.acknowledged_sequence,
  o.created_at BETWEEN ?2 AND ?3
FROM outbox AS o
LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
LEFT JOIN keepstep_relay_moved AS m ON o.kafka_partition = -1 AND m.position = o.position
LEFT JOIN keepstep_relay_partition AS p ON p.topic = COALESCE(m.topic, t.topic)
  AND p.`partition` = COALESCE(m.`partition`, o.kafka_partition)
WHERE o.position > ?1 ORDER BY o.position LIMIT ?5

-- Where the service's own agent reads the topic it must have read the row back (rule 12).
-- name: purge_scan_applied
SELECT o.position, o.created_at < ?2,
  COALESCE(o.changeset_end, o.sequence) <= p.acknowledged_sequence
  AND (NOT JSON_CONTAINS(?4, JSON_QUOTE(p.topic))
    OR NOT EXISTS (SELECT 1 FROM keepstep_position AS k WHERE k.topic = p.topic)
    OR o.sequence <= (SELECT MAX(s.`last`) FROM keepstep_sequence AS s, keepstep_relay AS r
      WHERE s.topic = p.topic AND s.`partition` = p.`partition` AND s.source = r.origin
      AND s.incarnation = r.incarnation)), o.created_at BETWEEN ?2 AND ?3
FROM outbox AS o
LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
LEFT JOIN keepstep_relay_moved AS m ON o.kafka_partition = -1 AND m.position = o.position
LEFT JOIN keepstep_relay_partition AS p ON p.topic = COALESCE(m.topic, t.topic)
  AND p.`partition` = COALESCE(m.`partition`, o.kafka_partition)
WHERE o.position > ?1 ORDER BY o.position LIMIT ?5

-- name: purge_row
DELETE o FROM JSON_TABLE(?1, '$[*]' COLUMNS (position BIGINT PATH '$[0]')) AS r
STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.position = r.position

-- name: purge_moved
DELETE m FROM JSON_TABLE(?1, '$[*]' COLUMNS (position BIGINT PATH '$[0]')) AS r
STRAIGHT_JOIN keepstep_relay_moved AS m FORCE INDEX (keepstep_relay_moved_position)
  ON m.position = r.position

-- The catalogue hides a table from a role without rights on it. So the table itself is read: that it
-- is missing is an error of its own.
-- name: has_position_table
SELECT COUNT(*) >= 0 FROM (SELECT 1 FROM keepstep_position LIMIT 1) AS t

-- name: has_wait_tables
SELECT COUNT(*) >= 0 FROM ((SELECT 1 FROM keepstep_position LIMIT 1)
  UNION ALL (SELECT 1 FROM keepstep_relay_wait LIMIT 1)) AS t

-- name: held_back
SELECT w.topic FROM keepstep_relay_wait AS w WHERE NOT EXISTS (
  SELECT 1 FROM keepstep_position AS k WHERE k.topic = w.topic AND k.`partition` = w.`partition`
  AND k.next_offset >= w.until_offset)
ORDER BY JSON_CONTAINS(?1, JSON_QUOTE(w.topic)), w.topic LIMIT 1

-- name: has_fill_table
SELECT COUNT(*) >= 0 FROM (SELECT 1 FROM keepstep_fill LIMIT 1) AS t

-- A topic that the service publishes too and its own agent does not read yet: rows of it are missing
-- here (rule 41).
-- name: unread
SELECT t.topic FROM JSON_TABLE(?1, '$[*]' COLUMNS (
  topic VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$')) AS t
WHERE EXISTS (SELECT 1 FROM keepstep_fill AS f
    WHERE f.topic = t.topic AND f.stage IN ('asked', 'clearing', 'loading'))
  OR NOT EXISTS (SELECT 1 FROM keepstep_position AS k WHERE k.topic = t.topic GROUP BY k.topic
    HAVING min(k.partition_count) > 0 AND count(*) >= max(k.partition_count))
ORDER BY 1 LIMIT 1

-- What changes when another session commits, read from the indexes alone: numbers become visible out
-- of order, so the largest alone would not tell.
-- name: signature
SELECT CONCAT_WS(' ', COUNT(*), COALESCE(SUM(position), 0),
  (SELECT COUNT(*) FROM outbox FORCE INDEX (outbox_set_aside) WHERE blocks IS NOT NULL),
  (SELECT COALESCE(MAX(position), 0) FROM outbox))
FROM (SELECT position FROM outbox FORCE INDEX (outbox_claimed)
  WHERE kafka_partition IS NULL AND sequence IS NULL ORDER BY position LIMIT 256) AS w

-- name: list_waiting
SELECT position, id, aggregatetype, aggregateid, type, IF(?4 = 0, payload, NULL),
  DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), traceparent, partition_key, kafka_partition,
  sequence, set_aside, changeset, changeset_end, joint, NULL
FROM outbox FORCE INDEX (outbox_claimed)
WHERE kafka_partition IS NULL AND sequence IS NULL AND set_aside IS NULL
  AND position > ?3 ORDER BY position LIMIT ?1

-- name: list_set_aside
SELECT position, id, aggregatetype, aggregateid, type, IF(?4 = 0, payload, NULL),
  DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), traceparent, partition_key, kafka_partition,
  sequence, set_aside, changeset, changeset_end, joint, NULL
FROM outbox WHERE blocks IS NOT NULL AND position > ?3 ORDER BY position LIMIT ?1

-- name: list_all
SELECT position, id, aggregatetype, aggregateid, type, IF(?4 = 0, payload, NULL),
  DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%s.%fZ'), traceparent, partition_key, kafka_partition,
  sequence, set_aside, changeset, changeset_end, joint, NULL
FROM outbox WHERE position > ?3 ORDER BY position LIMIT ?1

-- name: count_rows
SELECT COUNT(*) - COUNT(set_aside), COUNT(set_aside),
  (SELECT COALESCE(SUM(last_sequence - acknowledged_sequence), 0) FROM keepstep_relay_partition),
  DATE_FORMAT(MIN(IF(set_aside IS NULL, created_at, NULL)), '%Y-%m-%dT%H:%i:%s.%fZ'),
  (SELECT DATE_FORMAT(MIN((SELECT MIN(o.created_at) FROM outbox AS o FORCE INDEX (outbox_claimed)
    WHERE o.kafka_partition = p.`partition` AND o.sequence = p.acknowledged_sequence + 1
    AND o.aggregatetype IN (
      SELECT t.entity_type FROM keepstep_relay_type AS t WHERE t.topic = p.topic))),
    '%Y-%m-%dT%H:%i:%s.%fZ')
  FROM keepstep_relay_partition AS p WHERE p.last_sequence > p.acknowledged_sequence)
FROM outbox FORCE INDEX (outbox_claimed) WHERE kafka_partition IS NULL AND sequence IS NULL

-- name: find_set_aside
SELECT changeset FROM outbox WHERE position = ?1 AND set_aside IS NOT NULL

-- Of a row that is alone the identity is ''.
-- name: retry_set
UPDATE outbox FORCE INDEX (outbox_set_aside) SET set_aside = NULL
WHERE blocks IS NOT NULL AND (position = ?1 OR (changeset <> '' AND changeset = ?2))

-- name: drop_set
DELETE o FROM outbox AS o FORCE INDEX (outbox_set_aside)
WHERE blocks IS NOT NULL AND (position = ?1 OR (changeset <> '' AND changeset = ?2))

-- name: cut_set
UPDATE outbox FORCE INDEX (outbox_set_aside) SET set_aside = NULL, changeset = ''
WHERE blocks IS NOT NULL AND (position = ?1 OR (changeset <> '' AND changeset = ?2))

-- name: release_behind
UPDATE outbox FORCE INDEX (outbox_set_aside) SET set_aside = NULL
WHERE blocks IS NOT NULL AND LEFT(set_aside, CHAR_LENGTH(?1)) = ?1
