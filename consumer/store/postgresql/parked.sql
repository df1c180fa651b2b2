-- Parked records, what they block, and superseded images. State 0 held, 1 waiting, 2 behind,
-- 3 skipped (at next_attempt_at): a skipped record is evidence and blocks nothing.
-- name: blocked_read
SELECT b.entity_type, b.entity_key, p.record_key, p."offset"
FROM keepstep_parked p JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE p.topic = $1 AND p.partition = $2 AND p.state <> 3 ORDER BY p."offset"
-- name: parked_count
SELECT count(*), count(*) FILTER (WHERE state = 1), 0::bigint, count(*) FILTER (WHERE state = 0)
FROM keepstep_parked
WHERE topic = $1 AND partition = $2 AND state <> 3
-- The lengths of values are known without reading them.
-- name: parked_count_bytes
SELECT count(*), count(*) FILTER (WHERE state = 1), coalesce(sum(
    coalesce(octet_length(record_key), 0)::bigint + coalesce(octet_length(record_value), 0)
    + coalesce(octet_length(headers), 0)), 0)::bigint, count(*) FILTER (WHERE state = 0)
FROM keepstep_parked
WHERE topic = $1 AND partition = $2 AND state <> 3
-- name: parked_add
INSERT INTO keepstep_parked(topic, partition, "offset", record_key, record_value, headers, state,
    reason, code, attempts, parked_at, next_attempt_at, source, incarnation, sequence,
    changeset_end)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
RETURNING parked_id
-- name: blocked_add
INSERT INTO keepstep_blocked(entity_type, entity_key, parked_id)
SELECT $4::text, $5::text, parked_id FROM keepstep_parked
WHERE topic = $1 AND partition = $2 AND "offset" = $3
-- name: parked_read
SELECT p.parked_id, p.topic, p.partition, p."offset", p.record_key,
    CASE WHEN $8::bigint = 0 THEN p.record_value END, p.headers, b.entity_type, b.entity_key,
    p.state, p.reason, p.code, p.attempts, p.parked_at, p.next_attempt_at,
    coalesce(octet_length(p.record_key), 0)::bigint + coalesce(octet_length(p.record_value), 0)
    + coalesce(octet_length(p.headers), 0), p.changeset_end
FROM keepstep_parked p JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE ($1::text IS NULL OR p.topic = $1) AND ($2::bigint < 0 OR p.partition = $2)
    AND ($3::text IS NULL OR b.entity_type = $3) AND ($4::text IS NULL OR b.entity_key = $4)
    AND ($5::bigint = 0 OR p.parked_id = $5) AND p."offset" >= $6::bigint
    AND ($7::bigint = 0 OR (p.state = 1 AND p.next_attempt_at <= $7))
    AND ($9::bigint = 0 OR p.state <> 3)
ORDER BY p.topic, p.partition, p."offset" LIMIT $10
-- Those of one entity in one partition, found by the entity's key.
-- name: parked_read_entity
SELECT p.parked_id, p.topic, p.partition, p."offset", p.record_key,
    CASE WHEN $8::bigint = 0 THEN p.record_value END, p.headers, b.entity_type, b.entity_key,
    p.state, p.reason, p.code, p.attempts, p.parked_at, p.next_attempt_at,
    coalesce(octet_length(p.record_key), 0)::bigint + coalesce(octet_length(p.record_value), 0)
    + coalesce(octet_length(p.headers), 0), p.changeset_end
FROM keepstep_blocked b JOIN keepstep_parked p ON p.parked_id = b.parked_id
WHERE hashtextextended(b.entity_key, 0) = hashtextextended($4::text, 0)
    AND b.entity_type = $3::text AND b.entity_key = $4
    AND p.topic = $1::text AND p.partition = $2::bigint
    AND ($5::bigint = 0 OR p.parked_id = $5) AND p."offset" >= $6::bigint
    AND ($7::bigint = 0 OR (p.state = 1 AND p.next_attempt_at <= $7))
    AND ($9::bigint = 0 OR p.state <> 3)
ORDER BY p."offset" LIMIT $10
-- Those of one set, found by its end.
-- name: parked_read_set
SELECT p.parked_id, p.topic, p.partition, p."offset", p.record_key,
    CASE WHEN $7::bigint = 0 THEN p.record_value END, p.headers, b.entity_type, b.entity_key, p.state,
    p.reason, p.code, p.attempts, p.parked_at, p.next_attempt_at,
    coalesce(octet_length(p.record_key), 0)::bigint + coalesce(octet_length(p.record_value), 0)
    + coalesce(octet_length(p.headers), 0), p.changeset_end
FROM keepstep_parked p JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE p.topic = $1 AND p.partition = $2 AND p.changeset_end = $3
    AND p.source = $4 AND p.incarnation = $5
    AND p."offset" >= $6
ORDER BY p."offset" LIMIT $8
-- A page of all, without their values.
-- name: parked_read_after
SELECT p.parked_id, p.topic, p.partition, p."offset", p.record_key,
    CASE WHEN $3::bigint = 0 THEN p.record_value END, p.headers, b.entity_type, b.entity_key, p.state, p.reason, p.code, p.attempts, p.parked_at,
    p.next_attempt_at, 0::bigint, p.changeset_end
FROM keepstep_parked p JOIN keepstep_blocked b ON b.parked_id = p.parked_id
WHERE p.parked_id > $1::bigint ORDER BY p.parked_id LIMIT $2
-- name: parked_revise
UPDATE keepstep_position SET revision = revision + 1 WHERE (topic, partition) =
    (SELECT topic, partition FROM keepstep_parked WHERE parked_id = $1)
-- name: blocked_delete_set
DELETE FROM keepstep_blocked b USING keepstep_parked p
WHERE b.parked_id = p.parked_id AND p.topic = $1 AND p.partition = $2 AND p.changeset_end = $3
    AND p.source = $4 AND p.incarnation = $5
-- name: blocked_delete
DELETE FROM keepstep_blocked WHERE parked_id = $1
-- name: parked_delete
DELETE FROM keepstep_parked WHERE parked_id = $1
-- name: parked_delete_set
DELETE FROM keepstep_parked
WHERE topic = $1 AND partition = $2 AND changeset_end = $3
    AND source = $4 AND incarnation = $5
-- name: parked_attempt
UPDATE keepstep_parked SET state = $2, reason = $3, code = $4, attempts = $5,
    next_attempt_at = $6 WHERE parked_id = $1
-- name: parked_state
UPDATE keepstep_parked SET state = $2, next_attempt_at = $3 WHERE parked_id = $1
-- What is skipped of a set stays skipped: another row of it may be pruned already.
-- name: parked_retry_set
UPDATE keepstep_parked SET state = 1, next_attempt_at = 0 WHERE parked_id = $1 AND state <> 3
-- name: parked_skip_set
UPDATE keepstep_parked SET state = 3, next_attempt_at = $6
WHERE topic = $1 AND partition = $2 AND changeset_end = $3
    AND source = $4 AND incarnation = $5
-- name: parked_prune
WITH old AS (
    SELECT parked_id FROM keepstep_parked
    WHERE state = 3 AND next_attempt_at < $1 AND parked_at < $1
    ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED)
DELETE FROM keepstep_parked p USING old WHERE p.parked_id = old.parked_id RETURNING p.parked_id
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
