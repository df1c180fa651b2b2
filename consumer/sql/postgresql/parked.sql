-- Parked records, what they block, and superseded images. State 0 held, 1 waiting, 2 behind,
-- 3 skipped (at next_attempt_at): a skipped record is evidence and blocks nothing.
-- name: blocked_read
SELECT DISTINCT b.entity_type, b.entity_key
FROM keepstep_parked p JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE p.topic = $1 AND p.partition = $2 AND p.state <> 3 ORDER BY 1, 2
-- name: parked_count
SELECT count(*), count(*) FILTER (WHERE state = 1) FROM keepstep_parked
WHERE topic = $1 AND partition = $2 AND state <> 3
-- name: parked_add
WITH parked AS (
    INSERT INTO keepstep_parked(topic, partition, "offset", record_key, record_value, headers,
        state, reason, code, attempts, parked_at, next_attempt_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING parked_id)
INSERT INTO keepstep_blocked(entity_type, entity_key, parked_id)
SELECT $13::text, $14::text, parked_id FROM parked RETURNING parked_id
-- name: parked_read
SELECT p.parked_id, p.topic, p.partition, p."offset", p.record_key, p.record_value, p.headers,
    b.entity_type, b.entity_key, p.state, p.reason, p.code, p.attempts, p.parked_at,
    p.next_attempt_at
FROM keepstep_parked p JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE ($1::text IS NULL OR p.topic = $1) AND ($2::bigint < 0 OR p.partition = $2)
    AND ($3::text IS NULL OR b.entity_type = $3)
    AND ($4::text IS NULL OR (hashtextextended(b.entity_key, 0) = hashtextextended($4, 0) AND b.entity_key = $4))
    AND ($5::bigint = 0 OR p.parked_id = $5)
    AND ($7::bigint = 0 OR (p.state = 1 AND p.next_attempt_at <= $7))
    AND ($6::bigint = 0 OR (p.state <> 3 AND NOT EXISTS (
        SELECT 1 FROM keepstep_blocked older_blocked
        JOIN keepstep_parked older ON older.parked_id = older_blocked.parked_id
        WHERE hashtextextended(older_blocked.entity_key, 0) = hashtextextended(b.entity_key, 0)
            AND older_blocked.entity_type = b.entity_type
            AND older_blocked.entity_key = b.entity_key AND older.state <> 3
            AND (older.topic, older.partition, older."offset")
                < (p.topic, p.partition, p."offset"))))
ORDER BY p.topic, p.partition, p."offset" LIMIT $8
-- name: parked_promote
UPDATE keepstep_parked SET state = 1, next_attempt_at = 0
WHERE state = 2 AND parked_id = (
    SELECT other.parked_id FROM keepstep_blocked mine
    JOIN keepstep_blocked b ON hashtextextended(b.entity_key, 0) = hashtextextended(mine.entity_key, 0)
        AND b.entity_type = mine.entity_type AND b.entity_key = mine.entity_key
    JOIN keepstep_parked other ON other.parked_id = b.parked_id
    WHERE mine.parked_id = $1 AND other.parked_id <> $1 AND other.state <> 3
    ORDER BY other.topic, other.partition, other."offset" LIMIT 1)
-- name: parked_revise
UPDATE keepstep_position SET revision = revision + 1 WHERE (topic, partition) =
    (SELECT topic, partition FROM keepstep_parked WHERE parked_id = $1)
-- name: blocked_delete
DELETE FROM keepstep_blocked WHERE parked_id = $1
-- name: parked_delete
DELETE FROM keepstep_parked WHERE parked_id = $1
-- name: parked_attempt
UPDATE keepstep_parked SET state = $2, reason = $3, code = $4, attempts = $5,
    next_attempt_at = $6 WHERE parked_id = $1
-- name: parked_state
UPDATE keepstep_parked SET state = $2, next_attempt_at = $3 WHERE parked_id = $1
-- name: parked_prune
WITH old AS (
    SELECT parked_id FROM keepstep_parked
    WHERE state = 3 AND next_attempt_at < $1 AND parked_at < $1
    ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED),
unblocked AS (
    DELETE FROM keepstep_blocked b USING old WHERE b.parked_id = old.parked_id)
DELETE FROM keepstep_parked p USING old WHERE p.parked_id = old.parked_id
-- name: superseded_keep
INSERT INTO keepstep_superseded(entity_type, entity_key, topic, partition, "offset", record_key,
    record_value, headers)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT(entity_type, entity_key) DO UPDATE SET
    topic = excluded.topic, partition = excluded.partition, "offset" = excluded."offset",
    record_key = excluded.record_key, record_value = excluded.record_value,
    headers = excluded.headers
-- name: superseded_read
SELECT topic, partition, "offset", record_key, record_value, headers, entity_type, entity_key
FROM keepstep_superseded
WHERE entity_type = $1 AND entity_key = $2
-- name: superseded_next
SELECT topic, partition, "offset", record_key, record_value, headers, entity_type, entity_key
FROM keepstep_superseded
WHERE topic = $1 AND partition = $2 AND "offset" > $3 ORDER BY "offset" LIMIT 1
-- name: superseded_drop
DELETE FROM keepstep_superseded WHERE entity_type = $1 AND entity_key = $2
