-- Parked records, what they block, and superseded images. State 0 held, 1 waiting, 2 behind,
-- 3 skipped (at next_attempt_at): a skipped record is evidence and blocks nothing.
-- name: blocked_read
SELECT b.entity_type, b.entity_key, p.record_key, p.`offset`
FROM keepstep_parked p JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE p.topic = ? AND p.`partition` = ? AND p.state <> 3 ORDER BY p.`offset`
-- name: parked_count
SELECT count(*), coalesce(sum(state = 1), 0), 0 FROM keepstep_parked
WHERE topic = ? AND `partition` = ? AND state <> 3
-- name: parked_count_bytes
SELECT count(*), coalesce(sum(state = 1), 0), coalesce(sum(coalesce(length(record_key), 0)
    + coalesce(length(record_value), 0) + coalesce(length(headers), 0)), 0) FROM keepstep_parked
WHERE topic = ? AND `partition` = ? AND state <> 3
-- name: parked_add
INSERT INTO keepstep_parked(topic, `partition`, `offset`, record_key, record_value, headers, state,
    reason, code, attempts, parked_at, next_attempt_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- name: blocked_add
INSERT INTO keepstep_blocked(entity_digest, entity_type, entity_key, parked_id)
VALUES (unhex(sha2(concat(?, '\n', ?), 256)), ?, ?, ?)
-- name: parked_read
SELECT p.parked_id, p.topic, p.`partition`, p.`offset`, p.record_key,
    CASE WHEN ? = 0 THEN p.record_value END, p.headers, b.entity_type, b.entity_key, p.state,
    p.reason, p.code, p.attempts, p.parked_at, p.next_attempt_at, coalesce(length(p.record_key), 0)
    + coalesce(length(p.record_value), 0) + coalesce(length(p.headers), 0)
FROM keepstep_parked p JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE (? = '' OR p.topic = ?) AND (? < 0 OR p.`partition` = ?)
    AND (? = 0 OR b.entity_type = ?) AND (? = 0 OR b.entity_key = ?)
    AND (? = 0 OR p.parked_id = ?) AND p.`offset` >= ?
    AND (? = 0 OR (p.state = 1 AND p.next_attempt_at <= ?)) AND (? = 0 OR p.state <> 3)
ORDER BY p.topic, p.`partition`, p.`offset` LIMIT ?
-- One entity's in one partition, found by its digest.
-- name: parked_read_entity
SELECT p.parked_id, p.topic, p.`partition`, p.`offset`, p.record_key,
    CASE WHEN ? = 0 THEN p.record_value END, p.headers, b.entity_type, b.entity_key, p.state,
    p.reason, p.code, p.attempts, p.parked_at, p.next_attempt_at, coalesce(length(p.record_key), 0)
    + coalesce(length(p.record_value), 0) + coalesce(length(p.headers), 0)
FROM keepstep_blocked b JOIN keepstep_parked p ON p.parked_id = b.parked_id
WHERE b.entity_digest = unhex(sha2(concat(?, '\n', ?), 256))
    AND p.topic = ? AND p.`partition` = ? AND (? = 0 OR p.parked_id = ?) AND p.`offset` >= ?
    AND (? = 0 OR (p.state = 1 AND p.next_attempt_at <= ?)) AND (? = 0 OR p.state <> 3)
ORDER BY p.`offset` LIMIT ?
-- The agent's transaction locks the position first and the parked record later. A join locks both.
-- name: parked_revise
UPDATE keepstep_position SET revision = revision + 1
WHERE topic = (SELECT topic FROM keepstep_parked WHERE parked_id = ?)
    AND `partition` = (SELECT `partition` FROM keepstep_parked WHERE parked_id = ?)
-- name: blocked_delete
DELETE FROM keepstep_blocked WHERE parked_id = ?
-- name: parked_delete
DELETE FROM keepstep_parked WHERE parked_id = ?
-- name: parked_attempt
UPDATE keepstep_parked SET state = ?, reason = ?, code = ?, attempts = ?, next_attempt_at = ?
WHERE parked_id = ?
-- name: parked_state
UPDATE keepstep_parked SET state = ?, next_attempt_at = ? WHERE parked_id = ?
-- name: parked_prune
DELETE p, b
FROM (SELECT parked_id FROM keepstep_parked
      WHERE state = 3 AND next_attempt_at < ? AND parked_at < ?
      ORDER BY next_attempt_at LIMIT ?) old
JOIN keepstep_parked p ON p.parked_id = old.parked_id
LEFT JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE p.state = 3
-- name: superseded_keep
INSERT INTO keepstep_superseded(entity_digest, entity_type, entity_key, topic, `partition`,
    `offset`, record_key, record_value, headers)
VALUES (unhex(sha2(concat(?, '\n', ?), 256)), ?, ?, ?, ?, ?, ?, ?, ?)
ON DUPLICATE KEY UPDATE
    topic = VALUES(topic), `partition` = VALUES(`partition`), `offset` = VALUES(`offset`),
    record_key = VALUES(record_key), record_value = VALUES(record_value), headers = VALUES(headers)
-- name: superseded_read
SELECT topic, `partition`, `offset`, record_key, record_value, headers, entity_type, entity_key
FROM keepstep_superseded
WHERE entity_digest = unhex(sha2(concat(?, '\n', ?), 256))
-- name: superseded_next
SELECT topic, `partition`, `offset`, record_key, record_value, headers, entity_type, entity_key
FROM keepstep_superseded
WHERE topic = ? AND `partition` = ? AND `offset` > ? ORDER BY `offset` LIMIT 1
-- name: superseded_drop
DELETE FROM keepstep_superseded WHERE entity_digest = unhex(sha2(concat(?, '\n', ?), 256))
