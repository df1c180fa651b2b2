--What an operator has paused; the same in all databases, for the relay and for the agent.
-- name: paused_list
SELECT entity_type, paused_at, paused_by, reason FROM keepstep_paused ORDER BY entity_type
