-- What a service of joint transactions has besides, in PostgreSQL (rules 60 to 75). A row that the
-- service inserts asks for a transaction: the triggers check it, complete it, and write the record for
-- the log. They have the rights of the table's owner, so that whoever asks needs none on the outbox.

-- state: proposed, queued, reserved, refused, committing, aborting, held, committed, aborted, elsewhere.
-- Times are microseconds since 1970. proposal_offset: NULL until the agent has read the proposal.
-- name: create_joint
CREATE TABLE IF NOT EXISTS keepstep_joint (
  proposer text COLLATE "C" NOT NULL DEFAULT '',
  id text COLLATE "C" NOT NULL,
  changes text NOT NULL,
  timeout_ms bigint NOT NULL DEFAULT 10000,
  created_at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  state text COLLATE "C" NOT NULL DEFAULT 'proposed',
  reason text NOT NULL DEFAULT '',
  votes text NOT NULL DEFAULT '',
  proposal_id text NOT NULL DEFAULT '',
  proposal_offset bigint,
  decision_offset bigint,
  read_at bigint NOT NULL DEFAULT 0,
  decided_at bigint NOT NULL DEFAULT 0,
  withdrawn bigint NOT NULL DEFAULT 0,
  late bigint NOT NULL DEFAULT 0,
  CHECK ((state = 'proposed') = (proposal_offset IS NULL)),
  PRIMARY KEY (proposer, id))

-- name: create_joint_open
CREATE INDEX IF NOT EXISTS keepstep_joint_open ON keepstep_joint (proposal_offset)
  WHERE state IN ('queued', 'reserved', 'refused', 'committing', 'aborting', 'held')

-- name: create_joint_decided
CREATE INDEX IF NOT EXISTS keepstep_joint_decided ON keepstep_joint (decided_at)
  WHERE changes <> '' AND state IN ('committed', 'aborted', 'elsewhere')

-- Entities that nobody but their transaction may write (rules 64 and 67), by their canonical keys. A key
-- may be longer than an index takes, so they are found by the MD5 of type and key.
-- name: create_reserved
CREATE TABLE IF NOT EXISTS keepstep_reserved (
  digest text COLLATE "C" GENERATED ALWAYS AS (md5(entity_type || ' ' || entity_key)) STORED PRIMARY KEY,
  bucket integer GENERATED ALWAYS AS
    (('x' || left(md5(entity_type || ' ' || entity_key), 3))::bit(12)::integer) STORED,
  entity_type text COLLATE "C" NOT NULL,
  entity_key text COLLATE "C" NOT NULL,
  operation text NOT NULL,
  proposer text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL)

-- name: create_reserved_of
CREATE INDEX IF NOT EXISTS keepstep_reserved_of ON keepstep_reserved (proposer, id)

-- name: create_reserved_bucket
CREATE INDEX IF NOT EXISTS keepstep_reserved_bucket ON keepstep_reserved (bucket)

-- What the triggers see in a try (rule 64). It is empty outside of one.
-- name: create_touched
CREATE TABLE IF NOT EXISTS keepstep_touched (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  entity_type text COLLATE "C" NOT NULL,
  entity_key text COLLATE "C" NOT NULL)

-- name: has_reserved
SELECT to_regclass('keepstep_reserved') IS NOT NULL

-- name: find_reserved
SELECT entity_type FROM keepstep_reserved
WHERE entity_type NOT IN (SELECT jsonb_array_elements_text($1::jsonb)) LIMIT 1

-- name: find_unsettled
SELECT id || ' of ' || (CASE proposer WHEN '' THEN 'this service' ELSE proposer END) || ' is ' || state
FROM keepstep_joint WHERE state NOT IN ('committed', 'aborted', 'elsewhere')
ORDER BY proposal_offset LIMIT 1

-- By these rows writers and reservations exclude each other (rule 66). `reserved`: in how many names of
-- the bucket a writer would find himself; it may be too high, and then costs a look. Rows that were lost
-- come back with what is reserved.
-- name: create_guard
CREATE TABLE IF NOT EXISTS keepstep_guard (
  bucket integer PRIMARY KEY, reserved bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
INSERT INTO keepstep_guard
  SELECT b, (SELECT count(*) FROM keepstep_reserved AS r WHERE r.bucket = b)
  FROM generate_series(0, 4095) AS b ON CONFLICT (bucket) DO NOTHING

-- name: create_joint_check
CREATE OR REPLACE FUNCTION keepstep_joint_check() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $keepstep$
DECLARE
  own text;
  used boolean;
  asked jsonb;
BEGIN
  EXECUTE format('SELECT r.origin, EXISTS (SELECT FROM %1$I.keepstep_joint AS u '
    'WHERE u.proposer = r.origin AND u.id = $1) FROM %1$I.keepstep_relay AS r', TG_TABLE_SCHEMA)
    INTO own, used USING NEW.id;
  IF own IS NULL THEN
    RAISE EXCEPTION 'keepstep: this database has no outbox: run `keepstep init`';
  END IF;
  IF NEW.proposer NOT IN ('', own) THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation',
      MESSAGE = 'keepstep: proposer is set by the trigger: leave it out';
  END IF;
  IF octet_length(NEW.id) NOT BETWEEN 1 AND 255 THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation',
      MESSAGE = 'keepstep: id must be a text of 1 to 255 bytes';
  END IF;
  IF used THEN
    RAISE EXCEPTION USING ERRCODE = 'unique_violation', MESSAGE = 'keepstep: this id was used '
      'before: a joint transaction is asked for once, and keepstep_joint.state tells what became of it';
  END IF;
  IF NEW.timeout_ms < 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation',
      MESSAGE = 'keepstep: timeout_ms must be a whole number of at least 1';
  END IF;
  IF octet_length(NEW.timeout_ms::text || NEW.changes) > 65536 - 26 THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation',
      MESSAGE = 'keepstep: the proposal is larger than 65536 bytes';
  END IF;
  BEGIN
    asked := NEW.changes::jsonb;
  EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation',
      MESSAGE = 'keepstep: changes is no JSON text: ' || SQLERRM;
  END;
  IF (CASE jsonb_typeof(asked) WHEN 'array' THEN jsonb_array_length(asked) ELSE 0 END)
      NOT BETWEEN 1 AND 100 THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation',
      MESSAGE = 'keepstep: changes must be an array of 1 to 100 changes';
  END IF;
  PERFORM FROM jsonb_array_elements(asked) AS c (change)
    WHERE (jsonb_typeof(change) = 'object' AND jsonb_typeof(change -> 'service') = 'string'
      AND jsonb_typeof(change -> 'type') = 'string' AND jsonb_typeof(change -> 'key') = 'object'
      AND change ->> 'op' IN ('c', 'u', 'd', 'k') AND NOT EXISTS (
        SELECT FROM jsonb_each(CASE jsonb_typeof(change) WHEN 'object' THEN change ELSE '{}' END) AS m
        WHERE m.key NOT IN ('service', 'type', 'key', 'op', 'set', 'add', 'if')
          OR (m.key IN ('set', 'add', 'if') AND jsonb_typeof(m.value) <> 'object')
          OR EXISTS (SELECT FROM jsonb_each(
              CASE jsonb_typeof(m.value) WHEN 'object' THEN m.value ELSE '{}' END) AS v
            WHERE jsonb_typeof(v.value) IN ('object', 'array')))) IS NOT TRUE;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'keepstep: each of changes needs '
      'service, type, op (c, u, d or k) and key, an object of the key columns; it may have set, add '
      'and if, objects of columns';
  END IF;
  IF (SELECT count(DISTINCT change ->> 'service') FROM jsonb_array_elements(asked) AS c (change)) > 16
  THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation',
      MESSAGE = 'keepstep: changes name more than 16 services';
  END IF;
  PERFORM FROM jsonb_array_elements(asked) AS c (change)
    GROUP BY change ->> 'service', change ->> 'type', change -> 'key' HAVING count(*) > 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation',
      MESSAGE = 'keepstep: an entity occurs twice in changes';
  END IF;
  NEW.proposer := own;
  RETURN NEW;
END
$keepstep$;
{seal keepstep_joint_check()}
COMMENT ON FUNCTION keepstep_joint_check() IS 'Keepstep 1'

-- name: create_joint_check_trigger
CREATE OR REPLACE TRIGGER keepstep_joint_check BEFORE INSERT ON keepstep_joint
  FOR EACH ROW WHEN (NEW.state = 'proposed') EXECUTE FUNCTION keepstep_joint_check();
ALTER TABLE keepstep_joint ENABLE ALWAYS TRIGGER keepstep_joint_check;
COMMENT ON TRIGGER keepstep_joint_check ON keepstep_joint IS 'Keepstep 1'

-- Behind the row, so that a row which is not written after all leaves no record.
-- name: create_joint_propose
CREATE OR REPLACE FUNCTION keepstep_joint_propose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $keepstep$
BEGIN
  EXECUTE format('INSERT INTO %I.outbox (aggregatetype, aggregateid, type, payload) '
    'VALUES (''keepstep.joint'', $1, ''keepstep.joint.proposal'', $2)', TG_TABLE_SCHEMA)
    USING '{"id":' || to_json(NEW.id)::text || ',"proposer":' || to_json(NEW.proposer)::text || '}',
      '{"timeout_ms":' || NEW.timeout_ms::text || ',"changes":' || NEW.changes || '}';
  RETURN NULL;
END
$keepstep$;
{seal keepstep_joint_propose()}
COMMENT ON FUNCTION keepstep_joint_propose() IS 'Keepstep 1'

-- name: create_joint_propose_trigger
CREATE OR REPLACE TRIGGER keepstep_joint_propose AFTER INSERT ON keepstep_joint
  FOR EACH ROW WHEN (NEW.state = 'proposed') EXECUTE FUNCTION keepstep_joint_propose();
ALTER TABLE keepstep_joint ENABLE ALWAYS TRIGGER keepstep_joint_propose;
COMMENT ON TRIGGER keepstep_joint_propose ON keepstep_joint IS 'Keepstep 1'

-- The agent writes what stands first in the log; what is old is emptied. A name is used once, for ever,
-- and what was decided stays so, whoever writes the row, and also by ON CONFLICT DO UPDATE.
-- name: create_joint_kept
CREATE OR REPLACE FUNCTION keepstep_joint_kept() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $keepstep$
DECLARE
  reserves boolean;
BEGIN
  IF TG_OP <> 'UPDATE' THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'keepstep: rows of keepstep_joint '
      'stay, because an id is used once; limits.joint_retention_s empties old ones';
  END IF;
  IF NEW.id <> OLD.id OR NEW.proposer <> OLD.proposer
      OR ((NEW.changes <> OLD.changes OR NEW.timeout_ms <> OLD.timeout_ms)
        AND NOT (OLD.state = 'proposed' AND NEW.state <> 'proposed')
        AND NOT (NEW.changes = '' AND NEW.timeout_ms = OLD.timeout_ms
          AND NEW.state IN ('committed', 'aborted', 'elsewhere')))
  THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'keepstep: what was asked for cannot '
      'be changed: ask for another transaction, under another id';
  END IF;
  IF OLD.state <> 'proposed' AND (NEW.proposal_offset IS DISTINCT FROM OLD.proposal_offset
      OR (NEW.decision_offset IS DISTINCT FROM OLD.decision_offset AND OLD.decision_offset IS NOT NULL)
      OR (NEW.state <> OLD.state AND (NEW.state = 'proposed' OR CASE OLD.state
        WHEN 'committing' THEN NEW.state NOT IN ('held', 'committed')
        WHEN 'held' THEN NEW.state <> 'committed'
        WHEN 'aborting' THEN NEW.state <> 'aborted'
        ELSE OLD.state IN ('committed', 'aborted', 'elsewhere') END)))
  THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'keepstep: what the log has said of '
      'a joint transaction cannot be changed: ask for another transaction, under another id';
  END IF;
  IF OLD.state = 'proposed' AND NEW.state <> 'proposed' AND NEW.read_at = 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'keepstep: the agent alone says '
      'that a proposal was read: leave the row to it';
  END IF;
  IF NEW.state <> OLD.state AND OLD.state <> 'proposed'
      AND NEW.state IN ('committed', 'aborted', 'elsewhere')
  THEN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.keepstep_reserved WHERE proposer = $1 AND id = $2)',
      TG_TABLE_SCHEMA) INTO reserves USING OLD.proposer, OLD.id;
    IF reserves OR NEW.state = 'elsewhere'
        OR (NEW.decision_offset IS NULL AND OLD.state IN ('queued', 'reserved', 'refused'))
    THEN
      RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'keepstep: the agent alone ends a '
        'joint transaction: `keepstep joint withdraw` and `keepstep joint release` ask it to';
    END IF;
  END IF;
  RETURN NEW;
END
$keepstep$;
{seal keepstep_joint_kept()}
COMMENT ON FUNCTION keepstep_joint_kept() IS 'Keepstep 3'

-- name: create_joint_kept_trigger
CREATE OR REPLACE TRIGGER keepstep_joint_kept BEFORE UPDATE OR DELETE ON keepstep_joint
  FOR EACH ROW EXECUTE FUNCTION keepstep_joint_kept();
ALTER TABLE keepstep_joint ENABLE ALWAYS TRIGGER keepstep_joint_kept;
COMMENT ON TRIGGER keepstep_joint_kept ON keepstep_joint IS 'Keepstep 1'

-- name: create_joint_stays_trigger
CREATE OR REPLACE TRIGGER keepstep_joint_stays BEFORE TRUNCATE ON keepstep_joint
  FOR EACH STATEMENT EXECUTE FUNCTION keepstep_joint_kept();
ALTER TABLE keepstep_joint ENABLE ALWAYS TRIGGER keepstep_joint_stays;
COMMENT ON TRIGGER keepstep_joint_stays ON keepstep_joint IS 'Keepstep 1'

-- Where a trigger of the service's refuses a row of keepstep_joint that the log has decided, the agent
-- writes it without that trigger. Only the table's owner can switch one off, so this has the owner's
-- rights, for that table alone. The agent asks twice in one transaction; others who write the table wait
-- meanwhile. How each trigger stood is kept in the transaction's settings, which the agent could write
-- too: so no more is believed of them than how a trigger of the service's stood that is off now. Those
-- that no INSERT or UPDATE fires are left alone. It waits for who writes the table, and not as long as
-- deadlock_timeout, which is 1 s; whoever waits must know for whom.
-- name: create_joint_silence
CREATE OR REPLACE FUNCTION keepstep_joint_silence(target regclass, silent boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms'
AS $keepstep$
DECLARE
  kept jsonb := coalesce(nullif(current_setting('keepstep.joint_triggers', true), ''), '{}')::jsonb;
  held boolean := false;
  writers text;
  trigger record;
BEGIN
  PERFORM FROM pg_class WHERE oid = target AND relname = 'keepstep_joint'
    AND pg_get_userbyid(relowner) = current_user;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE =
      'keepstep: keepstep_joint_silence switches the triggers of its owner''s keepstep_joint alone';
  END IF;
  IF silent THEN
    kept := kept || coalesce((SELECT jsonb_object_agg(tgname, tgenabled) FROM pg_trigger
      WHERE tgrelid = target AND NOT tgisinternal AND tgenabled <> 'D'), '{}');
  END IF;
  PERFORM set_config('keepstep.joint_triggers', CASE WHEN silent THEN kept::text ELSE '' END, true);
  FOR trigger IN SELECT t.tgname AS name, k.value AS mode
    FROM pg_trigger AS t JOIN jsonb_each_text(kept) AS k ON k.key = t.tgname
    WHERE t.tgrelid = target AND NOT t.tgisinternal AND (t.tgenabled <> 'D') = silent
      AND (t.tgtype::integer & 20) <> 0
      AND k.value IN ('O', 'R', 'A') AND t.tgname NOT IN ('keepstep_joint_check',
        'keepstep_joint_propose', 'keepstep_joint_kept', 'keepstep_joint_stays')
  LOOP
    IF NOT held THEN
      BEGIN
        EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', target);
        held := true;
      EXCEPTION WHEN lock_not_available THEN
        SELECT string_agg(format('process %s of login %s%s', l.pid, a.usename,
            coalesce(' (' || nullif(a.application_name, '') || ')', '')), ', ' ORDER BY l.pid)
          INTO writers FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
          WHERE l.locktype = 'relation' AND l.relation = target AND l.granted
            AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND l.pid <> pg_backend_pid()
            AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
        RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = format('keepstep: the '
          'triggers on keepstep_joint cannot be switched while %s writes the table: let that '
          'transaction end, or end it by pg_terminate_backend()', coalesce(writers, 'somebody'));
      END;
    END IF;
    EXECUTE format('ALTER TABLE %s %s TRIGGER %I', target, CASE WHEN silent THEN 'DISABLE'
      WHEN trigger.mode = 'A' THEN 'ENABLE ALWAYS' WHEN trigger.mode = 'R' THEN 'ENABLE REPLICA'
      ELSE 'ENABLE' END, trigger.name);
  END LOOP;
  RETURN silent;
END
$keepstep$;
{seal keepstep_joint_silence(regclass, boolean)}
COMMENT ON FUNCTION keepstep_joint_silence(regclass, boolean) IS 'Keepstep 2'

-- Behind each function, in the transaction that makes it: it belongs to the table's owner, and nobody
-- else calls it or hangs it on a table, but the agent what it is granted. In it `{seal F}` stands for F.
-- name: joint_seal
DO $seal$
DECLARE
  sealed CONSTANT regprocedure := '{seal}';
  granted record;
BEGIN
  FOR granted IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
        ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
      FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
      WHERE p.oid = sealed AND a.grantee <> p.proowner
        AND NOT (p.proname = 'keepstep_joint_silence' AND pg_get_userbyid(a.grantee) = 'keepstep_agent')
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', sealed, granted.grantee);
  END LOOP;
  EXECUTE format('ALTER FUNCTION %s OWNER TO %I', sealed,
    (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'keepstep_joint'::regclass));
END
$seal$;

-- keepstep_reader is for the service's own logins: they ask for transactions, and see what became of
-- them.
-- name: joint_grants
GRANT SELECT, INSERT, UPDATE ON keepstep_joint TO keepstep_agent;
GRANT SELECT, INSERT, DELETE ON keepstep_reserved TO keepstep_agent;
GRANT SELECT, UPDATE ON keepstep_guard TO keepstep_agent;
GRANT SELECT, DELETE ON keepstep_touched TO keepstep_agent;
GRANT EXECUTE ON FUNCTION keepstep_joint_silence(regclass, boolean) TO keepstep_agent;
GRANT UPDATE ON keepstep_meta TO keepstep_agent;
GRANT SELECT (type, payload, xmin), INSERT (aggregatetype, aggregateid, type, payload, changeset)
  ON outbox TO keepstep_agent;
GRANT SELECT (entity_type) ON keepstep_captured TO keepstep_agent;
GRANT SELECT, INSERT (id, changes, timeout_ms) ON keepstep_joint TO keepstep_reader;

-- The agent makes the changes of joint transactions.
-- name: capture_grant_joint
{grant_schema keepstep_agent}
GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO keepstep_agent
