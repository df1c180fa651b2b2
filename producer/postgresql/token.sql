-- Tickets and tokens (rule 47): what a service has of a transaction's events at its commit, and what
-- it has of them once they have their numbers. The functions have the rights of whoever calls them,
-- are open to nobody else, and find the outbox whatever the caller's search_path is.

-- The outbox positions of the transaction that is under way. The triggers note behind which position
-- it began to write; the sequence knows the last position that this session was given.
-- name: create_ticket
CREATE OR REPLACE FUNCTION keepstep_ticket() RETURNS text LANGUAGE plpgsql AS $keepstep$
DECLARE
  behind CONSTANT bigint := nullif(current_setting('keepstep.behind', true), '');
  last bigint;
BEGIN
  IF behind IS NULL THEN
    RETURN NULL;
  END IF;
  BEGIN
    last := currval(pg_get_serial_sequence('outbox', 'position'));
  EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RETURN NULL;
  END;
  RETURN (SELECT origin || '/' || incarnation || ':' || behind + 1 || '-' || last
    FROM keepstep_relay WHERE last > behind);
END
$keepstep$;
REVOKE ALL ON FUNCTION keepstep_ticket() FROM PUBLIC;
DO $keepstep$
BEGIN
  EXECUTE (SELECT format('ALTER FUNCTION keepstep_ticket() OWNER TO %I; '
      'ALTER FUNCTION keepstep_ticket() SET search_path = pg_catalog, %s, pg_temp',
      pg_get_userbyid(relowner), relnamespace::regnamespace)
    FROM pg_class WHERE oid = 'outbox'::regclass);
END
$keepstep$;
COMMENT ON FUNCTION keepstep_ticket() IS 'Keepstep 1'

-- Rows that are gone were numbered, or rolled back. `behind`: a row that waits behind one of its
-- entity that is set aside.
-- name: create_token
CREATE OR REPLACE FUNCTION keepstep_token(ticket text) RETURNS text LANGUAGE plpgsql STABLE
AS $keepstep$
DECLARE
  parts CONSTANT text[] := regexp_match(ticket,
    '^([A-Za-z0-9][A-Za-z0-9._-]*)/([0-9a-f-]{36}):([0-9]{1,18})-([0-9]{1,18})$');
  found record;
BEGIN
  IF parts IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'keepstep: '
      || coalesce(quote_literal(left(ticket, 300)), 'NULL') || ' is no ticket';
  END IF;
  WITH covered AS MATERIALIZED (
    SELECT coalesce(m.topic, t.topic) AS topic, coalesce(m.partition, o.kafka_partition) AS partition,
      o.sequence, o.position, o.set_aside IS NOT NULL AS aside,
      o.sequence IS NULL AND EXISTS (SELECT 1 FROM outbox AS b WHERE b.set_aside IS NOT NULL
        AND hashtextextended(b.aggregateid, hashtextextended(b.aggregatetype, 0)) =
          hashtextextended(o.aggregateid, hashtextextended(o.aggregatetype, 0))
        AND b.position < o.position AND b.aggregateid = o.aggregateid
        AND b.aggregatetype = o.aggregatetype) AS behind
    FROM outbox AS o LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
    LEFT JOIN keepstep_relay_moved AS m ON m.position = o.position
    WHERE o.position BETWEEN parts[3]::bigint AND parts[4]::bigint),
  last AS (SELECT topic, partition, max(sequence) AS sequence FROM covered GROUP BY topic, partition),
  topics AS (SELECT topic, string_agg(partition || '=' || sequence, ',' ORDER BY partition) AS list
    FROM last GROUP BY topic)
  SELECT r.origin, r.incarnation, n.* INTO found FROM keepstep_relay AS r CROSS JOIN (
    SELECT count(*) AS rows, bool_or(sequence IS NULL) AS waits,
      min(position) FILTER (WHERE aside OR behind) AS held,
      (SELECT string_agg('/' || topic || ':' || list, '' ORDER BY topic) FROM topics) AS lists
    FROM covered) AS n;
  IF found.origin <> parts[1] OR found.incarnation <> parts[2] THEN
    RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('keepstep: the ticket is of '
      '%s, incarnation %s; this database is of %s, incarnation %s: nobody knows whether the log has '
      'those events', parts[1], parts[2], found.origin, found.incarnation);
  ELSIF found.rows = 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('keepstep: the outbox has no '
      'row from position %s to %s: its events were published long ago and purged, or the '
      'transaction was rolled back', parts[3], parts[4]);
  ELSIF found.held IS NOT NULL THEN
    RAISE EXCEPTION 'keepstep: the event at position % is set aside, or waits behind one that is: '
      '`keepstep outbox list` says why', found.held;
  ELSIF found.waits THEN
    RETURN NULL;
  END IF;
  RETURN found.origin || '/' || found.incarnation || found.lists;
END
$keepstep$;
REVOKE ALL ON FUNCTION keepstep_token(text) FROM PUBLIC;
DO $keepstep$
BEGIN
  EXECUTE (SELECT format('ALTER FUNCTION keepstep_token(text) OWNER TO %I; '
      'ALTER FUNCTION keepstep_token(text) SET search_path = pg_catalog, %s, pg_temp',
      pg_get_userbyid(relowner), relnamespace::regnamespace)
    FROM pg_class WHERE oid = 'outbox'::regclass);
END
$keepstep$;
COMMENT ON FUNCTION keepstep_token(text) IS 'Keepstep 1'

-- name: token
SELECT keepstep_token($1), NULL
