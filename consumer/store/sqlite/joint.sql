-- Joint transactions (rules 60 to 75); producer/sqlite/joint.sql makes the tables.
-- Whether all tables are there.
-- name: joint_tables
SELECT count(*) = 4 FROM sqlite_master WHERE type = 'table'
AND name IN ('keepstep_joint', 'keepstep_reserved', 'keepstep_touched', 'keepstep_applying')
-- Whether a name is used up: the agent has read its proposal.
-- name: joint_known
SELECT count(*) FROM keepstep_joint WHERE proposer = ?1 AND id = ?2 AND state <> 'proposed'
-- A row that the service itself has written, and that was not read back yet, gives way.
-- name: joint_note
INSERT INTO keepstep_joint(proposer, id, changes, timeout_ms, created_at, state, reason, votes,
    proposal_id, proposal_offset, decision_offset, read_at, decided_at, withdrawn, late)
VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
ON CONFLICT (proposer, id) DO UPDATE SET changes = ?3, timeout_ms = ?4, state = ?5, reason = ?6,
    votes = ?7, proposal_id = ?8, proposal_offset = ?9, decision_offset = ?10, read_at = ?11,
    decided_at = ?12, withdrawn = ?13, late = ?14
-- When the service has asked for it, and whether a trigger has changed what was written.
-- name: joint_noted
SELECT created_at, (changes = ?3 AND timeout_ms = ?4 AND state = ?5 AND reason = ?6 AND votes = ?7
    AND proposal_id = ?8 AND proposal_offset IS ?9 AND decision_offset IS ?10 AND read_at = ?11
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
    AND votes = ?5 AND decision_offset IS ?6 AND decided_at = ?7 AND withdrawn = ?8 AND late = ?9
-- name: joint_settled
SELECT 1 FROM keepstep_joint
WHERE proposer = ?1 AND id = ?2 AND state IN ('committed', 'aborted', 'elsewhere')
-- A record of its own, and in no transaction of the service.
-- name: joint_say
INSERT INTO outbox(aggregatetype, aggregateid, type, payload, changeset) VALUES (?1, ?2, ?3, ?4, '')
-- A record that is in the log already counts once. What still waits for its number is not doubled.
-- name: joint_propose_again
INSERT INTO outbox(aggregatetype, aggregateid, type, payload, changeset)
SELECT 'keepstep.joint', json_object('id', id, 'proposer', proposer), 'keepstep.joint.proposal',
  '{"timeout_ms":' || timeout_ms || ',"changes":' || changes || '}', ''
FROM keepstep_joint AS j WHERE state = 'proposed' AND NOT EXISTS (
  SELECT 1 FROM outbox WHERE sequence IS NULL AND type = 'keepstep.joint.proposal'
  AND aggregateid = json_object('id', j.id, 'proposer', j.proposer))
-- name: joint_propose
INSERT INTO keepstep_joint (id, changes, timeout_ms) VALUES (?1, ?2, ?3)
-- name: joint_prune
UPDATE keepstep_joint SET changes = '', votes = '' WHERE (proposer, id) IN (
    SELECT proposer, id FROM keepstep_joint
    WHERE changes <> '' AND state IN ('committed', 'aborted', 'elsewhere') AND decided_at < ?1
    ORDER BY decided_at LIMIT ?2)
-- In a try the triggers do not look at what others reserve: the agent does, by the names of all that it
-- has written.
-- name: joint_look_away
INSERT INTO keepstep_applying(table_name) VALUES ('keepstep_reserved')
-- name: joint_outbox_end
SELECT coalesce(max(position), 0) FROM outbox
-- What the capture triggers have seen, and whether it is a row of a table at all.
-- name: joint_written
SELECT aggregatetype, aggregateid, type, payload,
    EXISTS (SELECT 1 FROM keepstep_captured c WHERE c.entity_type = o.aggregatetype)
FROM outbox o WHERE position > ?1 ORDER BY position
-- What of joint types the try has touched, whether it is published or not.
-- name: joint_touched
SELECT DISTINCT entity_type, entity_key FROM keepstep_touched
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
WHERE r.entity_type = ?1 AND r.entity_key = ?2
-- What of a table no name covers: it stands in the way of each change (0), only of deletes (1), or of keeping a
-- row too (5). Whether it has foreign keys to look at (3).
-- name: joint_uncovered
SELECT 'has the unique index ' || name, 0 FROM pragma_index_list(?1)
WHERE "unique" = 1 AND origin <> 'pk'
UNION ALL
SELECT '', 3 FROM pragma_foreign_key_list(?1)
UNION ALL
SELECT 'is named by a foreign key of table ' || m.name, 1
FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
WHERE m.type = 'table' AND f."table" = ?1 COLLATE NOCASE
UNION ALL
SELECT 'has no triggers that ask for reservations: run `keepstep init`', 5 WHERE 4 > (
    SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
    AND sql LIKE '%keepstep_touched%')
-- The foreign keys of a table, and the tables that they name.
-- name: joint_foreign
SELECT DISTINCT id, "table" FROM pragma_foreign_key_list(?1)
-- Of those that name table ?2: columns, and what they name.
-- name: joint_parent
SELECT f.id, f."from", coalesce(f."to",
    (SELECT p.name FROM pragma_table_info(f."table") AS p WHERE p.pk = f.seq + 1))
FROM pragma_foreign_key_list(?1) AS f WHERE f."table" = ?2 COLLATE NOCASE ORDER BY f.id, f.seq
-- name: joint_has_sets
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'keepstep_transaction'
-- What a transaction's changes wrote behind a position has its name (rule 75).
-- name: joint_name_written
UPDATE outbox SET joint = ?1 WHERE position > ?2
-- name: joint_next_set
UPDATE keepstep_transaction SET id = id + 1
-- Of a table's key: ?1 is the table, ?2 the entity type, ?3 and ?4 the transaction, ?5 the key's column in
-- an entity key. Whether it is the rowid, which SQLite gives by itself.
-- name: keys_alias
SELECT count(*) FROM pragma_table_info(?1) WHERE pk = 1 AND upper(type) = 'INTEGER'
AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')
-- name: keys_counted
SELECT count(*) FROM sqlite_master
WHERE type = 'table' AND name = ?1 COLLATE NOCASE AND sql LIKE '%AUTOINCREMENT%'
-- name: keys_count
INSERT INTO sqlite_sequence (name, seq) SELECT name, 0 FROM sqlite_master
WHERE type = 'table' AND name = ?1 COLLATE NOCASE
AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1 COLLATE NOCASE)
-- name: keys_count_on
UPDATE sqlite_sequence SET seq = max(seq, coalesce((
  SELECT max(CAST(json_extract(r.entity_key, ?5) AS INTEGER)) FROM keepstep_reserved AS r
  WHERE r.entity_type = ?2 AND r.operation = 'c' AND r.proposer = ?3 AND r.id = ?4), 0))
WHERE name = ?1 COLLATE NOCASE
-- The key that the table would give next, where it is among the promised ones.
-- name: keys_given
SELECT CAST(json_extract(r.entity_key, ?5) AS INTEGER) FROM keepstep_reserved AS r
WHERE r.entity_type = ?2 AND r.operation = 'c' AND r.proposer = ?3 AND r.id = ?4
AND CAST(json_extract(r.entity_key, ?5) AS INTEGER) = 1 + coalesce((SELECT max(rowid) FROM "%w"), 0)
