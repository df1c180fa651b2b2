-- Joint transactions (rules 60 to 75); producer/mariadb/joint.sql makes the tables.
-- Whether all tables are there.
-- name: joint_tables
SELECT count(*) = 4 FROM information_schema.tables WHERE table_schema = database()
    AND table_name IN ('keepstep_joint', 'keepstep_reserved', 'keepstep_touched', 'keepstep_guard')
-- While somebody else holds a bucket or a row, he may wait for what this session holds: it waits for
-- nobody, and tries again (rule 66).
-- name: joint_yield
SET SESSION innodb_lock_wait_timeout = 0
-- By which settings the server can lose what it has said to be committed (rule 62).
-- name: joint_not_durable
SELECT concat_ws(', ',
    if(@@innodb_flush_log_at_trx_commit IN (1, 3), NULL,
        concat('innodb_flush_log_at_trx_commit=', @@innodb_flush_log_at_trx_commit)),
    if(@@log_bin AND @@sync_binlog <> 1, concat('log_bin=ON with sync_binlog=', @@sync_binlog), NULL),
    if(cast(@@innodb_doublewrite AS CHAR) IN ('0', 'OFF'), 'innodb_doublewrite=OFF', NULL),
    if(@@innodb_flush_method IN ('nosync', 'littlesync', 'O_DIRECT_NO_FSYNC'),
        concat('innodb_flush_method=', @@innodb_flush_method), NULL))
-- Whether a name is used up: the agent has read its proposal.
-- name: joint_known
SELECT count(*) FROM keepstep_joint WHERE proposer = ?1 AND id = ?2 AND state <> 'proposed'
-- A row that the service itself has written, and that was not read back yet, gives way.
-- name: joint_note
INSERT INTO keepstep_joint(proposer, id, changes, timeout_ms, created_at, state, reason, votes,
    proposal_id, proposal_offset, decision_offset, read_at, decided_at, withdrawn, late)
VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
ON DUPLICATE KEY UPDATE changes = VALUES(changes), timeout_ms = VALUES(timeout_ms),
    state = VALUES(state), reason = VALUES(reason), votes = VALUES(votes),
    proposal_id = VALUES(proposal_id), proposal_offset = VALUES(proposal_offset),
    decision_offset = VALUES(decision_offset), read_at = VALUES(read_at),
    decided_at = VALUES(decided_at), withdrawn = VALUES(withdrawn), late = VALUES(late)
-- When the service has asked for it, and whether a trigger has changed what was written.
-- name: joint_noted
SELECT created_at, (changes = ?3 AND timeout_ms = ?4 AND state = ?5 AND reason = ?6 AND votes = ?7
    AND proposal_id = ?8 AND proposal_offset <=> ?9 AND decision_offset <=> ?10 AND read_at = ?11
    AND decided_at = ?12 AND withdrawn = ?13 AND late = ?14)
FROM keepstep_joint WHERE proposer = ?1 AND id = ?2
-- name: joint_load
SELECT proposer, id, changes, timeout_ms, state, reason, votes, proposal_id, proposal_offset,
    coalesce(decision_offset, -1), created_at, read_at, decided_at, withdrawn, late
FROM keepstep_joint
WHERE state IN ('queued', 'reserved', 'refused', 'committing', 'aborting', 'held')
ORDER BY proposal_offset
-- name: joint_find
SELECT proposer, id, changes, timeout_ms, state, reason, votes, proposal_id,
    coalesce(proposal_offset, -1), coalesce(decision_offset, -1), created_at, read_at, decided_at,
    withdrawn, late
FROM keepstep_joint WHERE proposer = ?1 AND id = ?2
-- name: joint_mark
UPDATE keepstep_joint SET state = ?3, reason = ?4, votes = ?5, decision_offset = ?6, decided_at = ?7,
    withdrawn = ?8, late = ?9
WHERE proposer = ?1 AND id = ?2
-- Whether the row is what was written.
-- name: joint_marked
SELECT count(*) FROM keepstep_joint WHERE proposer = ?1 AND id = ?2 AND state = ?3 AND reason = ?4
    AND votes = ?5 AND decision_offset <=> ?6 AND decided_at = ?7 AND withdrawn = ?8 AND late = ?9
-- name: joint_settled
SELECT 1 FROM keepstep_joint
WHERE proposer = ?1 AND id = ?2 AND state IN ('committed', 'aborted', 'elsewhere')
-- A record of its own, and in no transaction of the service.
-- name: joint_say
INSERT INTO outbox(aggregatetype, aggregateid, type, payload, changeset) VALUES (?1, ?2, ?3, ?4, '')
-- A record that is in the log already counts once. What still waits for its number is not doubled.
-- name: joint_propose_again
INSERT INTO outbox(aggregatetype, aggregateid, type, payload, changeset)
SELECT 'keepstep.joint', j.name, 'keepstep.joint.proposal',
    concat('{"timeout_ms":', j.timeout_ms, ',"changes":', j.changes, '}'), ''
FROM (SELECT concat(_utf8mb4 '{"id":' COLLATE utf8mb4_nopad_bin, json_quote(id), ',"proposer":',
        json_quote(proposer), '}') AS name, timeout_ms, changes
    FROM keepstep_joint WHERE state = 'proposed') AS j
WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.sequence IS NULL
    AND o.type = 'keepstep.joint.proposal' AND o.aggregateid = j.name)
-- name: joint_propose
INSERT INTO keepstep_joint (id, changes, timeout_ms) VALUES (?1, ?2, ?3)
-- Where the part ends that begins at a time: the index has what was emptied before, too. Nothing is kept of
-- what happened elsewhere.
-- name: joint_old_part
SELECT least(?2,
    coalesce((SELECT decided_at + 1 FROM keepstep_joint WHERE state = 'committed' AND decided_at >= ?1
        ORDER BY decided_at LIMIT 1 OFFSET 10000), ?2),
    coalesce((SELECT decided_at + 1 FROM keepstep_joint WHERE state = 'aborted' AND decided_at >= ?1
        ORDER BY decided_at LIMIT 1 OFFSET 10000), ?2))
-- name: joint_prune
UPDATE keepstep_joint SET changes = '', votes = ''
WHERE changes <> '' AND state IN ('committed', 'aborted') AND decided_at < ?1 AND decided_at >= ?3
ORDER BY decided_at LIMIT ?2
-- In a try the triggers do not look at what others reserve: the agent does, by the names of all that it
-- has written. Anybody can set the variable; a row that only the agent's role can write makes it count.
-- name: joint_look_away
SET @keepstep_reserved = keepstep_look_away()
-- name: joint_look_back
SET @keepstep_reserved = NULL, @keepstep_joint = NULL
-- What the changes write has the name of their transaction (rule 75).
-- name: joint_name_changes
SET @keepstep_joint = ?1
-- name: joint_outbox_end
SELECT coalesce(max(position), 0) FROM outbox
-- What the capture triggers have seen, and whether it is a row of a table at all. Others may commit rows
-- meanwhile: a trigger marks those of this session.
-- name: joint_written
SELECT aggregatetype, aggregateid, type, payload,
    EXISTS (SELECT 1 FROM keepstep_captured c WHERE c.entity_type = o.aggregatetype)
FROM outbox o WHERE position > ?1 AND traceparent = concat('keepstep try ', connection_id())
ORDER BY position
-- What of joint types the try has touched, whether it is published or not.
-- name: joint_touched
SELECT DISTINCT entity_type, entity_key FROM keepstep_touched WHERE entity_type <> ''
-- name: joint_touched_clear
DELETE FROM keepstep_touched
-- name: joint_reserve
INSERT INTO keepstep_reserved(entity_type, entity_key, operation, proposer, id)
VALUES (?1, ?2, ?3, ?4, ?5)
-- name: joint_release
DELETE FROM keepstep_reserved WHERE proposer = ?1 AND id = ?2
-- Whose an entity is, and where its proposal stands.
-- name: joint_holder
SELECT r.proposer, r.id, coalesce(j.proposal_offset, -1) FROM keepstep_reserved r
LEFT JOIN keepstep_joint j ON j.proposer = r.proposer AND j.id = r.id
WHERE r.digest = unhex(md5(concat(?1, ' ', ?2)))
-- name: joint_reserved_of
SELECT entity_type, entity_key FROM keepstep_reserved WHERE proposer = ?1 AND id = ?2
-- The bucket of an entity: from now on its writers wait (rule 66). Behind a waiting agent they would
-- queue, and deadlock.
-- name: joint_guard
SELECT bucket FROM keepstep_guard
WHERE bucket = conv(left(md5(concat(?1, ' ', ?2)), 3), 16, 10) FOR UPDATE NOWAIT
-- The same where it is to be had at once. SKIP LOCKED fails with error 1180 where it skips the only row.
-- name: joint_guard_free
SELECT bucket FROM keepstep_guard
WHERE bucket = conv(left(md5(concat(?1, ' ', ?2)), 3), 16, 10) FOR UPDATE NOWAIT
-- name: joint_guard_count
UPDATE keepstep_guard SET reserved = (
    SELECT count(*) FROM keepstep_reserved r WHERE r.bucket = ?1)
WHERE bucket = ?1
-- Buckets whose count is not that of their names.
-- name: joint_guard_stale
SELECT g.bucket FROM keepstep_guard g LEFT JOIN (
    SELECT bucket, count(*) AS names FROM keepstep_reserved GROUP BY bucket) r ON r.bucket = g.bucket
WHERE g.reserved <> coalesce(r.names, 0)
-- One of them, where it is to be had at once. SKIP LOCKED as above.
-- name: joint_guard_keep
SELECT bucket FROM keepstep_guard WHERE bucket = ?1 FOR UPDATE NOWAIT
-- Whether the transaction still is open behind a statement that has failed: a deadlock has ended it, and a
-- lock that was not had too under innodb_rollback_on_timeout.
-- name: joint_is_open
SELECT @@in_transaction
-- What of a table no name covers: it stands in the way of each change (0), only of deletes (1), of updates too
-- (4), or of keeping a row too (5). Whether it has unique indexes to look at (2), and foreign keys (3): the
-- function tells all but deletes as reasons against each change, which they are to an agent that knows no better.
-- name: joint_uncovered
SELECT IF(t.kind IN (2, 3), '', t.reason), t.kind FROM (SELECT u.reason, CASE
        WHEN u.reason LIKE 'has the unique index %' THEN 2
        WHEN u.reason LIKE 'has a foreign key to table %' THEN 3
        WHEN u.reason LIKE 'is named by a foreign key %' AND NOT u.only_deletes THEN 4
        WHEN u.reason LIKE 'has no triggers %' THEN 5
        ELSE u.only_deletes END AS kind
    FROM JSON_TABLE(keepstep_uncovered(?1), '$[*]' COLUMNS (
        reason VARCHAR(500) PATH '$[0]', only_deletes INT PATH '$[1]')) AS u
    WHERE u.reason IS NOT NULL) AS t
-- What of the table's unique indexes has names.
-- name: joint_unique
SELECT u.name, u.reason, '', '', u.known FROM JSON_TABLE(keepstep_unique_names(?1), '$[*]' COLUMNS (
    name VARCHAR(64) PATH '$[0]', reason VARCHAR(500) PATH '$[1]', known INT PATH '$[3]')) AS u
-- The foreign keys of a table, and the tables that they name.
-- name: joint_foreign
SELECT DISTINCT f.name, f.parent FROM JSON_TABLE(keepstep_foreign_keys(?1), '$[*]' COLUMNS (
    name VARCHAR(64) PATH '$[0]', parent VARCHAR(200) PATH '$[1]')) AS f
-- Of those that name table ?2: columns, and what they name.
-- name: joint_parent
SELECT f.name, f.own, f.named FROM JSON_TABLE(keepstep_foreign_keys(?1), '$[*]' COLUMNS (
    name VARCHAR(64) PATH '$[0]', parent VARCHAR(200) PATH '$[1]', own VARCHAR(64) PATH '$[2]',
    named VARCHAR(64) PATH '$[3]')) AS f
WHERE BINARY f.parent = BINARY ?2
