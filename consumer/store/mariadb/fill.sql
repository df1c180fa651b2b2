-- The fill of a topic (rules 38 to 42). A stage follows only those that may come before it.
-- name: fill_list
SELECT topic, id, source, stage, rows_offset, `rows`, digest, voids, asked_at, reason
FROM keepstep_fill ORDER BY topic
-- name: fill_ask
INSERT INTO keepstep_fill(topic, id, source, stage, rows_offset, `rows`, digest, voids, asked_at,
    reason)
VALUES (?1, ?2, ?3, 'asked', ?4, ?5, ?6, ?7, ?8, ?9)
ON DUPLICATE KEY UPDATE
    id = VALUES(id), source = VALUES(source), stage = VALUES(stage),
    rows_offset = VALUES(rows_offset), `rows` = VALUES(`rows`), digest = VALUES(digest),
    voids = VALUES(voids), asked_at = VALUES(asked_at), reason = VALUES(reason)
-- name: fill_edit
UPDATE keepstep_fill SET stage = ?3, rows_offset = ?4, `rows` = ?5, digest = ?6
WHERE topic = ?1 AND id = ?2 AND stage IN (?7, ?8, ?9)
    AND (?10 = 0 OR rows_offset < ?4)
-- name: fill_note
UPDATE keepstep_fill SET voids = ?3, reason = ?4 WHERE topic = ?1 AND id = ?2
-- name: fill_finish
UPDATE keepstep_fill SET stage = 'done'
WHERE topic = ?1 AND id = ?2 AND stage = 'replaying' AND NOT EXISTS
    (SELECT 1 FROM keepstep_position p WHERE p.topic = ?1 AND p.next_offset < p.filled_to)
-- name: position_raise
UPDATE keepstep_position SET epoch = epoch + 1, revision = revision + 1 WHERE topic = ?1
-- name: position_install
INSERT INTO keepstep_position(topic, `partition`, next_offset, durable_offset, epoch, token,
    anchor_offset, anchor_id, cluster_id, partition_count, updated_at)
VALUES (?1, ?2, ?3, ?3, 1, '', ?4, ?5, ?6, ?7, ?8)
ON DUPLICATE KEY UPDATE
    next_offset = VALUES(next_offset), durable_offset = VALUES(next_offset), epoch = epoch + 1,
    revision = revision + 1, anchor_offset = VALUES(anchor_offset), anchor_id = VALUES(anchor_id),
    cluster_id = VALUES(cluster_id), partition_count = VALUES(partition_count), partial = 0,
    stopped = '', filled_to = 0, updated_at = VALUES(updated_at)
-- name: position_filled
UPDATE keepstep_position SET filled_to = ?3 WHERE topic = ?1 AND `partition` = ?2
-- name: sequence_clear
DELETE FROM keepstep_sequence WHERE topic = ?1
-- Version 1 kept no topic: such keys may be of this one if it was read before.
-- name: key_clear
DELETE FROM keepstep_idempotency_key WHERE topic = ?1 OR (topic = '' AND EXISTS
    (SELECT 1 FROM keepstep_position p WHERE p.topic = ?1 AND p.next_offset > 0))
-- name: key_scan
SELECT source, id, digest FROM keepstep_idempotency_key
WHERE topic IN (?1, '') AND source >= ?2 AND (source > ?2 OR id > ?3)
ORDER BY source, id LIMIT ?4
-- name: blocked_clear
DELETE FROM keepstep_blocked WHERE parked_id IN
    (SELECT parked_id FROM keepstep_parked WHERE topic = ?1)
-- name: parked_clear
DELETE FROM keepstep_parked WHERE topic = ?1
-- name: superseded_clear
DELETE FROM keepstep_superseded WHERE topic = ?1
