-- Tickets and tokens (rule 47): what a service has of a transaction's events at its commit, and what
-- it has of them once they have their numbers. The functions have the rights of whoever calls them,
-- are open to nobody else, and find the outbox whatever the caller's search_path is. They read it by
-- its indexes: it fills and empties faster than the statistics follow. Each function and operator that
-- they use has just its arguments' types, so that nothing in the outbox's schema can fit better.

-- The outbox positions of the transaction that is under way. What it wrote waits for its numbers, and no
-- row that it wrote is older than its own transaction number; a younger row of another transaction may
-- come in between. The session remembers below which position none of its next transactions can write,
-- so that rows which wait since long are not read again for each ticket.
-- name: create_ticket
CREATE OR REPLACE FUNCTION keepstep_ticket() RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $keepstep$
DECLARE
  behind CONSTANT bigint := coalesce(nullif(current_setting('keepstep.behind', true), ''), '0');
  first bigint;
  last bigint;
BEGIN
  SELECT min(w.position), max(w.position) INTO first, last FROM (
    SELECT position, xmin FROM outbox
    WHERE sequence IS NULL AND set_aside IS NULL AND position > behind OFFSET 0) AS w
  WHERE age(w.xmin) <= age(pg_current_xact_id_if_assigned()::xid);
  IF first IS NOT NULL THEN
    PERFORM set_config('keepstep.behind', (first - 1)::text, false);
  END IF;
  RETURN (SELECT origin || '/' || incarnation || ':' || first::text || '-' || last::text
    FROM keepstep_relay
    WHERE first IS NOT NULL);
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
SET enable_seqscan = off SET jit = off AS $keepstep$
DECLARE
  parts CONSTANT text[] := regexp_match(ticket,
    '^([A-Za-z0-9][A-Za-z0-9._-]*)/([0-9a-f-]{36}):([0-9]{1,18})-([0-9]{1,18})$');
  found record;
BEGIN
  IF parts IS NULL THEN
    RAISE EXCEPTION 'keepstep: % is no ticket', left(ticket, 300);
  END IF;
  WITH covered AS MATERIALIZED (
    SELECT coalesce(m.topic, t.topic) AS topic, coalesce(m.partition, o.kafka_partition) AS partition,
      o.sequence, o.position, o.set_aside IS NOT NULL AS aside,
      o.sequence IS NULL AND EXISTS (SELECT 1 FROM outbox AS b WHERE b.set_aside IS NOT NULL
        AND hashtextextended(b.aggregateid, hashtextextended(b.aggregatetype, 0::bigint)) =
          hashtextextended(o.aggregateid, hashtextextended(o.aggregatetype, 0::bigint))
        AND b.position < o.position AND b.aggregateid = o.aggregateid
        AND b.aggregatetype = o.aggregatetype) AS behind
    FROM outbox AS o LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
    LEFT JOIN keepstep_relay_moved AS m ON m.position = o.position
    WHERE o.position BETWEEN parts[3]::bigint AND parts[4]::bigint),
  last AS (SELECT topic, partition, max(sequence) AS sequence FROM covered GROUP BY topic, partition),
  topics AS (SELECT topic, string_agg(partition::text || '=' || sequence::text, ',' ORDER BY partition) AS list
    FROM last GROUP BY topic)
  SELECT r.origin, r.incarnation, n.* INTO found FROM keepstep_relay AS r CROSS JOIN (
    SELECT count(*) AS rows, bool_or(sequence IS NULL) AS waits,
      min(position) FILTER (WHERE aside OR behind) AS held,
      (SELECT string_agg('/' || topic || ':' || list, '' ORDER BY topic) FROM topics) AS lists
    FROM covered) AS n;
  IF found.origin <> parts[1] OR found.incarnation <> parts[2] THEN
    RAISE EXCEPTION 'keepstep: the ticket is of %/%, this database of %/%: nobody knows whether the '
      'log has those events', parts[1], parts[2], found.origin, found.incarnation;
  ELSIF found.rows = 0 THEN
    RAISE EXCEPTION 'keepstep: the outbox has no row at positions %-%: its events were published long '
      'ago and purged, or the transaction was rolled back, or is not committed in what this session sees',
      parts[3], parts[4];
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

-- What people type.
-- name: ask_ticket
SELECT keepstep_ticket()

-- name: ask_token
SELECT keepstep_token(TICKET)
