-- Tickets and tokens (rule 47): what a service has of a transaction's events at its commit, and what
-- it has of them once they have their numbers. SQLite has no stored functions, so `keepstep token
-- --print-sql` prints these.

-- Behind BEGIN IMMEDIATE: where the outbox ends. It is ?1 of the next one.
-- name: ticket_begin
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'

-- Before COMMIT: the ticket; no row where the transaction has published nothing.
-- name: ticket
SELECT r.origin || '/' || r.incarnation || ':' || (?1 + 1) || '-' || s.seq
FROM keepstep_relay AS r, sqlite_sequence AS s WHERE s.name = 'outbox' AND s.seq > ?1

-- Behind COMMIT: the token of the ticket ?1, or NULL while an event waits for its number; and why
-- there will be none. Rows that are gone were numbered, or rolled back.
-- name: token
WITH ticket (origin, first, last) AS MATERIALIZED (
  SELECT substr(?1, 1, instr(?1, ':') - 1),
    CAST(substr(?1, instr(?1, ':') + 1) AS INTEGER),
    CAST(substr(?1, instr(?1, ':') + 1 + instr(substr(?1, instr(?1, ':') + 1), '-')) AS INTEGER)),
covered AS MATERIALIZED (
  SELECT coalesce(m.topic, t.topic) AS topic, coalesce(m.partition, o.kafka_partition) AS partition,
    o.sequence, CASE WHEN o.set_aside IS NOT NULL OR (o.sequence IS NULL AND EXISTS (
      SELECT 1 FROM outbox AS b WHERE b.set_aside IS NOT NULL AND b.aggregatetype = o.aggregatetype
      AND b.aggregateid = o.aggregateid AND b.position < o.position)) THEN o.position END AS held
  FROM ticket AS k CROSS JOIN outbox AS o
  LEFT JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
  LEFT JOIN keepstep_relay_moved AS m ON m.position = o.position
  WHERE o.position BETWEEN k.first AND k.last),
topics AS (
  SELECT topic, group_concat(partition || '=' || sequence, ',') AS list FROM (
    SELECT topic, partition, max(sequence) AS sequence FROM covered GROUP BY topic, partition
    ORDER BY topic, partition) GROUP BY topic)
SELECT CASE WHEN n.refused IS NULL AND NOT n.waits
    THEN n.here || (SELECT group_concat('/' || topic || ':' || list, '') FROM topics) END, n.refused
FROM (SELECT here, waits, CASE
    WHEN k.origin <> here THEN 'the ticket is of ' || k.origin || ', this database of ' || here
      || ': nobody knows whether the log has those events'
    WHEN rows = 0 THEN 'the outbox has no row at positions ' || k.first || '-' || k.last || ': its '
      || 'events were published long ago and purged, or the transaction was rolled back, or is not '
      || 'committed in what this connection sees'
    WHEN held IS NOT NULL THEN 'the event at position ' || held || ' is set aside, or waits behind '
      || 'one that is: `keepstep outbox list` says why'
    END AS refused
  FROM ticket AS k CROSS JOIN (SELECT origin || '/' || incarnation AS here FROM keepstep_relay)
  CROSS JOIN (SELECT count(*) AS rows, total(sequence IS NULL) > 0 AS waits, min(held) AS held
    FROM covered)) AS n
