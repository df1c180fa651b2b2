-- Positions, sequences and keys of the agent's transactions.
-- name: meta_exists
SELECT count(*) FROM pg_class WHERE oid = to_regclass('keepstep_meta')
-- name: outbox_columns
SELECT count(*) FROM pg_attribute
WHERE attrelid = to_regclass('outbox') AND NOT attisdropped
    AND attname IN ('aggregatetype', 'aggregateid', 'kafka_partition', 'sequence')
-- name: meta_read
SELECT value FROM keepstep_meta WHERE key = $1
-- name: meta_add
INSERT INTO keepstep_meta(key, value) VALUES ($1, $2) ON CONFLICT(key) DO NOTHING
-- name: meta_set
INSERT INTO keepstep_meta(key, value) VALUES ($1, $2)
ON CONFLICT(key) DO UPDATE SET value = excluded.value
-- name: position_take
INSERT INTO keepstep_position(topic, partition, next_offset, durable_offset, epoch, token,
    cluster_id, partition_count, partial, updated_at)
VALUES ($1, $2, $3, $3, 1, $4, $5, $6, $7, $8)
ON CONFLICT(topic, partition) DO UPDATE SET
    epoch = keepstep_position.epoch + 1,
    token = excluded.token,
    cluster_id = CASE excluded.cluster_id WHEN '' THEN keepstep_position.cluster_id
                 ELSE excluded.cluster_id END,
    partition_count = CASE excluded.partition_count WHEN 0 THEN keepstep_position.partition_count
                      ELSE excluded.partition_count END,
    partial = greatest(keepstep_position.partial, excluded.partial),
    durable_offset = keepstep_position.next_offset,
    stopped = '',
    updated_at = excluded.updated_at
-- name: position_read
SELECT topic, partition, next_offset, durable_offset, epoch, revision, token, anchor_offset,
    anchor_id, cluster_id, partition_count, partial, stopped, filled_to
FROM keepstep_position WHERE topic = $1 AND partition = $2
-- name: position_list
SELECT topic, partition, next_offset, durable_offset, epoch, revision, token, anchor_offset,
    anchor_id, cluster_id, partition_count, partial, stopped, filled_to
FROM keepstep_position ORDER BY topic, partition
-- A lost fence must be an error: otherwise a COMMIT that was sent after it would succeed (rule 3).
-- name: position_fence
WITH fence AS (
    UPDATE keepstep_position SET next_offset = $4,
        anchor_offset = CASE WHEN $7::bigint < 0 THEN anchor_offset ELSE $7 END,
        anchor_id = CASE WHEN $7 < 0 THEN anchor_id ELSE $8 END,
        stopped = $9, updated_at = $10, revision = revision + $11
    WHERE topic = $1 AND partition = $2 AND next_offset = $3 AND epoch = $5 AND revision = $6
    RETURNING 1)
SELECT 1 / count(*) FROM fence
-- name: position_fence_epoch
WITH fence AS (
    UPDATE keepstep_position SET updated_at = $4
    WHERE topic = $1 AND partition = $2 AND epoch = $3
    RETURNING 1)
SELECT 1 / count(*) FROM fence
-- Only partitions that this session took: the rows of another agent may be locked.
-- name: position_durable
UPDATE keepstep_position p SET durable_offset = next_offset
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS taken(topic, partition, epoch)
WHERE p.topic = taken.topic AND p.partition = taken.partition AND p.epoch = taken.epoch
    AND p.durable_offset <> p.next_offset
-- name: sequence_read
SELECT source, incarnation, base, last, last_id, digests FROM keepstep_sequence
WHERE topic = $1 AND partition = $2 ORDER BY source, incarnation
-- name: sequence_write
INSERT INTO keepstep_sequence(source, incarnation, topic, partition, base, last, last_id, digests)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT(topic, partition, source, incarnation) DO UPDATE SET
    base = excluded.base, last = excluded.last, last_id = excluded.last_id,
    digests = excluded.digests
-- The number of its rows says whether all keys were new.
-- name: key_add
INSERT INTO keepstep_idempotency_key(source, id, digest, applied_at, topic)
SELECT source, id, digest, $4::bigint, topic
FROM unnest($1::text[], $2::text[], $3::bigint[], $5::text[]) AS claim(source, id, digest, topic)
ON CONFLICT(source, id) DO NOTHING
-- In the order of the claims, so that the first of several equal claims is the new one.
-- name: key_claim
INSERT INTO keepstep_idempotency_key(source, id, digest, applied_at, topic)
SELECT source, id, digest, $4::bigint, topic
FROM unnest($1::text[], $2::text[], $3::bigint[], $5::text[])
    WITH ORDINALITY AS claim(source, id, digest, topic, n)
ORDER BY n
ON CONFLICT(source, id) DO NOTHING RETURNING source, id
-- name: key_read
SELECT claim.n, stored.digest
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS claim(source, id, n)
JOIN keepstep_idempotency_key stored USING (source, id)
-- name: key_prune
DELETE FROM keepstep_idempotency_key WHERE (source, id) IN
    (SELECT source, id FROM keepstep_idempotency_key WHERE applied_at < $1
     ORDER BY applied_at LIMIT $2)
-- name: applying_set
SELECT set_config('keepstep.applying', $1, true)
-- Own changes that were not read back (rule 18): two indexed ranges of the outbox, read in parts.
-- name: pending_incarnation
SELECT incarnation FROM keepstep_relay
-- name: pending_waiting
SELECT aggregateid, position FROM outbox
WHERE sequence IS NULL AND position > $2::bigint AND aggregatetype = $1
ORDER BY position LIMIT $3
-- name: pending_numbered
SELECT aggregateid, sequence::bigint FROM outbox
WHERE kafka_partition = $2::bigint AND sequence > $3::bigint AND aggregatetype = $1
ORDER BY sequence LIMIT $4
