-- What a comparison of copies asks of a publisher's PostgreSQL database, all of it in one snapshot.

-- Whether there is a table of this name now.
-- name: source_table
SELECT to_regclass($1) IS NOT NULL

-- name: source_set_aside
SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL AND sequence IS NULL AND aggregatetype = $1

-- The entities of rows that are not acknowledged, and how many such rows there are, up to $3. Rows
-- that wait and rows set aside have no number. A row that was numbered for a topic which its type
-- has left counts in that topic.
-- name: source_open_keys
SELECT aggregateid, sum(count(*)) OVER () FROM (
  SELECT aggregateid FROM outbox WHERE sequence IS NULL AND aggregatetype = $1
  UNION ALL
  SELECT o.aggregateid FROM keepstep_relay_type AS t
  JOIN keepstep_relay_partition AS p ON p.topic = t.topic
  JOIN outbox AS o ON o.sequence IS NOT NULL AND o.kafka_partition = p.partition
    AND o.sequence > p.acknowledged_sequence AND o.aggregatetype = t.entity_type
  WHERE t.entity_type = $1
  UNION ALL
  SELECT o.aggregateid FROM keepstep_relay_partition AS p
  JOIN keepstep_relay_moved AS m ON m.topic = p.topic AND m.partition = p.partition
    AND m.sequence > p.acknowledged_sequence
  JOIN outbox AS o ON o.position = m.position
  WHERE o.aggregatetype = $1
  LIMIT $3::bigint) AS r
GROUP BY aggregateid LIMIT $2::bigint

-- name: source_last_row
SELECT max(position) FROM outbox

-- Whether there are rows up to position $2 that are not acknowledged, and how many of them are set
-- aside.
-- name: source_open_rows
SELECT EXISTS (
  SELECT FROM outbox WHERE sequence IS NULL AND aggregatetype = $1 AND position <= $2::bigint)
OR EXISTS (
  SELECT FROM keepstep_relay_type AS t
  JOIN keepstep_relay_partition AS p ON p.topic = t.topic
  JOIN outbox AS o ON o.sequence IS NOT NULL AND o.kafka_partition = p.partition
    AND o.sequence > p.acknowledged_sequence AND o.aggregatetype = t.entity_type
  WHERE t.entity_type = $1 AND o.position <= $2::bigint)
OR EXISTS (
  SELECT FROM keepstep_relay_partition AS p
  JOIN keepstep_relay_moved AS m ON m.topic = p.topic AND m.partition = p.partition
    AND m.sequence > p.acknowledged_sequence
  JOIN outbox AS o ON o.position = m.position
  WHERE o.aggregatetype = $1 AND o.position <= $2::bigint),
(SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL AND sequence IS NULL
  AND aggregatetype = $1 AND position <= $2::bigint)
