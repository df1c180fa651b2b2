-- Positions, sequences and keys of the agent's transactions.
-- name: meta_exists
SELECT count(*) FROM information_schema.tables
WHERE table_schema = database() AND table_name = 'keepstep_meta'
-- name: outbox_columns
SELECT count(*) FROM information_schema.columns
WHERE table_schema = database() AND table_name = 'outbox'
    AND column_name IN ('aggregatetype', 'aggregateid', 'kafka_partition', 'sequence')
-- name: meta_read
SELECT value FROM keepstep_meta WHERE `key` = ?1
-- A role needs no right to UPDATE for this.
-- name: meta_add
INSERT IGNORE INTO keepstep_meta(`key`, value) VALUES (?1, ?2)
-- name: meta_set
INSERT INTO keepstep_meta(`key`, value) VALUES (?1, ?2) ON DUPLICATE KEY UPDATE value = VALUES(value)
-- name: position_take
INSERT INTO keepstep_position(topic, `partition`, next_offset, durable_offset, epoch, token,
    cluster_id, partition_count, partial, updated_at)
VALUES (?1, ?2, ?3, ?3, 1, ?4, ?5, ?6, ?7, ?8)
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
    anchor_id, cluster_id, partition_count, partial, stopped, filled_to
FROM keepstep_position WHERE topic = ?1 AND `partition` = ?2
-- name: position_list
SELECT topic, `partition`, next_offset, durable_offset, epoch, revision, token, anchor_offset,
    anchor_id, cluster_id, partition_count, partial, stopped, filled_to
FROM keepstep_position ORDER BY topic, `partition`
-- Every commit waits for the disk as far as the server's settings let it, so what is applied is
-- durable (rule 7).
-- name: position_fence
UPDATE keepstep_position SET next_offset = ?4, durable_offset = ?4,
    anchor_offset = CASE WHEN ?7 < 0 THEN anchor_offset ELSE ?7 END,
    anchor_id = CASE WHEN ?7 < 0 THEN anchor_id ELSE ?8 END,
    stopped = ?9, updated_at = ?10, revision = revision + ?11
WHERE topic = ?1 AND `partition` = ?2 AND next_offset = ?3 AND epoch = ?5 AND revision = ?6
-- name: position_fence_epoch
UPDATE keepstep_position SET updated_at = ?4 WHERE topic = ?1 AND `partition` = ?2 AND epoch = ?3
-- name: sequence_read
SELECT source, incarnation, base, last, last_id, digests FROM keepstep_sequence
WHERE topic = ?1 AND `partition` = ?2 ORDER BY source, incarnation
-- name: sequence_write
INSERT INTO keepstep_sequence(source, incarnation, topic, `partition`, base, last, last_id, digests)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON DUPLICATE KEY UPDATE
    base = VALUES(base), last = VALUES(last), last_id = VALUES(last_id), digests = VALUES(digests)
-- name: key_claim
INSERT INTO keepstep_idempotency_key(source, id, digest, applied_at, topic)
VALUES (?1, ?2, ?3, ?4, ?5)
-- claim_keys() appends "(source = ? AND id = ?)" for each key, joined by OR.
-- name: key_read
SELECT source, id, digest FROM keepstep_idempotency_key WHERE
-- name: key_prune
DELETE FROM keepstep_idempotency_key WHERE applied_at < ?1 ORDER BY applied_at LIMIT ?2
-- name: applying
SET @keepstep_applying = ?1
-- Own changes that were not read back (rule 18): two indexed ranges of the outbox.
-- name: pending_incarnation
SELECT incarnation FROM keepstep_relay
-- name: pending_waiting
SELECT aggregateid FROM outbox FORCE INDEX (outbox_claimed)
WHERE kafka_partition IS NULL AND sequence IS NULL AND aggregatetype = ?1
-- name: pending_numbered
SELECT aggregateid, sequence FROM outbox
WHERE kafka_partition = ?2 AND sequence > ?3 AND aggregatetype = ?1
