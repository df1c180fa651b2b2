-- What a service of joint transactions has besides, in SQLite (rules 60 to 75). A row that the service
-- inserts asks for a transaction: the triggers check it, complete it, and write the record for the log.

-- state: proposed, queued, reserved, refused, committing, aborting, held, committed, aborted, elsewhere.
-- Times are microseconds since 1970. proposal_offset: NULL until the agent has read the proposal.
-- name: create_joint
CREATE TABLE IF NOT EXISTS keepstep_joint (
  proposer TEXT NOT NULL DEFAULT '',
  id TEXT NOT NULL,
  changes TEXT NOT NULL,
  timeout_ms INTEGER NOT NULL DEFAULT 10000,
  created_at INTEGER NOT NULL DEFAULT (
    strftime('%s', 'now') * 1000000 + substr(strftime('%f', 'now'), 4) * 1000),
  state TEXT NOT NULL DEFAULT 'proposed',
  reason TEXT NOT NULL DEFAULT '',
  votes TEXT NOT NULL DEFAULT '',
  proposal_id TEXT NOT NULL DEFAULT '',
  proposal_offset INTEGER,
  decision_offset INTEGER,
  read_at INTEGER NOT NULL DEFAULT 0,
  decided_at INTEGER NOT NULL DEFAULT 0,
  withdrawn INTEGER NOT NULL DEFAULT 0,
  late INTEGER NOT NULL DEFAULT 0,
  CHECK ((state = 'proposed') = (proposal_offset IS NULL)),
  PRIMARY KEY (proposer, id)) WITHOUT ROWID

-- name: create_joint_open
CREATE INDEX IF NOT EXISTS keepstep_joint_open ON keepstep_joint (proposal_offset)
  WHERE state IN ('queued', 'reserved', 'refused', 'committing', 'aborting', 'held')

-- name: create_joint_decided
CREATE INDEX IF NOT EXISTS keepstep_joint_decided ON keepstep_joint (decided_at)
  WHERE changes <> '' AND state IN ('committed', 'aborted', 'elsewhere')

-- Entities that nobody but their transaction may write (rules 64 and 67), by their canonical keys.
-- name: create_reserved
CREATE TABLE IF NOT EXISTS keepstep_reserved (
  entity_type TEXT NOT NULL,
  entity_key TEXT NOT NULL,
  operation TEXT NOT NULL,
  proposer TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (entity_type, entity_key)) WITHOUT ROWID

-- What the triggers see in a try (rule 64). It is empty outside of one.
-- name: create_touched
CREATE TABLE IF NOT EXISTS keepstep_touched (
  position INTEGER PRIMARY KEY,
  entity_type TEXT NOT NULL,
  entity_key TEXT NOT NULL)

-- name: has_reserved
SELECT count(*) FROM sqlite_schema WHERE name = 'keepstep_reserved'

-- name: find_reserved
SELECT entity_type FROM keepstep_reserved
WHERE entity_type NOT IN (SELECT value FROM json_each(?1)) LIMIT 1

-- name: find_unsettled
SELECT id || ' of ' || iif(proposer = '', 'this service', proposer) || ' is ' || state
FROM keepstep_joint WHERE state NOT IN ('committed', 'aborted', 'elsewhere')
ORDER BY proposal_offset LIMIT 1

-- name: create_reserved_of
CREATE INDEX IF NOT EXISTS keepstep_reserved_of ON keepstep_reserved (proposer, id)

-- It runs before a conflict would be resolved, so that OR REPLACE and OR IGNORE do not get past it.
-- name: create_joint_check
DROP TRIGGER IF EXISTS keepstep_joint_check;
CREATE TRIGGER keepstep_joint_check BEFORE INSERT ON keepstep_joint WHEN NEW.state = 'proposed'
BEGIN
  SELECT RAISE(ABORT, 'keepstep: this database has no outbox: run `keepstep init`')
    WHERE NOT EXISTS (SELECT 1 FROM keepstep_relay);
  SELECT RAISE(ABORT, 'keepstep: proposer is set by the trigger: leave it out')
    WHERE NEW.proposer NOT IN ('', (SELECT origin FROM keepstep_relay));
  SELECT RAISE(ABORT, 'keepstep: id must be a text of 1 to 255 bytes')
    WHERE typeof(NEW.id) <> 'text' OR length(CAST(NEW.id AS BLOB)) NOT BETWEEN 1 AND 255;
  SELECT RAISE(ABORT, 'keepstep: this id was used before: a joint transaction is asked for once, and keepstep_joint.state tells what became of it')
    WHERE EXISTS (SELECT 1 FROM keepstep_joint AS used
      WHERE used.id = NEW.id AND used.proposer = (SELECT origin FROM keepstep_relay));
  SELECT RAISE(ABORT, 'keepstep: timeout_ms must be a whole number of at least 1')
    WHERE typeof(NEW.timeout_ms) <> 'integer' OR NEW.timeout_ms < 1;
  SELECT RAISE(ABORT, 'keepstep: changes is no JSON text')
    WHERE typeof(NEW.changes) <> 'text' OR NOT json_valid(NEW.changes);
  SELECT RAISE(ABORT, 'keepstep: the proposal is larger than 65536 bytes')
    WHERE length(CAST(NEW.timeout_ms || NEW.changes AS BLOB)) > 65536 - 26;
  SELECT RAISE(ABORT, 'keepstep: changes must be an array of 1 to 100 changes')
    WHERE json_type(NEW.changes) <> 'array' OR json_array_length(NEW.changes) NOT BETWEEN 1 AND 100;
  SELECT RAISE(ABORT, 'keepstep: each of changes needs service, type, op (c, u, d or k) and key, an object of the key columns; it may have set, add and if, objects of columns')
    FROM json_each(NEW.changes) AS c
    WHERE c.type <> 'object'
      OR json_type(NEW.changes, c.fullkey || '.service') IS NOT 'text'
      OR json_type(NEW.changes, c.fullkey || '.type') IS NOT 'text'
      OR json_type(NEW.changes, c.fullkey || '.key') IS NOT 'object'
      OR json_extract(NEW.changes, c.fullkey || '.op') IS NULL
      OR json_extract(NEW.changes, c.fullkey || '.op') NOT IN ('c', 'u', 'd', 'k')
      OR EXISTS (SELECT 1 FROM json_each(NEW.changes, c.fullkey) AS m
        WHERE m.key NOT IN ('service', 'type', 'key', 'op', 'set', 'add', 'if')
          OR (m.key IN ('set', 'add', 'if') AND m.type <> 'object')
          OR (m.type = 'object' AND EXISTS (SELECT 1 FROM json_each(NEW.changes, m.fullkey) AS v
            WHERE v.type IN ('object', 'array'))));
  SELECT RAISE(ABORT, 'keepstep: changes name more than 16 services')
    WHERE (SELECT count(DISTINCT json_extract(c.value, '$.service'))
      FROM json_each(NEW.changes) AS c) > 16;
  SELECT RAISE(ABORT, 'keepstep: an entity occurs twice in changes')
    WHERE EXISTS (SELECT 1 FROM json_each(NEW.changes) AS c GROUP BY json_extract(c.value, '$.service'),
      json_extract(c.value, '$.type'), json_extract(c.value, '$.key') HAVING count(*) > 1);
END

-- name: create_joint_propose
DROP TRIGGER IF EXISTS keepstep_joint_propose;
CREATE TRIGGER keepstep_joint_propose AFTER INSERT ON keepstep_joint WHEN NEW.state = 'proposed'
BEGIN
  UPDATE keepstep_joint SET proposer = (SELECT origin FROM keepstep_relay)
    WHERE proposer = NEW.proposer AND id = NEW.id;
  INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
    SELECT 'keepstep.joint', json_object('id', NEW.id, 'proposer', origin), 'keepstep.joint.proposal',
      '{"timeout_ms":' || NEW.timeout_ms || ',"changes":' || NEW.changes || '}' FROM keepstep_relay;
END

-- The trigger above names the proposer; the agent writes what stands first in the log; what is old is
-- emptied. What was decided stays so, whoever writes the row.
-- name: create_joint_kept
DROP TRIGGER IF EXISTS keepstep_joint_kept;
CREATE TRIGGER keepstep_joint_kept BEFORE UPDATE ON keepstep_joint
BEGIN
  SELECT RAISE(ABORT, 'keepstep: what was asked for cannot be changed: ask for another transaction, under another id')
    WHERE NEW.id IS NOT OLD.id OR (NEW.proposer IS NOT OLD.proposer AND OLD.proposer <> '')
      OR ((NEW.changes IS NOT OLD.changes OR NEW.timeout_ms IS NOT OLD.timeout_ms)
        AND NOT (OLD.state = 'proposed' AND NEW.state <> 'proposed')
        AND NOT (NEW.changes = '' AND NEW.timeout_ms = OLD.timeout_ms
          AND NEW.state IN ('committed', 'aborted', 'elsewhere')));
  SELECT RAISE(ABORT, 'keepstep: what the log has said of a joint transaction cannot be changed: ask for another transaction, under another id')
    WHERE OLD.state <> 'proposed' AND (NEW.proposal_offset IS NOT OLD.proposal_offset
      OR (NEW.decision_offset IS NOT OLD.decision_offset AND OLD.decision_offset IS NOT NULL)
      OR (NEW.state IS NOT OLD.state AND (NEW.state = 'proposed' OR CASE OLD.state
        WHEN 'committing' THEN NEW.state NOT IN ('held', 'committed')
        WHEN 'held' THEN NEW.state <> 'committed'
        WHEN 'aborting' THEN NEW.state <> 'aborted'
        ELSE OLD.state IN ('committed', 'aborted', 'elsewhere') END)));
  SELECT RAISE(ABORT, 'keepstep: the agent alone says that a proposal was read: leave the row to it')
    WHERE OLD.state = 'proposed' AND NEW.state <> 'proposed' AND NEW.read_at = 0;
  SELECT RAISE(ABORT, 'keepstep: the agent alone ends a joint transaction: `keepstep joint withdraw` and `keepstep joint release` ask it to')
    WHERE NEW.state IS NOT OLD.state AND OLD.state <> 'proposed'
      AND NEW.state IN ('committed', 'aborted', 'elsewhere') AND (NEW.state = 'elsewhere'
        OR (NEW.decision_offset IS NULL AND OLD.state IN ('queued', 'reserved', 'refused'))
        OR EXISTS (SELECT 1 FROM keepstep_reserved AS r
          WHERE r.proposer = OLD.proposer AND r.id = OLD.id));
END

-- OR REPLACE fires no trigger for the row that it takes away. The agent writes none that was read.
-- name: create_joint_used
DROP TRIGGER IF EXISTS keepstep_joint_used;
CREATE TRIGGER keepstep_joint_used BEFORE INSERT ON keepstep_joint WHEN NEW.state <> 'proposed'
BEGIN
  SELECT RAISE(ABORT, 'keepstep: this id was used before: a joint transaction is asked for once, and keepstep_joint.state tells what became of it')
    WHERE EXISTS (SELECT 1 FROM keepstep_joint AS used
      WHERE used.proposer = NEW.proposer AND used.id = NEW.id
        AND (used.state <> 'proposed' OR NEW.read_at = 0));
END

-- A name is used once, for ever.
-- name: create_joint_stays
DROP TRIGGER IF EXISTS keepstep_joint_stays;
CREATE TRIGGER keepstep_joint_stays BEFORE DELETE ON keepstep_joint
BEGIN
  SELECT RAISE(ABORT, 'keepstep: rows of keepstep_joint stay, because an id is used once; limits.joint_retention_s empties old ones');
END
