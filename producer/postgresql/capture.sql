-- What captures a table in PostgreSQL. Words in braces: producer/capture/dialect.h; the database's
-- own: producer/postgresql/capture.c.

-- An event says what the row is when the trigger runs. The change may have left it otherwise: other
-- triggers run before this one, also those of the statement's other rows. Whatever deletes the row
-- fires a trigger of its own. A row that nobody has changed again, or deleted, has no xmax: it is still
-- NEW. Any other is read by its key (`t`), where the table has the name that `init` knows and no policy
-- hides rows; else NEW is the row.
-- enable_seqscan is off, as a plan that was made while the table was small would read all of it for
-- each row. Each statement costs the service's transaction the start of an executor, so there are two:
-- one that asks the catalogue, and one that writes the event.
-- name: capture_row
CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off{digits} AS $keepstep$
DECLARE
  read_again boolean := false;
BEGIN
{silent}
  PERFORM {own_table};
{refuse_other_table}
{read_columns}{guarded}
  IF TG_OP <> 'DELETE' THEN
{not_finite}
    NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
{fixed}
    IF NOT (ROW({columns OLD})::record *<> ROW({columns NEW})::record) THEN
      RETURN NULL;
    END IF;
    IF NOT (ROW({key_columns OLD})::record *<> ROW({key_columns NEW})::record) THEN
      IF NEW.xmax <> 0 THEN
        read_again := {readable};
      END IF;
      IF read_again THEN
    {event u OLD t}
      {present NEW};
      ELSE
    {event u OLD NEW};
      END IF;
      RETURN NULL;
    END IF;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    read_again := {readable};
    IF read_again THEN
    {event d OLD null}
      WHERE NOT EXISTS (SELECT 1 {present OLD});
    ELSE
    {event d OLD null};
    END IF;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    IF NEW.xmax <> 0 THEN
      read_again := {readable};
    END IF;
    IF read_again THEN
    {event c null t}
      {present NEW};
    ELSE
    {event c null NEW};
    END IF;
  END IF;
  RETURN NULL;
END
$keepstep$;
{seal};
COMMENT ON FUNCTION {function} IS 'Keepstep {digest}'

-- Silent while an agent of this service writes the table. It writes none of a joint type (rule 72), and a
-- service that sets this must not get past what is reserved.
-- name: capture_silent
  IF current_setting('keepstep.applying', true) = {text table_name} AND pg_trigger_depth() = 1 THEN
    RETURN NULL;
  END IF;

-- TRUNCATE of a partitioned table truncates its partitions too. Those that were made since `init`
-- have no trigger yet, so the table's trigger writes their events: of each partition that has no
-- trigger of its own, and no table between the two that has one. TRUNCATE also takes rows away that are
-- younger than the snapshot of a REPEATABLE READ transaction. They cannot be read, so it is refused.
-- name: capture_truncate
CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET row_security = off{digits} AS $keepstep$
BEGIN
{part_of_table}
  PERFORM {own_table};
{refuse_other_table}
  IF current_setting('transaction_isolation') NOT LIKE 'read %' THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE =
      {text truncate_message};
  END IF;{guarded_truncate}
  DECLARE
    leaf regclass;
  BEGIN
  FOR leaf IN SELECT c.oid::regclass FROM pg_class AS c
      WHERE c.relkind = 'r' AND (c.oid = TG_RELID OR c.oid IN (
        SELECT relid FROM pg_partition_tree(TG_RELID)) AND NOT EXISTS (
        SELECT 1 FROM pg_trigger AS g WHERE g.tgname = TG_NAME AND g.tgenabled = 'A'
          AND g.tgrelid <> TG_RELID AND g.tgrelid IN (SELECT relid FROM pg_partition_tree(TG_RELID)
            INTERSECT SELECT relid FROM pg_partition_ancestors(c.oid)))) LOOP
    EXECUTE $truncate${event d t null}
    FROM ONLY $truncate$ || leaf || ' AS t';
  END LOOP;
{lost}
  RETURN NULL;
END
$keepstep$;
{seal};
COMMENT ON FUNCTION {function} IS 'Keepstep {digest}'

-- Triggers run in the order of their names. `00_` puts this one first, so that `before` is the row
-- that the copies have.
-- name: capture_row_trigger
CREATE OR REPLACE TRIGGER {name} AFTER INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION {function};
{enable}

-- name: capture_truncate_trigger
CREATE OR REPLACE TRIGGER {name} BEFORE TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION {function};
{enable}

-- name: capture_enable
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};
COMMENT ON TRIGGER {name} ON {table} IS 'Keepstep {digest}'

-- name: capture_event
INSERT INTO {outbox}.outbox (aggregatetype, aggregateid, type, partition_key, payload)
    SELECT {values}

-- name: capture_values
{text entity_type} AS entity_type, {key} AS entity_key, {type} AS type, {partition_key} AS partition_key,
      {payload} AS payload

-- The row with the key of {row}, if this transaction has written it. Without that condition a
-- REPEATABLE READ transaction would also see a row that another one has deleted meanwhile.
-- name: capture_present
FROM {found_name} AS t WHERE {same_key}
      AND age(t.xmin) <= age(pg_current_xact_id()::xid)

-- Whether a query by the table's name reads the table itself, and all of its rows.
-- name: capture_readable
to_regclass({text found_name}) = coalesce(pg_partition_root(TG_RELID), TG_RELID)
        AND NOT row_security_active(coalesce(pg_partition_root(TG_RELID), TG_RELID))

-- Reads each published column, so that one that was renamed or dropped is reported. `IS NOT NULL` is
-- true of each `IS NULL`: where it were false, the columns behind it would not be read. It writes
-- nothing, so that the subtransaction of its handler needs no transaction number for each row.
-- name: capture_read_columns
  BEGIN
    IF TG_OP = 'DELETE' THEN
      IF ROW({deleted_nulls}) IS NOT NULL THEN
      END IF;
    ELSIF ROW({nulls NEW}{unique_columns NEW}) IS NOT NULL THEN
    END IF;
{lost}

-- name: capture_lost
  EXCEPTION WHEN undefined_column THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE =
      {text lost_message} || SQLERRM;
  WHEN datatype_mismatch THEN
    RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch', MESSAGE =
      {text retyped_message} || SQLERRM;
  END;

-- JSON has no number for NaN or infinity, so the statement that writes one fails.
-- name: capture_not_finite
    IF NEW.{column}::text IN ('NaN', 'Infinity', '-Infinity') THEN
      RAISE EXCEPTION USING ERRCODE = 'numeric_value_out_of_range', MESSAGE =
        {text not_finite_message};
    END IF;

-- An update that would move the row's events to another partition fails.
-- name: capture_fixed
    IF {partition_key OLD} COLLATE "C" IS DISTINCT FROM {partition_key NEW} THEN
      RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE =
        {text fixed_message};
    END IF;

-- A row where the trigger's table, or the one that it is a partition of, is the table that the function
-- was made for and has the function's owner. The oid survives a rename of the table, the name survives
-- a dump.
-- name: capture_own_table
FROM pg_class AS c WHERE c.oid = coalesce(pg_partition_root(TG_RELID), TG_RELID)
      AND pg_get_userbyid(c.relowner) = current_user
      AND (c.oid = {oid} OR c.oid = to_regclass({text found_name}))
      AND {current}

-- A transaction with one snapshot for all of its statements sees the catalogue as it was then, so it
-- would see an owner that the table has no more. A row that was replaced since has an xmax that is not
-- older than the snapshot.
-- name: capture_current
(c.xmax = 0 OR current_setting('transaction_isolation') LIKE 'read %'
        OR age(c.xmax) > age(pg_snapshot_xmin(pg_current_snapshot())::xid))

-- Fails where there is no such row. It stands before anything reads the service's row: the row's types
-- and their casts are code of the table's owner, and so run with no other rights than that owner's.
-- name: capture_refuse_other_table
  IF NOT FOUND THEN
    PERFORM FROM pg_class AS c WHERE c.oid = coalesce(pg_partition_root(TG_RELID), TG_RELID)
      AND NOT {current};
    IF FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE =
        {text altered_message};
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE =
      {text own_table_message} || TG_RELID::regclass;
  END IF;

-- A detached partition keeps its TRUNCATE trigger until the next `init`, but its rows do not belong to
-- the published table any more.
-- name: capture_part_of_table
  IF (coalesce(pg_partition_root(TG_RELID), TG_RELID) IN
      ({oid}, to_regclass({text found_name}))) IS NOT TRUE THEN
    RAISE WARNING 'keepstep: TRUNCATE of % is not captured: it is no part of the published table',
      TG_RELID::regclass;
    RETURN NULL;
  END IF;

-- Gives a function its owner and rights, after its CREATE and in the same transaction.
-- name: capture_seal
DO $rights$
DECLARE
  sealed CONSTANT regprocedure := {text function};
  captured CONSTANT regclass := {text found_name};
  target CONSTANT regclass := {text outbox_table};
{give_rights}


$rights${give_joint_rights}

-- One chunk of the rows that are there. It chooses at most `limit` rows behind the noted key, locks
-- and reads those that keep their keys until then, publishes them as `r` events and notes the last
-- key that it chose. It returns how many it published, and 0 where it found none at all. The key of
-- the chunk's last row is read without locks: what moves up past it while its lock is waited for is
-- read when its turn comes.
-- name: capture_chunk
WITH edge AS MATERIALIZED (
    SELECT {key_columns} FROM (SELECT {key_columns} FROM {table} AS t{where_behind} ORDER BY {key_columns} LIMIT {limit}) AS t ORDER BY {key_columns_down} LIMIT 1)
, chunk AS MATERIALIZED (
    SELECT {values}
    FROM {table} AS t WHERE {behind_and}ROW({key_columns}) <= ROW({edge_columns}) ORDER BY {key_columns}
    LIMIT {limit} FOR SHARE OF t
), numbered AS (SELECT *, row_number() OVER () AS number FROM chunk)
, written AS (INSERT INTO outbox (aggregatetype, aggregateid, type, partition_key, payload, changeset)
    SELECT entity_type, entity_key, type, partition_key, payload, '' FROM numbered ORDER BY number)
, noted AS (INSERT INTO keepstep_existing_key AS k
    SELECT {text entity_type}, v.ordinal - 1, v.value FROM edge AS t, unnest(ARRAY[{key_texts}]) WITH ORDINALITY AS v (value, ordinal)
    ON CONFLICT (entity_type, ordinal) DO UPDATE SET value = excluded.value)
SELECT (SELECT count(*) FROM chunk), (SELECT count(*) FROM edge)

-- Whether there are rows behind the noted key.
-- name: capture_rest
SELECT EXISTS (SELECT 1 FROM {table} AS t WHERE {behind})::integer

-- The noted texts are read as the columns' own types.
-- name: capture_behind
ROW({key_columns}) > ROW({noted_key})

-- name: capture_noted_key
(SELECT value FROM keepstep_existing_key WHERE entity_type = {text entity_type} AND ordinal = {ordinal})::{key_type}

-- A change of an entity that a joint transaction reserves fails (rule 67), also one that nothing is
-- published of. It has written its row by now, and waits for whoever reserves in the bucket (rule 66).
-- While the agent tries a transaction it looks at the reserved entities itself, by what is noted here:
-- it reserves each row that the try touches (rule 64). Anybody can say that by the setting; it counts of
-- a login that has the agent's rights.
-- name: capture_guarded

  IF TG_OP <> 'INSERT' THEN
{reserved OLD}
  END IF;
  IF TG_OP = 'INSERT' THEN
{reserved NEW}
  ELSIF TG_OP = 'UPDATE' THEN
    IF ROW({key_columns OLD})::record *<> ROW({key_columns NEW})::record THEN
{reserved NEW}
    END IF;
  END IF;
{guarded_values}

-- A value of a unique index is somebody's as a row is (rule 64). Whoever has it already is kept from
-- nothing: the row itself is reserved then.
-- name: capture_guarded_values
  IF TG_OP <> 'DELETE' THEN
{unique_names}
  END IF;

-- name: capture_unique_name
    <<looked>>
    DECLARE
      entity CONSTANT text := CASE WHEN TG_OP = 'INSERT'
        OR {value_name NEW} IS DISTINCT FROM {value_name OLD}
        THEN {value_name NEW} END;
{look}

-- name: capture_reserved
    <<looked>>
    DECLARE
      entity CONSTANT text := {key};
{look}

-- name: capture_look
      digest CONSTANT text := md5({text entity_type} || ' ' || entity);
      names bigint;
      holder record;
    BEGIN
      IF entity IS NULL THEN
        NULL;
      ELSIF current_setting('keepstep.reserved', true) = 'looked at'
          AND has_table_privilege(session_user, {text touched_table}, 'DELETE') THEN
        INSERT INTO {outbox}.keepstep_touched (entity_type, entity_key)
          VALUES ({text entity_type}, entity);
      ELSE
        SELECT g.reserved INTO names FROM {outbox}.keepstep_guard AS g
          WHERE g.bucket = ('x' || left(digest, 3))::bit(12)::integer FOR SHARE;
        IF names IS DISTINCT FROM 0 THEN
          SELECT r.id, r.proposer INTO holder FROM {outbox}.keepstep_reserved AS r
            WHERE r.digest = looked.digest;
          IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE =
              format({text reserved_by}, entity, holder.id, holder.proposer);
          END IF;
        END IF;
      END IF;
    END;

-- TRUNCATE holds the table, and whoever tries or reserves an entity of it has held it before.
-- name: capture_guarded_truncate

  DECLARE
    holder record;
  BEGIN
    SELECT r.id, r.proposer, r.entity_key INTO holder FROM {outbox}.keepstep_reserved AS r
      WHERE r.entity_type = {text entity_type} LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE =
        format({text reserved_by}, holder.entity_key, holder.id, holder.proposer);
    END IF;
  END;

-- What the function of a joint type reads besides. SELECT ... FOR SHARE needs UPDATE of a column.
-- name: capture_give_joint_rights
;
DO $rights$
DECLARE
  holder CONSTANT name := (SELECT pg_get_userbyid(relowner) FROM pg_class
    WHERE oid = {text found_name}::regclass);
BEGIN
  IF NOT (has_table_privilege(holder, {text guard_table}, 'SELECT')
      AND has_column_privilege(holder, {text guard_table}, 'bucket', 'UPDATE')
      AND has_table_privilege(holder, {text reserved_table}, 'SELECT')
      AND has_column_privilege(holder, {text touched_table}, 'entity_key', 'INSERT')) THEN
    EXECUTE format('GRANT SELECT, UPDATE (bucket) ON %s TO %I', {text guard_table}, holder);
    EXECUTE format('GRANT SELECT ON %s TO %I', {text reserved_table}, holder);
    EXECUTE format('GRANT INSERT (entity_type, entity_key) ON %s TO %I', {text touched_table}, holder);
  END IF;
END
$rights$

-- What the row of one key is now, and its partition key.
-- name: capture_key_row
SELECT {key}, {payload} FROM {table} AS t WHERE {is_key} FOR SHARE OF t

-- name: capture_key_partition
SELECT {key}, {partition_key} FROM {table} AS t WHERE {is_key}

-- A row that is not there has no lock. So nobody writes the table until the transaction ends.
-- name: capture_keep_out
LOCK TABLE {table} IN SHARE MODE

-- What is compared with the copies is read by whoever has the relay's role.
-- name: capture_grant
{grant_schema keepstep_relay}
GRANT SELECT ({column_names}) ON {table} TO keepstep_relay
