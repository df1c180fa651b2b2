-- Positions, sequences and keys of the agent's transactions.
-- name: meta_exists
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'keepstep_meta'
-- name: outbox_columns
SELECT count(*) FROM pragma_table_info('outbox')
WHERE name IN ('aggregatetype', 'aggregateid', 'kafka_partition', 'sequence')
-- name: meta_read
SELECT value FROM keepstep_meta WHERE key = ?1
-- name: meta_add
INSERT INTO keepstep_meta(key, value) VALUES (?1, ?2) ON CONFLICT(key) DO NOTHING
-- name: meta_set
INSERT INTO keepstep_meta(key, value) VALUES (?1, ?2)
ON CONFLICT(key) DO UPDATE SET value = excluded.value
-- name: durable_position
UPDATE keepstep_position SET durable_offset = next_offset WHERE durable_offset <> next_offset
-- name: durable_count
UPDATE keepstep_meta SET value = value + 1 WHERE key = 'durable_commits'
-- name: position_take
INSERT INTO keepstep_position(topic, partition, next_offset, durable_offset, epoch, token,
    cluster_id, partition_count, partial, updated_at)
VALUES (?1, ?2, ?3, ?3, 1, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT(topic, partition) DO UPDATE SET
    epoch = epoch + 1,
    token = excluded.token,
    cluster_id = CASE excluded.cluster_id WHEN '' THEN cluster_id ELSE excluded.cluster_id END,
    partition_count = CASE excluded.partition_count WHEN 0 THEN partition_count
                      ELSE excluded.partition_count END,
    partial = max(partial, excluded.partial),
    durable_offset = next_offset,
    stopped = '',
    updated_at = excluded.updated_at
-- name: position_read
SELECT topic, partition, next_offset, durable_offset, epoch, revision, token, anchor_offset,
    anchor_id, cluster_id, partition_count, partial, stopped, filled_to
FROM keepstep_position WHERE topic = ?1 AND partition = ?2
-- name: position_list
SELECT topic, partition, next_offset, durable_offset, epoch, revision, token, anchor_offset,
    anchor_id, cluster_id, partition_count, partial, stopped, filled_to
FROM keepstep_position ORDER BY topic, partition
-- name: position_fence
UPDATE keepstep_position SET next_offset = ?4,
    anchor_offset = CASE WHEN ?7 < 0 THEN anchor_offset ELSE ?7 END,
    anchor_id = CASE WHEN ?7 < 0 THEN anchor_id ELSE ?8 END,
    stopped = ?9, updated_at = ?10, revision = revision + ?11
WHERE topic = ?1 AND partition = ?2 AND next_offset = ?3 AND epoch = ?5 AND revision = ?6
-- name: position_fence_epoch
UPDATE keepstep_position SET updated_at = ?4 WHERE topic = ?1 AND partition = ?2 AND epoch = ?3
-- name: sequence_read
SELECT source, incarnation, base, last, last_id, digests FROM keepstep_sequence
WHERE topic = ?1 AND partition = ?2 ORDER BY source, incarnation
-- name: sequence_write
INSERT INTO keepstep_sequence(source, incarnation, topic, partition, base, last, last_id, digests)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT(source, incarnation, topic, partition) DO UPDATE SET
    base = excluded.base, last = excluded.last, last_id = excluded.last_id,
    digests = excluded.digests
-- name: key_claim
INSERT INTO keepstep_idempotency_key(source, id, digest, applied_at, topic)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT(source, id) DO NOTHING
-- name: key_read
SELECT digest FROM keepstep_idempotency_key WHERE source = ?1 AND id = ?2
-- name: key_prune
DELETE FROM keepstep_idempotency_key WHERE (source, id) IN
    (SELECT source, id FROM keepstep_idempotency_key WHERE applied_at < ?1
     ORDER BY applied_at LIMIT ?2)
-- name: applying_set
INSERT INTO keepstep_applying(table_name) VALUES (?1) ON CONFLICT(table_name) DO NOTHING
-- name: applying_clear
DELETE FROM keepstep_applying WHERE table_name = ?1
-- Own changes that were not read back (rule 18): two indexed ranges of the outbox.
-- name: pending_incarnation
SELECT incarnation FROM keepstep_relay
-- name: pending_waiting
SELECT aggregateid FROM outbox WHERE sequence IS NULL AND aggregatetype = ?1
-- name: pending_waiting_new
SELECT aggregateid, position FROM outbox
WHERE sequence IS NULL AND position > ?2 AND aggregatetype = ?1 ORDER BY position
-- name: pending_position
SELECT sequence IS NULL FROM outbox WHERE position = ?1
-- name: pending_last
SELECT max(position) FROM outbox
-- name: pending_numbered
SELECT aggregateid, sequence FROM outbox
WHERE kafka_partition = ?2 AND sequence > ?3 AND aggregatetype = ?1
