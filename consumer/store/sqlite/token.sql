-- Whether all events that a token names, ?1, are applied here (rule 47): 1, 0, or -1 where this copy has
-- never seen their origin in one of the topics. What is no token is no JSON either. SQLite has no stored
-- functions, so `keepstep wait --print-sql` prints it. Of NULL, which is the token of what has no number
-- yet, it knows nothing.
-- name: applied
WITH text (source, incarnation, lists) AS MATERIALIZED (
  SELECT substr(?1, 1, instr(?1, '/') - 1), substr(?1, instr(?1, '/') + 1, 36),
    substr(?1, instr(?1, '/') + 38)),
wanted AS MATERIALIZED (
  SELECT x.source, x.incarnation, json_extract(t.value, '$.t') AS topic,
    json_extract(p.value, '$[0]') AS partition, json_extract(p.value, '$[1]') AS sequence
  FROM text AS x CROSS JOIN json_each('[{"t":"' || replace(replace(replace(replace(x.lists,
    ',', '],['), '=', ','), ':', '","p":[['), '/', ']]},{"t":"') || ']]}]') AS t
  CROSS JOIN json_each(t.value, '$.p') AS p)
SELECT CASE
  WHEN ?1 IS NULL THEN NULL
  WHEN total(NOT EXISTS (SELECT 1 FROM keepstep_sequence AS s WHERE s.source = w.source
    AND s.topic = w.topic)) > 0 THEN -1
  ELSE total(NOT EXISTS (SELECT 1 FROM keepstep_sequence AS s WHERE s.source = w.source
      AND s.incarnation = w.incarnation AND s.topic = w.topic AND s.partition = w.partition
      AND s.last >= w.sequence)
    OR EXISTS (SELECT 1 FROM keepstep_position AS p WHERE p.topic = w.topic
      AND (p.partial <> 0 OR p.next_offset < p.filled_to))
    OR EXISTS (SELECT 1 FROM keepstep_fill AS f WHERE f.topic = w.topic
      AND f.stage IN ('asked', 'clearing', 'loading'))
    OR EXISTS (SELECT 1 FROM keepstep_parked AS k WHERE k.topic = w.topic
      AND k.partition = w.partition AND k.state <> 3 AND (k.sequence IS NULL OR (k.source = w.source
      AND k.incarnation = w.incarnation AND k.sequence <= w.sequence)))) = 0 END
FROM wanted AS w

-- What version 1 parked has no sequence yet.
-- name: parked_unplaced
SELECT parked_id, headers FROM keepstep_parked WHERE sequence IS NULL AND parked_id > ?1
ORDER BY parked_id LIMIT 100
-- name: parked_place
UPDATE keepstep_parked SET source = ?2, incarnation = ?3, sequence = ?4 WHERE parked_id = ?1
