-- What the relay asks of a service's SQLite outbox.

-- name: read_lease
SELECT origin, incarnation, holder, epoch, lease_until_us FROM keepstep_relay

-- name: take_lease
UPDATE keepstep_relay SET holder = ?1, lease_until_us = ?2, epoch = epoch + 1

-- name: release_lease
UPDATE keepstep_relay SET lease_until_us = 0 WHERE epoch = ?1

-- name: renew_lease
UPDATE keepstep_relay SET lease_until_us = ?2 WHERE epoch = ?1

-- name: load_partitions
SELECT p.topic, p.partition, last_sequence, last_id, acknowledged_sequence, acknowledged_offset,
  acknowledged_id, coalesce(r.read_offset, 0)
FROM keepstep_relay_partition AS p
LEFT JOIN keepstep_relay_read AS r ON r.topic = p.topic AND r.partition = p.partition
UNION ALL
SELECT r.topic, r.partition, 0, '', 0, -1, '', r.read_offset FROM keepstep_relay_read AS r
WHERE NOT EXISTS (SELECT 1 FROM keepstep_relay_partition AS p
  WHERE p.topic = r.topic AND p.partition = r.partition)
ORDER BY 1, 2

-- The last column says in the same snapshot whether, up to ?4, no row lacks a number but the ?5 that
-- are being claimed, of which ?4 is the last (?6 is one more). A claim is seen whole or not at all.
-- name: load_waiting
SELECT position, id, aggregatetype, aggregateid, type,
  CASE WHEN length(CAST(payload AS BLOB)) <= ?2 THEN payload END, created_at, traceparent,
  partition_key, kafka_partition, sequence, set_aside, NULL, NULL, joint,
  length(CAST(payload AS BLOB)),
  (SELECT count(*) = 0 OR (count(*) = ?5 AND max(position) = ?4) FROM (
    SELECT position FROM outbox INDEXED BY outbox_waiting
    WHERE sequence IS NULL AND position <= ?4 ORDER BY position LIMIT ?6))
FROM outbox AS o INDEXED BY outbox_waiting
WHERE sequence IS NULL AND set_aside IS NULL AND position > ?4
AND aggregatetype NOT IN (SELECT entity_type FROM keepstep_paused) AND NOT EXISTS (
  SELECT 1 FROM outbox AS s WHERE s.set_aside IS NOT NULL AND s.aggregatetype = o.aggregatetype
  AND s.aggregateid = o.aggregateid AND s.position < o.position)
ORDER BY position LIMIT ?1

-- Records of joint transactions that wait: they are claimed before others (rule 71).
-- name: load_joint
SELECT position, id, aggregatetype, aggregateid, type,
  CASE WHEN length(CAST(payload AS BLOB)) <= ?2 THEN payload END, created_at, traceparent,
  partition_key, kafka_partition, sequence, set_aside, NULL, NULL, joint,
  length(CAST(payload AS BLOB))
FROM outbox AS o INDEXED BY outbox_joint
WHERE sequence IS NULL AND aggregatetype = 'keepstep.joint' AND set_aside IS NULL AND NOT EXISTS (
  SELECT 1 FROM outbox AS s WHERE s.set_aside IS NOT NULL AND s.aggregatetype = o.aggregatetype
  AND s.aggregateid = o.aggregateid AND s.position < o.position)
ORDER BY position LIMIT ?1

-- All rows that wait, and of each the last position that waits with its identity, and of its entity
-- the last one before it that is set aside. The last column says, where ?6 asks for it, whether a row
-- of its identity waits up to ?4, where that stands for one transaction. That all of ?5 rows wait up to
-- ?4 is counted by indexes alone: all without a number, but for those that are set aside. A record of
-- joint transactions is in no set.
-- name: load_sets
SELECT position, id, aggregatetype, aggregateid, type,
  CASE WHEN length(CAST(payload AS BLOB)) <= ?2 THEN payload END, created_at, traceparent,
  partition_key, kafka_partition, sequence, set_aside, changeset, NULL, joint,
  length(CAST(payload AS BLOB)),
  CASE WHEN ?5 = 0 THEN NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_waiting
    WHERE sequence IS NULL AND set_aside IS NULL AND position <= ?4)
  ELSE CASE (SELECT count(*) FROM outbox INDEXED BY outbox_waiting
      WHERE sequence IS NULL AND position <= ?4) -
      (SELECT count(*) FROM outbox INDEXED BY outbox_set_aside
      WHERE set_aside IS NOT NULL AND position <= ?4)
    WHEN 0 THEN 1 WHEN ?5 THEN EXISTS (SELECT 1 FROM outbox
      WHERE position = ?4 AND sequence IS NULL AND set_aside IS NULL)
    ELSE 0 END END,
  CASE WHEN changeset <> '' THEN (SELECT s.position FROM outbox AS s INDEXED BY outbox_changeset
    WHERE s.changeset = o.changeset AND s.sequence IS NULL AND s.changeset <> ''
    AND s.set_aside IS NULL AND s.aggregatetype <> 'keepstep.joint'
    ORDER BY s.position DESC LIMIT 1) ELSE position END,
  (SELECT s.position FROM outbox AS s WHERE s.set_aside IS NOT NULL
    AND s.aggregatetype = o.aggregatetype AND s.aggregateid = o.aggregateid
    AND s.position < o.position ORDER BY s.position DESC LIMIT 1),
  aggregatetype IN (SELECT entity_type FROM keepstep_paused),
  CASE WHEN ?6 <> 0 AND changeset NOT IN ('', '-') AND changeset NOT LIKE '% -' THEN EXISTS (
    SELECT 1 FROM outbox AS s INDEXED BY outbox_changeset
    WHERE s.changeset = o.changeset AND s.sequence IS NULL AND s.changeset <> ''
    AND s.set_aside IS NULL AND s.aggregatetype <> 'keepstep.joint' AND s.position <= ?4) END
FROM outbox AS o INDEXED BY outbox_waiting
WHERE sequence IS NULL AND set_aside IS NULL AND position > ?4
ORDER BY position LIMIT ?1

-- Whether the outbox has the columns that this version needs, and the indexes of whole and of joint
-- transactions.
-- name: is_prepared
SELECT (SELECT count(*) = 2 FROM pragma_table_info('outbox')
    WHERE name IN ('changeset_end', 'joint')),
  EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = 'outbox_changeset'), 0,
  EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = 'outbox_joint')

-- name: claim_rows
UPDATE outbox SET kafka_partition = ?2, sequence = ?3, changeset_end = nullif(?4, 0)
WHERE position = ?1 AND sequence IS NULL AND set_aside IS NULL

-- name: claim_partitions
INSERT INTO keepstep_relay_partition VALUES (?1, ?2, ?3, ?4, 0, -1, '')
ON CONFLICT (topic, partition) DO UPDATE SET last_sequence = ?3, last_id = ?4

-- name: claim_types
INSERT INTO keepstep_relay_type VALUES (?1, ?2) ON CONFLICT (entity_type) DO NOTHING

-- name: read_type
SELECT topic FROM keepstep_relay_type WHERE entity_type = ?1

-- name: move_scan
SELECT coalesce(max(position), 0), count(*)
FROM (SELECT position FROM outbox WHERE position > ?1 ORDER BY position LIMIT ?2)

-- name: move_note
INSERT INTO keepstep_relay_moved SELECT t.topic, o.kafka_partition, o.sequence, o.position
FROM outbox AS o JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
WHERE o.position > ?2 AND o.position <= ?3 AND o.aggregatetype = ?1 AND o.kafka_partition >= 0

-- name: move_rows
UPDATE outbox SET kafka_partition = -1
WHERE position > ?2 AND position <= ?3 AND aggregatetype = ?1 AND kafka_partition >= 0

-- name: move_type
UPDATE keepstep_relay_type SET topic = ?2 WHERE entity_type = ?1

-- name: load_claimed
SELECT position, id, aggregatetype, aggregateid, type, payload, created_at, traceparent,
  partition_key, kafka_partition, sequence, set_aside, changeset, changeset_end, joint
FROM outbox INDEXED BY outbox_claimed
WHERE sequence IS NOT NULL AND kafka_partition = ?2 AND sequence > ?3
  AND aggregatetype IN (SELECT entity_type FROM keepstep_relay_type WHERE topic = ?1)
UNION ALL
SELECT o.position, id, aggregatetype, aggregateid, type, payload, created_at, traceparent,
  partition_key, kafka_partition, o.sequence, set_aside, changeset, changeset_end, joint
FROM keepstep_relay_moved AS m CROSS JOIN outbox AS o ON o.position = m.position
WHERE m.topic = ?1 AND m.partition = ?2 AND m.sequence > ?3
ORDER BY 11

-- name: acknowledge
INSERT INTO keepstep_relay_partition VALUES (?1, ?2, ?3, ?5, ?3, ?4, ?5)
ON CONFLICT (topic, partition) DO UPDATE SET acknowledged_sequence = ?3,
  acknowledged_offset = ?4, acknowledged_id = ?5

-- name: note_read
INSERT INTO keepstep_relay_read VALUES (?1, ?2, ?3)
ON CONFLICT (topic, partition) DO UPDATE SET read_offset = excluded.read_offset

-- name: set_aside
UPDATE outbox SET set_aside = ?2, aggregateid = ?3, changeset = coalesce(?4, changeset)
WHERE position = ?1 AND sequence IS NULL

-- Whether the row that others are to wait for is set aside.
-- name: hold_set_aside
SELECT 1 FROM outbox WHERE position = ?1 AND set_aside IS NOT NULL

-- The rows of the same set that were not loaded.
-- name: set_aside_rest
UPDATE outbox INDEXED BY outbox_changeset SET set_aside = ?4, changeset = ?5
WHERE sequence IS NULL AND changeset <> '' AND changeset = ?1 AND position > ?2 AND position <= ?3
AND set_aside IS NULL AND aggregatetype <> 'keepstep.joint'

-- name: load_group
SELECT position, id, aggregatetype, aggregateid, type, NULL, created_at, traceparent,
  partition_key, kafka_partition, sequence, set_aside, changeset, changeset_end, joint, NULL
FROM outbox INDEXED BY outbox_changeset
WHERE sequence IS NULL AND changeset <> '' AND changeset = ?1 AND position > ?2 AND position <= ?3
AND set_aside IS NULL AND aggregatetype <> 'keepstep.joint' ORDER BY position LIMIT ?4

-- name: write_keys
UPDATE outbox SET aggregateid = ?2 WHERE position = ?1 AND sequence IS NULL

-- By an id that the row was given, or at the position that a derived id names.
-- name: find_row
SELECT o.position, id, aggregatetype, aggregateid, type, payload, created_at, traceparent,
  partition_key, coalesce(m.partition, kafka_partition), o.sequence, set_aside, changeset,
  changeset_end, joint, NULL, coalesce(m.topic, t.topic)
FROM outbox AS o LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
LEFT JOIN keepstep_relay_moved AS m ON m.position = o.position
WHERE o.position = coalesce((SELECT position FROM outbox WHERE id = ?1), ?2)

-- In the order of commits, so that reading can end at the first rows that are too young: no index by
-- time is kept, and nothing is read that stays. Old? Acknowledged? Young (a time to come is neither)?
-- name: purge_scan
SELECT o.position, o.created_at < ?2,
  coalesce(o.changeset_end, o.sequence) <= p.acknowledged_sequence,
  o.created_at BETWEEN ?2 AND ?3
FROM outbox AS o
LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
LEFT JOIN keepstep_relay_moved AS m ON o.kafka_partition = -1 AND m.position = o.position
LEFT JOIN keepstep_relay_partition AS p ON p.topic = coalesce(m.topic, t.topic)
  AND p.partition = coalesce(m.partition, o.kafka_partition)
WHERE o.position > ?1 ORDER BY o.position

-- Where the service's own agent reads the topic it must have read the row back (rule 12).
-- name: purge_scan_applied
SELECT o.position, o.created_at < ?2,
  coalesce(o.changeset_end, o.sequence) <= p.acknowledged_sequence
  AND (p.topic NOT IN (SELECT value FROM json_each(?4))
    OR NOT EXISTS (SELECT 1 FROM keepstep_position AS k WHERE k.topic = p.topic)
    OR o.sequence <= (SELECT max(s.last) FROM keepstep_sequence AS s, keepstep_relay AS r
      WHERE s.topic = p.topic AND s.partition = p.partition AND s.source = r.origin
      AND s.incarnation = r.incarnation)), o.created_at BETWEEN ?2 AND ?3
FROM outbox AS o
LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
LEFT JOIN keepstep_relay_moved AS m ON o.kafka_partition = -1 AND m.position = o.position
LEFT JOIN keepstep_relay_partition AS p ON p.topic = coalesce(m.topic, t.topic)
  AND p.partition = coalesce(m.partition, o.kafka_partition)
WHERE o.position > ?1 ORDER BY o.position

-- name: purge_row
DELETE FROM outbox WHERE position = ?1

-- name: purge_moved
DELETE FROM keepstep_relay_moved WHERE position = ?1

-- name: has_position_table
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'keepstep_position'

-- name: has_wait_tables
SELECT count(*) = 2 FROM sqlite_schema
WHERE type = 'table' AND name IN ('keepstep_position', 'keepstep_relay_wait')

-- name: held_back
SELECT w.topic FROM keepstep_relay_wait AS w WHERE NOT EXISTS (
  SELECT 1 FROM keepstep_position AS k WHERE k.topic = w.topic AND k.partition = w.partition
  AND k.next_offset >= w.until_offset)
ORDER BY w.topic IN (SELECT value FROM json_each(?1)), w.topic LIMIT 1

-- name: has_fill_table
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'keepstep_fill'

-- A topic that the service publishes too and its own agent does not read yet: rows of it are missing
-- here (rule 41).
-- name: unread
SELECT t.value FROM json_each(?1) AS t WHERE EXISTS (SELECT 1 FROM keepstep_fill AS f
    WHERE f.topic = t.value AND f.stage IN ('asked', 'clearing', 'loading'))
  OR NOT EXISTS (SELECT 1 FROM keepstep_position AS k WHERE k.topic = t.value GROUP BY k.topic
    HAVING min(k.partition_count) > 0 AND count(*) >= max(k.partition_count))
ORDER BY 1 LIMIT 1

-- name: signature
PRAGMA data_version

-- name: list_rows
SELECT position, id, aggregatetype, aggregateid, type, CASE ?4 WHEN 0 THEN payload END, created_at,
  traceparent, partition_key, kafka_partition, sequence, set_aside, changeset, changeset_end, joint,
  NULL
FROM outbox WHERE position > ?3 AND CASE ?2 WHEN 0 THEN sequence IS NULL AND set_aside IS NULL
  WHEN 1 THEN set_aside IS NOT NULL ELSE 1 END ORDER BY position LIMIT ?1

-- name: count_rows
SELECT coalesce(sum(set_aside IS NULL), 0), coalesce(sum(set_aside IS NOT NULL), 0),
  (SELECT coalesce(sum(last_sequence - acknowledged_sequence), 0) FROM keepstep_relay_partition),
  min(CASE WHEN set_aside IS NULL THEN created_at END),
  (SELECT min((SELECT min(o.created_at) FROM outbox AS o INDEXED BY outbox_claimed
    WHERE o.sequence IS NOT NULL AND o.kafka_partition = p.partition
    AND o.sequence = p.acknowledged_sequence + 1 AND o.aggregatetype IN (
      SELECT t.entity_type FROM keepstep_relay_type AS t WHERE t.topic = p.topic)))
  FROM keepstep_relay_partition AS p WHERE p.last_sequence > p.acknowledged_sequence)
FROM outbox INDEXED BY outbox_waiting WHERE sequence IS NULL

-- name: find_set_aside
SELECT changeset FROM outbox WHERE position = ?1 AND set_aside IS NOT NULL

-- Of a row that is alone the identity is ''.
-- name: retry_set
UPDATE outbox INDEXED BY outbox_set_aside SET set_aside = NULL
WHERE set_aside IS NOT NULL AND (position = ?1 OR (changeset <> '' AND changeset = ?2))

-- name: drop_set
DELETE FROM outbox INDEXED BY outbox_set_aside
WHERE set_aside IS NOT NULL AND (position = ?1 OR (changeset <> '' AND changeset = ?2))

-- name: cut_set
UPDATE outbox INDEXED BY outbox_set_aside SET set_aside = NULL, changeset = ''
WHERE set_aside IS NOT NULL AND (position = ?1 OR (changeset <> '' AND changeset = ?2))

-- name: release_behind
UPDATE outbox INDEXED BY outbox_set_aside SET set_aside = NULL
WHERE set_aside IS NOT NULL AND substr(set_aside, 1, length(?1)) = ?1
