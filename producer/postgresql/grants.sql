-- The least that each role needs on this side; keepstep_run is relay and agent in one process,
-- keepstep_reader is for the service's own logins, which wait for what they wrote. The administrator
-- makes logins that are members of one of them.

-- name: grants
DO $keepstep$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['keepstep_agent', 'keepstep_relay', 'keepstep_lag', 'keepstep_run',
    'keepstep_reader']
  LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I', name);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), name);
  END LOOP;
END
$keepstep$;
GRANT keepstep_agent, keepstep_relay TO keepstep_run;
GRANT SELECT, DELETE,
  UPDATE (aggregateid, kafka_partition, sequence, set_aside, changeset, changeset_end)
  ON outbox TO keepstep_relay;
GRANT SELECT, UPDATE (holder, epoch, lease_until_us) ON keepstep_relay TO keepstep_relay;
GRANT SELECT, INSERT, UPDATE ON keepstep_relay_partition, keepstep_relay_type, keepstep_relay_read
  TO keepstep_relay;
GRANT SELECT, INSERT, DELETE ON keepstep_relay_moved, keepstep_paused TO keepstep_relay;
GRANT SELECT ON keepstep_relay_wait, keepstep_existing, keepstep_position, keepstep_sequence,
  keepstep_fill TO keepstep_relay;
GRANT SELECT (id, position, aggregatetype, aggregateid, kafka_partition, sequence, set_aside)
  ON outbox TO keepstep_agent;
GRANT SELECT ON keepstep_relay, keepstep_relay_partition, keepstep_relay_type TO keepstep_agent;
GRANT SELECT (position, aggregatetype, kafka_partition, sequence, set_aside, created_at)
  ON outbox TO keepstep_lag;
GRANT SELECT ON keepstep_relay, keepstep_relay_partition, keepstep_relay_type, keepstep_paused
  TO keepstep_lag;
GRANT SELECT (origin, incarnation) ON keepstep_relay TO keepstep_reader;
GRANT SELECT (position, aggregatetype, aggregateid, kafka_partition, sequence, set_aside, xmin)
  ON outbox TO keepstep_reader;
GRANT SELECT ON keepstep_relay_type, keepstep_relay_moved TO keepstep_reader;
GRANT EXECUTE ON FUNCTION keepstep_ticket(), keepstep_token(text) TO keepstep_reader;
GRANT EXECUTE ON FUNCTION keepstep_token(text) TO keepstep_relay;
