-- Whether all events that a token names are applied here (rule 47).
-- name: applied
SELECT coalesce(keepstep_applied($1), -1)
-- What version 1 parked has no sequence yet.
-- name: parked_unplaced
SELECT parked_id, headers FROM keepstep_parked WHERE sequence IS NULL AND parked_id > $1
ORDER BY parked_id LIMIT 100
-- name: parked_place
UPDATE keepstep_parked SET source = $2, incarnation = $3, sequence = $4 WHERE parked_id = $1
