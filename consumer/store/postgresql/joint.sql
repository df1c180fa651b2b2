-- Joint transactions (rules 60 to 75); producer/postgresql/joint.sql makes the tables.
-- Whether all tables are there.
-- name: joint_tables
SELECT (count(*) = 4)::int FROM pg_class WHERE oid IN (to_regclass('keepstep_joint'),
    to_regclass('keepstep_reserved'), to_regclass('keepstep_touched'), to_regclass('keepstep_guard'))
-- While somebody else holds a bucket or a row, he may wait for what this session holds: it yields first
-- and tries again (rule 66). Its statements are few, of few rows, and run for each transaction: none is planned
-- anew.
-- name: joint_yield
SELECT set_config('lock_timeout', '50ms', false),
    set_config('plan_cache_mode', 'force_generic_plan', false)
-- By which settings the server can lose what it has said to be committed (rule 62).
-- name: joint_not_durable
SELECT string_agg(s, ', ') FROM (
    SELECT name || '=off' AS s FROM unnest('{fsync,full_page_writes}'::text[]) AS name
    WHERE current_setting(name) = 'off'
    UNION ALL SELECT relname || ' UNLOGGED' FROM pg_class WHERE relpersistence = 'u' AND oid IN (
        to_regclass('outbox'), to_regclass('keepstep_joint'), to_regclass('keepstep_reserved'),
        to_regclass('keepstep_guard'), to_regclass('keepstep_position'))) AS n
-- Whether a name is used up: the agent has read its proposal.
-- name: joint_known
SELECT count(*) FROM keepstep_joint WHERE proposer = $1 AND id = $2 AND state <> 'proposed'
-- A row that the service itself has written, and that was not read back yet, gives way.
-- name: joint_note
INSERT INTO keepstep_joint(proposer, id, changes, timeout_ms, created_at, state, reason, votes,
    proposal_id, proposal_offset, decision_offset, read_at, decided_at, withdrawn, late)
VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (proposer, id) DO UPDATE SET changes = $3, timeout_ms = $4, state = $5, reason = $6,
    votes = $7, proposal_id = $8, proposal_offset = $9, decision_offset = $10, read_at = $11,
    decided_at = $12, withdrawn = $13, late = $14
-- When the service has asked for it, and whether a trigger has changed what was written.
-- name: joint_noted
SELECT created_at, (changes = $3 AND timeout_ms = $4 AND state = $5 AND reason = $6 AND votes = $7
    AND proposal_id = $8 AND proposal_offset IS NOT DISTINCT FROM $9 AND decision_offset IS NOT DISTINCT FROM $10 AND read_at = $11
    AND decided_at = $12 AND withdrawn = $13 AND late = $14)::int
FROM keepstep_joint WHERE proposer = $1 AND id = $2
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
FROM keepstep_joint WHERE proposer = $1 AND id = $2
-- name: joint_mark
UPDATE keepstep_joint SET state = $3, reason = $4, votes = $5, decision_offset = $6, decided_at = $7,
    withdrawn = $8, late = $9
WHERE proposer = $1 AND id = $2
-- Whether the row is what was written.
-- name: joint_marked
SELECT count(*) FROM keepstep_joint WHERE proposer = $1 AND id = $2 AND state = $3 AND reason = $4
    AND votes = $5 AND decision_offset IS NOT DISTINCT FROM $6 AND decided_at = $7 AND withdrawn = $8 AND late = $9
-- name: joint_settled
SELECT 1 FROM keepstep_joint
WHERE proposer = $1 AND id = $2 AND state IN ('committed', 'aborted', 'elsewhere')
-- A record of its own, and in no transaction of the service.
-- name: joint_say
INSERT INTO outbox(aggregatetype, aggregateid, type, payload, changeset) VALUES ($1, $2, $3, $4, '')
-- A record that is in the log already counts once. What still waits for its number is not doubled.
-- name: joint_propose_again
INSERT INTO outbox(aggregatetype, aggregateid, type, payload, changeset)
SELECT 'keepstep.joint', j.name, 'keepstep.joint.proposal',
    '{"timeout_ms":' || j.timeout_ms || ',"changes":' || j.changes || '}', ''
FROM (SELECT '{"id":' || to_json(id)::text || ',"proposer":' || to_json(proposer)::text || '}' AS name,
    timeout_ms, changes FROM keepstep_joint WHERE state = 'proposed') AS j
WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.sequence IS NULL
    AND o.type = 'keepstep.joint.proposal' AND o.aggregateid = j.name)
-- name: joint_propose
INSERT INTO keepstep_joint (id, changes, timeout_ms) VALUES ($1, $2, $3)
-- Whether there is something to be emptied.
-- name: joint_has_old
SELECT count(*) FROM (SELECT FROM keepstep_joint
    WHERE changes <> '' AND state IN ('committed', 'aborted', 'elsewhere') AND decided_at < $1
    LIMIT 1) AS old
-- Whether a trigger of the service's would see that.
-- name: joint_sees_old
SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = to_regclass('keepstep_joint')
    AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype::integer & 16) <> 0
    AND t.tgname NOT LIKE 'keepstep\_joint\_%'
    AND (t.tgattr::text = '' OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = t.tgrelid
        AND a.attnum = ANY (t.tgattr) AND a.attname IN ('changes', 'votes')))
-- Whether the service's triggers on keepstep_joint are switched off, in this transaction.
-- name: joint_triggers
SELECT 1 FROM keepstep_joint_silence(to_regclass('keepstep_joint'), $1::bigint <> 0)
-- name: joint_prune
UPDATE keepstep_joint SET changes = '', votes = '' WHERE (proposer, id) IN (
    SELECT proposer, id FROM keepstep_joint
    WHERE changes <> '' AND state IN ('committed', 'aborted', 'elsewhere') AND decided_at < $1
    ORDER BY decided_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
-- Whether triggers take this login's try for one.
-- name: joint_may_try
SELECT has_table_privilege(session_user, 'keepstep_touched', 'DELETE')::int
-- In a try the triggers do not look at what others reserve: the agent does, by the names of all that it
-- has written. A row is waited for as long as a writer needs who only makes it so, and no longer: its writer
-- may wait for a bucket that this session holds. Both settings end with the try.
-- name: joint_look_away
SELECT set_config('keepstep.reserved', 'looked at', true), set_config('lock_timeout', '10ms', true)
-- name: joint_look_back
SELECT set_config('keepstep.reserved', '', true), set_config('keepstep.joint', '', true)
-- What the changes write has the name of their transaction (rule 75).
-- name: joint_name_changes
SELECT set_config('keepstep.joint', $1, true)
-- name: joint_outbox_end
SELECT coalesce(max(position), 0) FROM outbox
-- What the capture triggers have seen, and whether it is a row of a table at all. Others may commit rows
-- meanwhile: of those that this transaction sees only its own are of one that is under way.
-- name: joint_written
SELECT aggregatetype, aggregateid, type, payload,
    (EXISTS (SELECT FROM keepstep_captured c WHERE c.entity_type = o.aggregatetype))::int
FROM outbox o WHERE position > $1 AND pg_xact_status(
    greatest(pg_current_xact_id()::text::bigint - age(xmin), 3)::text::xid8) = 'in progress'
ORDER BY position
-- What of joint types the try has touched, whether it is published or not.
-- name: joint_touched
SELECT DISTINCT entity_type, entity_key FROM keepstep_touched
-- name: joint_touched_clear
DELETE FROM keepstep_touched
-- name: joint_reserve
INSERT INTO keepstep_reserved(entity_type, entity_key, operation, proposer, id)
VALUES ($1, $2, $3, $4, $5)
-- name: joint_release
DELETE FROM keepstep_reserved WHERE proposer = $1 AND id = $2
-- Whose an entity is, and where its proposal stands.
-- name: joint_holder
SELECT r.proposer, r.id, coalesce(j.proposal_offset, -1) FROM keepstep_reserved r
LEFT JOIN keepstep_joint j ON j.proposer = r.proposer AND j.id = r.id
WHERE r.digest = md5($1::text || ' ' || $2::text)
-- name: joint_reserved_of
SELECT entity_type, entity_key FROM keepstep_reserved WHERE proposer = $1 AND id = $2
-- The bucket of an entity: from now on its writers wait (rule 66).
-- name: joint_guard
SELECT bucket FROM keepstep_guard
WHERE bucket = ('x' || left(md5($1::text || ' ' || $2::text), 3))::bit(12)::integer FOR UPDATE
-- The same where it is to be had at once.
-- name: joint_guard_free
SELECT bucket FROM keepstep_guard
WHERE bucket = ('x' || left(md5($1::text || ' ' || $2::text), 3))::bit(12)::integer
FOR UPDATE SKIP LOCKED
-- name: joint_guard_count
UPDATE keepstep_guard SET reserved = (
    SELECT count(*) FROM keepstep_reserved r WHERE r.bucket = keepstep_guard.bucket)
WHERE bucket = $1::bigint
-- Buckets whose count is not that of their names.
-- name: joint_guard_stale
SELECT g.bucket FROM keepstep_guard g LEFT JOIN (
    SELECT bucket, count(*) AS names FROM keepstep_reserved GROUP BY bucket) r ON r.bucket = g.bucket
WHERE g.reserved <> coalesce(r.names, 0)
-- One of them, where it is to be had at once.
-- name: joint_guard_keep
SELECT bucket FROM keepstep_guard WHERE bucket = $1::bigint FOR UPDATE SKIP LOCKED
-- Whether the transaction still is open behind a statement that has failed: here none fails alone.
-- name: joint_is_open
SELECT 0
-- What of a table no name covers: it stands in the way of each change (0), only of deletes (1), of updates too
-- (4), or of keeping a row too (5). Whether it has unique indexes to look at (2), foreign keys (3), and
-- partitions (6).
-- name: joint_uncovered
WITH part(oid) AS (
    SELECT to_regclass($1)::oid UNION SELECT relid::oid FROM pg_partition_tree(to_regclass($1)))
SELECT 'can be truncated at ' || part.oid::regclass::text || ', where no trigger sees it (run `keepstep init`)',
    5
FROM part WHERE part.oid IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
    WHERE g.tgrelid = part.oid AND g.tgenabled = 'A' AND (g.tgtype & 32) <> 0
    AND p.proname LIKE 'keepstep\_%\_truncate')
UNION ALL
SELECT '', 2 FROM pg_index i JOIN part ON part.oid = i.indrelid
WHERE i.indisunique AND NOT i.indisprimary
UNION ALL
SELECT '', 6 FROM part WHERE part.oid <> to_regclass($1)::oid
UNION ALL
SELECT '', 3 FROM pg_constraint c JOIN part ON part.oid = c.conrelid WHERE c.contype = 'f'
UNION ALL
SELECT 'has the exclusion constraint ' || c.conname::text, 0
FROM pg_constraint c JOIN part ON part.oid = c.conrelid WHERE c.contype = 'x'
UNION ALL
SELECT 'is named by a foreign key of table ' || c.conrelid::regclass::text, CASE WHEN c.confkey <@ coalesce(
    (SELECT p.conkey FROM pg_constraint p WHERE p.conrelid = c.confrelid AND p.contype = 'p'), '{}')
    THEN 1 ELSE 4 END
FROM pg_constraint c JOIN part ON part.oid = c.confrelid WHERE c.contype = 'f'
UNION ALL
SELECT 'has no trigger that asks for reservations: run `keepstep init`', 5
WHERE NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
    WHERE t.tgrelid = to_regclass($1) AND t.tgenabled = 'A' AND f.prosrc LIKE '%keepstep_touched%')
-- The foreign keys of a table and its partitions, and the tables that they name.
-- name: joint_foreign
SELECT c.oid::text, c.confrelid::regclass::text FROM pg_constraint c
WHERE c.contype = 'f' AND c.conparentid = 0 AND (c.conrelid = to_regclass($1)
    OR c.conrelid IN (SELECT relid FROM pg_partition_tree(to_regclass($1))))
-- Of those that name table $2: columns, and what they name.
-- name: joint_parent
SELECT c.oid::text, a.attname, p.attname FROM pg_constraint c
CROSS JOIN unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (own, named, n)
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.own
JOIN pg_attribute p ON p.attrelid = c.confrelid AND p.attnum = k.named
WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = to_regclass($2)
AND (c.conrelid = to_regclass($1)
    OR c.conrelid IN (SELECT relid FROM pg_partition_tree(to_regclass($1))))
ORDER BY c.oid, k.n
