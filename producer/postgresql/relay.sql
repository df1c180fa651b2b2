-- What the relay asks of a service's PostgreSQL outbox.

-- name: read_lease
SELECT origin, incarnation, holder, epoch, lease_until_us FROM keepstep_relay

-- name: lock_lease
SELECT origin, incarnation, holder, epoch, lease_until_us FROM keepstep_relay FOR UPDATE

-- name: take_lease
UPDATE keepstep_relay SET holder = $1, lease_until_us = $2::bigint, epoch = epoch + 1

-- name: release_lease
UPDATE keepstep_relay SET lease_until_us = 0 WHERE epoch = $1::bigint

-- A lost lease is an error, which ends the pipeline behind it (rule 3).
-- name: renew_lease
WITH f AS (UPDATE keepstep_relay SET lease_until_us = $2::bigint WHERE epoch = $1::bigint
  RETURNING 1) SELECT 1 / count(*) FROM f

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

-- The client takes a result whole, so that the sum of its payloads is bounded here. The last column
-- says in the same snapshot whether, up to $4, no row lacks a number but the $5 that are being
-- claimed, of which $4 is the last ($6 is one more). A claim is seen whole or not at all.
-- name: load_waiting
SELECT position, id, aggregatetype, aggregateid, type,
  CASE WHEN bytes <= $2::bigint THEN payload END,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent,
  partition_key, kafka_partition, sequence, set_aside, NULL, NULL, joint, bytes,
  (SELECT count(*) = 0 OR (count(*) = $5::bigint AND max(position) = $4::bigint) FROM (
    SELECT position FROM outbox WHERE sequence IS NULL AND position <= $4::bigint
    ORDER BY position LIMIT $6::bigint) AS b)
FROM (SELECT *, octet_length(payload) AS bytes, sum(octet_length(payload))
    FILTER (WHERE octet_length(payload) <= $2::bigint)
    OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM outbox AS o
  WHERE sequence IS NULL AND set_aside IS NULL AND position > $4::bigint
  AND aggregatetype <> ALL (ARRAY(SELECT entity_type FROM keepstep_paused)) AND NOT EXISTS (
    SELECT 1 FROM outbox AS s WHERE s.set_aside IS NOT NULL
    AND hashtextextended(s.aggregateid, hashtextextended(s.aggregatetype, 0)) =
      hashtextextended(o.aggregateid, hashtextextended(o.aggregatetype, 0))
    AND s.aggregatetype = o.aggregatetype AND s.aggregateid = o.aggregateid
    AND s.position < o.position)
  ORDER BY position LIMIT $1::bigint) AS w
WHERE before IS NULL OR before < $3::bigint ORDER BY position

-- Records of joint transactions that wait: they are claimed before others (rule 71).
-- name: load_joint
SELECT position, id, aggregatetype, aggregateid, type,
  CASE WHEN octet_length(payload) <= $2::bigint THEN payload END,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent,
  partition_key, kafka_partition, sequence, set_aside, NULL, NULL, joint, octet_length(payload)
FROM outbox AS o
WHERE sequence IS NULL AND aggregatetype = 'keepstep.joint' AND set_aside IS NULL AND NOT EXISTS (
  SELECT 1 FROM outbox AS s WHERE s.set_aside IS NOT NULL
  AND hashtextextended(s.aggregateid, hashtextextended(s.aggregatetype, 0)) =
    hashtextextended(o.aggregateid, hashtextextended(o.aggregatetype, 0))
  AND s.aggregatetype = o.aggregatetype AND s.aggregateid = o.aggregateid
  AND s.position < o.position)
ORDER BY position LIMIT $1::bigint

-- All rows that wait, and of each the last position that waits with its identity, and of its entity
-- the last one before it that is set aside. The last column says, where $6 asks for it, whether a row
-- of its identity waits up to $4, where that stands for one transaction: of such a one no row has a
-- number, so that none is read in vain. That all of $5 rows wait up to $4 is counted by indexes alone:
-- all without a number, but for those that are set aside. The comparison of rows fits no other index than
-- outbox_changeset, whatever the planner believes. A record of joint transactions is in no set.
-- name: load_sets
SELECT position, id, aggregatetype, aggregateid, type,
  CASE WHEN bytes <= $2::bigint THEN payload END,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent,
  partition_key, kafka_partition, sequence, set_aside, changeset, NULL, joint, bytes,
  CASE WHEN $5::bigint = 0 THEN NOT EXISTS (SELECT 1 FROM outbox
    WHERE sequence IS NULL AND set_aside IS NULL AND position <= $4::bigint)
  ELSE CASE (SELECT count(*) FROM outbox WHERE sequence IS NULL AND position <= $4::bigint) -
      (SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL AND position <= $4::bigint)
    WHEN 0 THEN true WHEN $5::bigint THEN EXISTS (SELECT 1 FROM outbox
      WHERE position = $4::bigint AND sequence IS NULL AND set_aside IS NULL)
    ELSE false END END,
  CASE WHEN changeset <> '' THEN (SELECT s.position FROM outbox AS s
    WHERE s.sequence IS NULL AND s.changeset <> '' AND s.set_aside IS NULL
    AND s.aggregatetype <> 'keepstep.joint'
    AND (s.changeset COLLATE "C", s.position) >= (w.changeset COLLATE "C", w.position)
    AND (s.changeset COLLATE "C", s.position) <= (w.changeset COLLATE "C", 9223372036854775807)
    ORDER BY s.changeset COLLATE "C" DESC, s.position DESC LIMIT 1) ELSE position END AS last,
  (SELECT s.position FROM outbox AS s WHERE s.set_aside IS NOT NULL
    AND hashtextextended(s.aggregateid, hashtextextended(s.aggregatetype, 0)) =
      hashtextextended(w.aggregateid, hashtextextended(w.aggregatetype, 0))
    AND s.aggregatetype = w.aggregatetype AND s.aggregateid = w.aggregateid
    AND s.position < w.position ORDER BY s.position DESC LIMIT 1) AS blocked_by,
  aggregatetype = ANY (ARRAY(SELECT entity_type FROM keepstep_paused)),
  CASE WHEN $6::bigint <> 0 AND changeset NOT IN ('', '-') AND changeset NOT LIKE '% -' THEN
    (SELECT s.position FROM outbox AS s
    WHERE s.sequence IS NULL AND s.changeset <> '' AND s.set_aside IS NULL
    AND s.aggregatetype <> 'keepstep.joint'
    AND (s.changeset COLLATE "C", s.position) >= (w.changeset COLLATE "C", 1)
    AND (s.changeset COLLATE "C", s.position) <= (w.changeset COLLATE "C", $4::bigint)
    ORDER BY s.changeset COLLATE "C", s.position LIMIT 1) IS NOT NULL END
FROM (SELECT *, octet_length(payload) AS bytes, sum(octet_length(payload))
    FILTER (WHERE octet_length(payload) <= $2::bigint)
    OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM outbox AS o
  WHERE sequence IS NULL AND set_aside IS NULL AND position > $4::bigint
  ORDER BY position LIMIT $1::bigint) AS w
WHERE before IS NULL OR before < $3::bigint ORDER BY position

-- Whether the outbox has the columns that this version needs, and the index of whole transactions;
-- whether that one is not finished: no statement uses it then; and whether it has the index of joint
-- transactions.
-- name: is_prepared
SELECT (SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass('outbox')
    AND attname IN ('changeset_end', 'joint') AND NOT attisdropped),
  to_regclass('outbox_changeset') IS NOT NULL,
  EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('outbox_changeset')
    AND NOT (indisvalid AND indisready)),
  EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('outbox_joint')
    AND indisvalid AND indisready)

-- Until the transaction's end: a nested loop over rows that the planner takes for one is quadratic.
-- name: join_by_hash
SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_nestloop', 'off', true)

-- The rows come in the order of their positions; the range keeps the rest of the outbox unread.
-- name: claim_rows
WITH c AS (UPDATE outbox AS o SET kafka_partition = r.partition, sequence = r.sequence,
    changeset_end = nullif(r.changeset_end, 0)
  FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[])
    AS r (position, partition, sequence, changeset_end)
  WHERE o.position = r.position AND o.sequence IS NULL AND o.set_aside IS NULL
    AND o.position BETWEEN ($1::bigint[])[1] AND ($1::bigint[])[cardinality($1::bigint[])]
  RETURNING 1)
SELECT 1 / (count(*) = cardinality($1::bigint[]))::integer FROM c

-- The same for one row: a join costs more than a few of these.
-- name: claim_row
WITH c AS (UPDATE outbox SET kafka_partition = $2::integer, sequence = $3::bigint,
    changeset_end = nullif($4::bigint, 0)
  WHERE position = $1::bigint AND sequence IS NULL AND set_aside IS NULL RETURNING 1)
SELECT 1 / count(*) FROM c

-- name: claim_types
INSERT INTO keepstep_relay_type SELECT DISTINCT e, p
  FROM unnest($1::text[], $2::text[]) AS n (e, p)
ON CONFLICT (entity_type) DO NOTHING

-- name: read_type
SELECT topic FROM keepstep_relay_type WHERE entity_type = $1

-- name: move_scan
SELECT coalesce(max(position), 0), count(*)
FROM (SELECT position FROM outbox WHERE position > $1::bigint ORDER BY position LIMIT $2::bigint) AS o

-- name: move_note
INSERT INTO keepstep_relay_moved SELECT t.topic, o.kafka_partition, o.sequence, o.position
FROM outbox AS o JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
WHERE o.position > $2::bigint AND o.position <= $3::bigint AND o.aggregatetype = $1
  AND o.kafka_partition >= 0

-- name: move_rows
UPDATE outbox SET kafka_partition = -1
WHERE position > $2::bigint AND position <= $3::bigint AND aggregatetype = $1
  AND kafka_partition >= 0

-- name: move_type
UPDATE keepstep_relay_type SET topic = $2 WHERE entity_type = $1

-- name: claim_partitions
INSERT INTO keepstep_relay_partition SELECT t, p, s, i, 0, -1, ''
  FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[]) AS n (t, p, s, i)
ON CONFLICT (topic, partition) DO UPDATE
  SET last_sequence = excluded.last_sequence, last_id = excluded.last_id

-- name: acknowledge
INSERT INTO keepstep_relay_partition SELECT t, p, s, i, s, o, i
  FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::text[])
    AS n (t, p, s, o, i)
ON CONFLICT (topic, partition) DO UPDATE SET
  acknowledged_sequence = excluded.acknowledged_sequence,
  acknowledged_offset = excluded.acknowledged_offset, acknowledged_id = excluded.acknowledged_id

-- name: note_read
INSERT INTO keepstep_relay_read SELECT t, p, o
  FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS n (t, p, o)
ON CONFLICT (topic, partition) DO UPDATE SET read_offset = excluded.read_offset

-- name: load_claimed
SELECT position, id, aggregatetype, aggregateid, type, payload,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent,
  partition_key, kafka_partition, sequence, set_aside, changeset, changeset_end, joint
FROM outbox WHERE sequence IS NOT NULL AND kafka_partition = $2::integer
  AND sequence > $3::bigint
  AND aggregatetype IN (SELECT entity_type FROM keepstep_relay_type WHERE topic = $1)
UNION ALL
SELECT o.position, id, aggregatetype, aggregateid, type, payload,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent,
  partition_key, kafka_partition, o.sequence, set_aside, changeset, changeset_end, joint
FROM keepstep_relay_moved AS m JOIN outbox AS o ON o.position = m.position
WHERE m.topic = $1 AND m.partition = $2::integer AND m.sequence > $3::bigint
ORDER BY sequence

-- name: set_aside
UPDATE outbox AS o SET set_aside = r.reason, aggregateid = r.entity_key,
  changeset = coalesce(r.changeset, o.changeset)
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
  AS r (position, reason, entity_key, changeset)
WHERE o.position = r.position AND o.sequence IS NULL
  AND o.position BETWEEN ($1::bigint[])[1] AND ($1::bigint[])[cardinality($1::bigint[])]

-- Whether the row that others are to wait for is set aside, which nobody ends before they are.
-- name: hold_set_aside
SELECT 1 FROM outbox WHERE position = $1::bigint AND set_aside IS NOT NULL FOR UPDATE

-- The rows of the same set that were not loaded.
-- name: set_aside_rest
UPDATE outbox SET set_aside = $4, changeset = $5 WHERE sequence IS NULL AND set_aside IS NULL
  AND aggregatetype <> 'keepstep.joint' AND changeset <> ''
  AND (changeset COLLATE "C", position) > ($1 COLLATE "C", $2::bigint)
  AND (changeset COLLATE "C", position) <= ($1 COLLATE "C", $3::bigint)

-- name: load_group
SELECT position, id, aggregatetype, aggregateid, type, NULL,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent,
  partition_key, kafka_partition, sequence, set_aside, changeset, changeset_end, joint, NULL
FROM outbox WHERE sequence IS NULL AND set_aside IS NULL
  AND aggregatetype <> 'keepstep.joint' AND changeset <> ''
  AND (changeset COLLATE "C", position) > ($1 COLLATE "C", $2::bigint)
  AND (changeset COLLATE "C", position) <= ($1 COLLATE "C", $3::bigint)
ORDER BY changeset COLLATE "C", position LIMIT $4::bigint

-- name: write_keys
WITH k AS (UPDATE outbox AS o SET aggregateid = r.entity_key
  FROM unnest($1::bigint[], $2::text[]) AS r (position, entity_key)
  WHERE o.position = r.position AND o.sequence IS NULL
    AND o.position BETWEEN ($1::bigint[])[1] AND ($1::bigint[])[cardinality($1::bigint[])]
  RETURNING 1)
SELECT 1 / (count(*) = cardinality($1::bigint[]))::integer FROM k

-- By an id that the row was given, or at the position that a derived id names.
-- name: find_row
SELECT o.position, id, aggregatetype, aggregateid, type, payload,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent,
  partition_key, coalesce(m.partition, kafka_partition), o.sequence, set_aside, changeset,
  changeset_end, joint, NULL, coalesce(m.topic, t.topic)
FROM outbox AS o LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
LEFT JOIN keepstep_relay_moved AS m ON m.position = o.position
WHERE o.position = coalesce((SELECT position FROM outbox WHERE id = $1), $2::bigint)

-- Each partition's lowest sequences, so that only what may go, and little else, is read. The rows
-- that it returns are the ones that it deleted.
-- name: purge
WITH d AS (DELETE FROM outbox WHERE position = ANY (ARRAY (
  SELECT o.position FROM keepstep_relay_partition AS p
  JOIN keepstep_relay_type AS t ON t.topic = p.topic
  CROSS JOIN LATERAL (SELECT position, created_at, sequence, changeset_end FROM outbox
    WHERE sequence IS NOT NULL
    AND kafka_partition = p.partition AND aggregatetype = t.entity_type
    AND sequence <= p.acknowledged_sequence ORDER BY sequence LIMIT $2::bigint) AS o
  WHERE o.created_at < $1::timestamptz AND coalesce(o.changeset_end, o.sequence) <= p.acknowledged_sequence
  UNION ALL
  SELECT o.position FROM keepstep_relay_partition AS p
  CROSS JOIN LATERAL (SELECT position FROM keepstep_relay_moved WHERE topic = p.topic
    AND partition = p.partition AND sequence <= p.acknowledged_sequence
    ORDER BY sequence LIMIT $2::bigint) AS m
  JOIN outbox AS o ON o.position = m.position WHERE o.created_at < $1::timestamptz
    AND coalesce(o.changeset_end, o.sequence) <= p.acknowledged_sequence)) RETURNING position),
f AS (DELETE FROM keepstep_relay_moved WHERE position IN (SELECT position FROM d))
SELECT position FROM d

-- Where the service's own agent reads the topic it must have read the row back (rule 12).
-- name: purge_applied
WITH b AS (SELECT p.topic, p.partition, CASE WHEN $3::jsonb ? p.topic AND EXISTS (
      SELECT 1 FROM keepstep_position AS k WHERE k.topic = p.topic)
    THEN least(p.acknowledged_sequence, coalesce((SELECT max(s.last)
      FROM keepstep_sequence AS s, keepstep_relay AS r WHERE s.topic = p.topic
      AND s.partition = p.partition AND s.source = r.origin AND s.incarnation = r.incarnation), 0))
    ELSE p.acknowledged_sequence END AS bound FROM keepstep_relay_partition AS p),
d AS (DELETE FROM outbox WHERE position = ANY (ARRAY (
  SELECT o.position FROM b JOIN keepstep_relay_type AS t ON t.topic = b.topic
  CROSS JOIN LATERAL (SELECT position, created_at, sequence, changeset_end FROM outbox
    WHERE sequence IS NOT NULL
    AND kafka_partition = b.partition AND aggregatetype = t.entity_type
    AND sequence <= b.bound ORDER BY sequence LIMIT $2::bigint) AS o
  WHERE o.created_at < $1::timestamptz AND coalesce(o.changeset_end, o.sequence) <= b.bound
  UNION ALL
  SELECT o.position FROM b CROSS JOIN LATERAL (SELECT position FROM keepstep_relay_moved
    WHERE topic = b.topic AND partition = b.partition AND sequence <= b.bound
    ORDER BY sequence LIMIT $2::bigint) AS m
  JOIN outbox AS o ON o.position = m.position WHERE o.created_at < $1::timestamptz
    AND coalesce(o.changeset_end, o.sequence) <= b.bound)) RETURNING position),
f AS (DELETE FROM keepstep_relay_moved WHERE position IN (SELECT position FROM d))
SELECT position FROM d

-- name: has_position_table
SELECT to_regclass('keepstep_position') IS NOT NULL

-- name: has_wait_tables
SELECT to_regclass('keepstep_position') IS NOT NULL AND
  to_regclass('keepstep_relay_wait') IS NOT NULL

-- name: held_back
SELECT w.topic FROM keepstep_relay_wait AS w WHERE NOT EXISTS (
  SELECT 1 FROM keepstep_position AS k WHERE k.topic = w.topic AND k.partition = w.partition
  AND k.next_offset >= w.until_offset)
ORDER BY $1::jsonb ? w.topic, w.topic LIMIT 1

-- name: has_fill_table
SELECT to_regclass('keepstep_fill') IS NOT NULL

-- A topic that the service publishes too and its own agent does not read yet: rows of it are missing
-- here (rule 41).
-- name: unread
SELECT t.topic FROM jsonb_array_elements_text($1::jsonb) AS t (topic) WHERE EXISTS (SELECT 1 FROM keepstep_fill AS f
    WHERE f.topic = t.topic AND f.stage IN ('asked', 'clearing', 'loading'))
  OR NOT EXISTS (SELECT 1 FROM keepstep_position AS k WHERE k.topic = t.topic GROUP BY k.topic
    HAVING min(k.partition_count) > 0 AND count(*) >= max(k.partition_count))
ORDER BY 1 LIMIT 1

-- A transaction that found the relay awake gives no notice. It had its number by then, so it has ended
-- once pg_snapshot_xmin() reaches the number that is taken here behind the lock. The snapshot's xmax
-- would be too low: it follows the last transaction that has ended.
-- name: sleep
SELECT held, CASE WHEN held THEN pg_current_xact_id()::text ELSE '' END
FROM (SELECT pg_try_advisory_lock(1264941907, 'outbox'::regclass::integer) AS held OFFSET 0) AS lock

-- name: older_ended
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8

-- name: awake
SELECT pg_advisory_unlock(1264941907, 'outbox'::regclass::integer)

-- name: list_rows
SELECT position, id, aggregatetype, aggregateid, type, CASE WHEN $4::integer = 0 THEN payload END,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent,
  partition_key, kafka_partition, sequence, set_aside, changeset, changeset_end, joint, NULL
FROM outbox
WHERE position > $3::bigint AND CASE $2::integer WHEN 0 THEN sequence IS NULL AND set_aside IS NULL
  WHEN 1 THEN set_aside IS NOT NULL ELSE true END
ORDER BY position LIMIT nullif($1::bigint, 0)

-- name: count_rows
SELECT count(*) FILTER (WHERE set_aside IS NULL), count(*) FILTER (WHERE set_aside IS NOT NULL),
  (SELECT coalesce(sum(last_sequence - acknowledged_sequence), 0) FROM keepstep_relay_partition),
  to_char(min(created_at) FILTER (WHERE set_aside IS NULL) AT TIME ZONE 'UTC',
    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  (SELECT to_char(min((SELECT min(o.created_at) FROM outbox AS o
    WHERE o.sequence IS NOT NULL AND o.kafka_partition = p.partition
    AND o.sequence = p.acknowledged_sequence + 1 AND o.aggregatetype IN (
      SELECT t.entity_type FROM keepstep_relay_type AS t WHERE t.topic = p.topic)))
    AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  FROM keepstep_relay_partition AS p WHERE p.last_sequence > p.acknowledged_sequence)
FROM outbox WHERE sequence IS NULL

-- name: find_set_aside
SELECT changeset FROM outbox WHERE position = $1::bigint AND set_aside IS NOT NULL

-- Of a row that is alone the identity is ''.
-- name: retry_set
UPDATE outbox SET set_aside = NULL
WHERE set_aside IS NOT NULL AND (position = $1::bigint OR (changeset <> '' AND changeset = $2))

-- name: drop_set
DELETE FROM outbox
WHERE set_aside IS NOT NULL AND (position = $1::bigint OR (changeset <> '' AND changeset = $2))

-- name: cut_set
UPDATE outbox SET set_aside = NULL, changeset = ''
WHERE set_aside IS NOT NULL AND (position = $1::bigint OR (changeset <> '' AND changeset = $2))

-- name: release_behind
UPDATE outbox SET set_aside = NULL WHERE set_aside IS NOT NULL AND starts_with(set_aside, $1)
