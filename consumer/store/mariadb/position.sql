-- Positions, sequences and keys of the agent's transactions.
-- name: meta_read
SELECT value FROM keepstep_meta WHERE `key` = ?
-- Needs no right to UPDATE.
-- name: meta_add
INSERT IGNORE INTO keepstep_meta(`key`, value) VALUES (?, ?)
-- name: meta_set
INSERT INTO keepstep_meta(`key`, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)
-- name: position_take
INSERT INTO keepstep_position(topic, `partition`, next_offset, durable_offset, epoch, token,
    cluster_id, partition_count, partial, updated_at)
VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?)
ON DUPLICATE KEY UPDATE
    epoch = epoch + 1,
    token = VALUES(token),
    cluster_id = CASE VALUES(cluster_id) WHEN '' THEN cluster_id ELSE VALUES(cluster_id) END,
    partition_count = CASE VALUES(partition_count) WHEN 0 THEN partition_count
                      ELSE VALUES(partition_count) END,
    partial = greatest(partial, VALUES(partial)),
    durable_offset = next_offset,
    stopped = '',
    updated_at = VALUES(updated_at)
-- name: position_read
SELECT topic, `partition`, next_offset, durable_offset, epoch, revision, token, anchor_offset,
    anchor_id, cluster_id, partition_count, partial, stopped
FROM keepstep_position WHERE topic = ? AND `partition` = ?
-- name: position_list
SELECT topic, `partition`, next_offset, durable_offset, epoch, revision, token, anchor_offset,
    anchor_id, cluster_id, partition_count, partial, stopped
FROM keepstep_position ORDER BY topic, `partition`
-- Every commit waits for the disk as far as the server's settings let it, so what is applied is
-- durable (rule 7).
-- name: position_fence
UPDATE keepstep_position SET next_offset = ?, durable_offset = ?, anchor_offset = ?, anchor_id = ?,
    revision = revision + ?, stopped = ?, updated_at = ?
WHERE topic = ? AND `partition` = ? AND next_offset = ? AND epoch = ? AND revision = ?
-- name: position_fence_unanchored
UPDATE keepstep_position SET next_offset = ?, durable_offset = ?, revision = revision + ?,
    stopped = ?, updated_at = ?
WHERE topic = ? AND `partition` = ? AND next_offset = ? AND epoch = ? AND revision = ?
-- name: position_fence_epoch
UPDATE keepstep_position SET updated_at = ?
WHERE topic = ? AND `partition` = ? AND epoch = ?
-- name: position_owned
SELECT 1 FROM keepstep_position WHERE topic = ? AND `partition` = ? AND epoch = ?
-- name: sequence_read
SELECT source, incarnation, base, last, last_id, digests FROM keepstep_sequence
WHERE topic = ? AND `partition` = ? ORDER BY source, incarnation
-- name: sequence_write
INSERT INTO keepstep_sequence(source, incarnation, topic, `partition`, base, last, last_id, digests)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON DUPLICATE KEY UPDATE
    base = VALUES(base), last = VALUES(last), last_id = VALUES(last_id), digests = VALUES(digests)
-- name: key_claim
INSERT INTO keepstep_idempotency_key(source, id, digest, applied_at) VALUES (?, ?, ?, ?)
-- The statement goes on with "(source = ? AND id = ?)", parted by OR.
-- name: key_read
SELECT source, id, digest FROM keepstep_idempotency_key WHERE
-- name: key_prune
DELETE FROM keepstep_idempotency_key WHERE applied_at < ? ORDER BY applied_at LIMIT ?
-- name: applying
SET @keepstep_applying = ?
-- The look: two indexed ranges of the service's outbox.
-- name: pending_incarnation
SELECT incarnation FROM keepstep_relay
-- name: pending_waiting
SELECT aggregateid FROM outbox FORCE INDEX (outbox_claimed)
WHERE kafka_partition IS NULL AND sequence IS NULL AND aggregatetype = ?
-- name: pending_numbered
SELECT aggregateid, sequence FROM outbox
WHERE kafka_partition = ? AND sequence > ? AND aggregatetype = ?
