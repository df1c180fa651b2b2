-- What a comparison of copies asks of a publisher's MariaDB database, all of it in one snapshot.

-- For the next transaction: at READ COMMITTED, which the session has, WITH CONSISTENT SNAPSHOT would
-- be ignored.
-- name: source_isolation
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- name: source_begin
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY

-- name: source_set_aside
SELECT COUNT(*) FROM outbox FORCE INDEX (outbox_set_aside)
WHERE blocks IS NOT NULL AND aggregatetype = ?1

-- The entities of rows that are not acknowledged, and how many such rows there are, up to ?3. Rows
-- that wait and rows set aside have no number. A row that was numbered for a topic which its type
-- has left counts in that topic. A long text is sorted, and so grouped, by its beginning alone.
-- name: source_open_keys
SELECT aggregateid, SUM(COUNT(*)) OVER () FROM (
  SELECT aggregateid FROM outbox FORCE INDEX (outbox_claimed)
  WHERE kafka_partition IS NULL AND sequence IS NULL AND aggregatetype = ?1
  UNION ALL
  SELECT o.aggregateid FROM keepstep_relay_type AS t
  STRAIGHT_JOIN keepstep_relay_partition AS p ON p.topic = t.topic
  STRAIGHT_JOIN outbox AS o FORCE INDEX (outbox_claimed) ON o.kafka_partition = p.`partition`
    AND o.sequence > p.acknowledged_sequence AND o.aggregatetype = t.entity_type
  WHERE t.entity_type = ?1
  UNION ALL
  SELECT o.aggregateid FROM keepstep_relay_partition AS p
  STRAIGHT_JOIN keepstep_relay_moved AS m ON m.topic = p.topic AND m.`partition` = p.`partition`
    AND m.sequence > p.acknowledged_sequence
  STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.position = m.position
  WHERE o.aggregatetype = ?1
  LIMIT ?3) AS r
GROUP BY MD5(aggregateid), aggregateid LIMIT ?2

-- name: source_last_row
SELECT max(position) FROM outbox

-- Whether there are rows up to position ?2 that are not acknowledged, and how many of them are set
-- aside.
-- name: source_open_rows
SELECT EXISTS (
  SELECT 1 FROM outbox FORCE INDEX (outbox_claimed)
  WHERE kafka_partition IS NULL AND sequence IS NULL AND aggregatetype = ?1 AND position <= ?2)
OR EXISTS (
  SELECT 1 FROM keepstep_relay_type AS t
  STRAIGHT_JOIN keepstep_relay_partition AS p ON p.topic = t.topic
  STRAIGHT_JOIN outbox AS o FORCE INDEX (outbox_claimed) ON o.kafka_partition = p.`partition`
    AND o.sequence > p.acknowledged_sequence AND o.aggregatetype = t.entity_type
  WHERE t.entity_type = ?1 AND o.position <= ?2)
OR EXISTS (
  SELECT 1 FROM keepstep_relay_partition AS p
  STRAIGHT_JOIN keepstep_relay_moved AS m ON m.topic = p.topic AND m.`partition` = p.`partition`
    AND m.sequence > p.acknowledged_sequence
  STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.position = m.position
  WHERE o.aggregatetype = ?1 AND o.position <= ?2),
(SELECT COUNT(*) FROM outbox FORCE INDEX (outbox_set_aside)
  WHERE blocks IS NOT NULL AND aggregatetype = ?1 AND position <= ?2)
