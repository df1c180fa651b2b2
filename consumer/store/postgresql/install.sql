-- Keepstep's tables beside a local copy. Safe to run again. Each has a primary key: a publication FOR
-- ALL TABLES would refuse deletes and updates of others.
-- name: install
CREATE TABLE IF NOT EXISTS keepstep_meta(
    key TEXT COLLATE "C" PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS keepstep_position(
    topic TEXT COLLATE "C" NOT NULL,
    partition BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    durable_offset BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    token TEXT NOT NULL,
    revision BIGINT NOT NULL DEFAULT 0,
    anchor_offset BIGINT NOT NULL DEFAULT -1,
    anchor_id TEXT NOT NULL DEFAULT '',
    cluster_id TEXT NOT NULL DEFAULT '',
    partition_count BIGINT NOT NULL DEFAULT 0,
    partial BIGINT NOT NULL DEFAULT 0 CHECK (partial IN (0, 1)),
    stopped TEXT NOT NULL DEFAULT '',
    updated_at BIGINT NOT NULL,
    filled_to BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS keepstep_sequence(
    source TEXT COLLATE "C" NOT NULL,
    incarnation TEXT COLLATE "C" NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    partition BIGINT NOT NULL,
    base BIGINT NOT NULL,
    last BIGINT NOT NULL,
    last_id TEXT NOT NULL,
    digests BYTEA NOT NULL,
    PRIMARY KEY (topic, partition, source, incarnation)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS keepstep_idempotency_key(
    source TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    digest BIGINT NOT NULL,
    applied_at BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (source, id)
);
CREATE INDEX IF NOT EXISTS keepstep_idempotency_key_applied_at
    ON keepstep_idempotency_key(applied_at);
CREATE TABLE IF NOT EXISTS keepstep_superseded(
    entity_type TEXT COLLATE "C" NOT NULL,
    entity_key TEXT COLLATE "C" NOT NULL,
    topic TEXT NOT NULL,
    partition BIGINT NOT NULL,
    "offset" BIGINT NOT NULL,
    record_key BYTEA,
    record_value BYTEA,
    headers BYTEA,
    PRIMARY KEY (entity_type, entity_key)
);
-- state: 0 held, 1 waiting, 2 behind, 3 skipped. sequence: 0 where the event has none; NULL where it is
-- not known, as version 1 parked it. changeset_end: NULL where the event is no part of a set.
CREATE TABLE IF NOT EXISTS keepstep_parked(
    parked_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic TEXT COLLATE "C" NOT NULL,
    partition BIGINT NOT NULL,
    "offset" BIGINT NOT NULL,
    record_key BYTEA,
    record_value BYTEA,
    headers BYTEA,
    state BIGINT NOT NULL CHECK (state BETWEEN 0 AND 3),
    reason TEXT NOT NULL,
    code BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    parked_at BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    source TEXT COLLATE "C",
    incarnation TEXT COLLATE "C",
    sequence BIGINT,
    changeset_end BIGINT,
    UNIQUE (topic, partition, "offset")
);
CREATE INDEX IF NOT EXISTS keepstep_parked_skipped
    ON keepstep_parked(next_attempt_at) WHERE state = 3;
CREATE TABLE IF NOT EXISTS keepstep_blocked(
    entity_type TEXT COLLATE "C" NOT NULL,
    entity_key TEXT COLLATE "C" NOT NULL,
    parked_id BIGINT PRIMARY KEY
);
DO $keepstep$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index
            WHERE indrelid = 'keepstep_blocked'::regclass AND indisprimary) THEN
        ALTER TABLE keepstep_blocked ADD PRIMARY KEY (parked_id);
        DROP INDEX IF EXISTS keepstep_blocked_parked_id;
    END IF;
END
$keepstep$;
CREATE INDEX IF NOT EXISTS keepstep_blocked_entity
    ON keepstep_blocked(hashtextextended(entity_key, 0), entity_type);
CREATE TABLE IF NOT EXISTS keepstep_fill(
    topic TEXT COLLATE "C" PRIMARY KEY,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('asked', 'clearing', 'loading', 'replaying', 'done',
        'cancelled')),
    rows_offset BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    digest BIGINT NOT NULL,
    voids BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    reason TEXT NOT NULL
);
-- The publishing side makes it too.
CREATE TABLE IF NOT EXISTS keepstep_paused(
    entity_type TEXT COLLATE "C" PRIMARY KEY,
    paused_at BIGINT NOT NULL,
    paused_by TEXT NOT NULL,
    reason TEXT NOT NULL
);
-- Older versions lack these columns.
DO $keepstep$
BEGIN
    IF EXISTS (SELECT 1 FROM keepstep_meta WHERE key = 'schema_version' AND value = '1') THEN
        ALTER TABLE keepstep_position ADD COLUMN IF NOT EXISTS filled_to BIGINT NOT NULL DEFAULT 0;
        ALTER TABLE keepstep_idempotency_key
            ADD COLUMN IF NOT EXISTS topic TEXT COLLATE "C" NOT NULL DEFAULT '';
        ALTER TABLE keepstep_parked ADD COLUMN IF NOT EXISTS source TEXT COLLATE "C",
            ADD COLUMN IF NOT EXISTS incarnation TEXT COLLATE "C",
            ADD COLUMN IF NOT EXISTS sequence BIGINT;
        UPDATE keepstep_meta SET value = '2' WHERE key = 'schema_version';
    END IF;
    IF EXISTS (SELECT 1 FROM keepstep_meta WHERE key = 'schema_version' AND value = '2') THEN
        ALTER TABLE keepstep_parked ADD COLUMN IF NOT EXISTS changeset_end BIGINT;
        UPDATE keepstep_meta SET value = '3' WHERE key = 'schema_version';
    END IF;
END
$keepstep$;
CREATE INDEX IF NOT EXISTS keepstep_parked_changeset
    ON keepstep_parked(topic, partition, changeset_end) WHERE changeset_end IS NOT NULL;
-- Whether all events that a token names are applied here (rule 47): 1, 0, or NULL where this copy has
-- never seen their origin in one of the topics. Each function and operator has just its arguments'
-- types, so that nothing in the tables' schema can fit better. NULL, of which keepstep_token() makes what
-- has no number yet, is applied nowhere.
CREATE OR REPLACE FUNCTION keepstep_applied(token text) RETURNS integer LANGUAGE plpgsql STABLE STRICT
AS $keepstep$
DECLARE
    parts CONSTANT text[] := string_to_array(token, '/');
BEGIN
    IF token !~ ('^[A-Za-z0-9][A-Za-z0-9._-]*/[0-9a-f-]{36}'
        '(/[A-Za-z0-9._-]+:[0-9]{1,10}=[0-9]{1,18}(,[0-9]{1,10}=[0-9]{1,18})*)+$') THEN
        RAISE EXCEPTION 'keepstep: % is no token', left(token, 300);
    END IF;
    RETURN (SELECT CASE
        WHEN bool_or(NOT EXISTS (SELECT 1 FROM keepstep_sequence AS s WHERE s.topic = w.topic
            AND s.source = parts[1])) THEN NULL
        WHEN bool_or(NOT EXISTS (SELECT 1 FROM keepstep_sequence AS s WHERE s.topic = w.topic
                AND s.partition = w.partition AND s.source = parts[1] AND s.incarnation = parts[2]
                AND s.last >= w.sequence)
            OR EXISTS (SELECT 1 FROM keepstep_position AS p WHERE p.topic = w.topic
                AND (p.partial <> 0 OR p.next_offset < p.filled_to))
            OR EXISTS (SELECT 1 FROM keepstep_fill AS f WHERE f.topic = w.topic
                AND f.stage IN ('asked', 'clearing', 'loading'))
            OR EXISTS (SELECT 1 FROM keepstep_parked AS k WHERE k.topic = w.topic
                AND k.partition = w.partition AND k.state <> 3 AND (k.sequence IS NULL OR (k.source = parts[1]
                    AND k.incarnation = parts[2] AND k.sequence <= w.sequence)))) THEN 0
        ELSE 1 END
    FROM (SELECT split_part(t.text, ':', 1) AS topic, split_part(p.text, '=', 1)::bigint AS partition,
            split_part(p.text, '=', 2)::bigint AS sequence
        FROM pg_catalog.unnest(parts[3:]) AS t (text)
        CROSS JOIN pg_catalog.unnest(string_to_array(split_part(t.text, ':', 2), ',')) AS p (text)) AS w);
END
$keepstep$;
REVOKE ALL ON FUNCTION keepstep_applied(text) FROM PUBLIC;
DO $keepstep$
BEGIN
    EXECUTE (SELECT format('ALTER FUNCTION keepstep_applied(text) '
        'SET search_path = pg_catalog, %s, pg_temp', relnamespace::regnamespace)
        FROM pg_class WHERE oid = 'keepstep_position'::regclass);
END
$keepstep$;
INSERT INTO keepstep_meta(key, value) VALUES ('schema_version', '3') ON CONFLICT(key) DO NOTHING;
-- What each role needs on the tables of this side, and no more: lag reads no payload.
-- name: grants
GRANT SELECT, INSERT ON keepstep_meta TO keepstep_agent;
GRANT SELECT ON keepstep_meta TO keepstep_lag;
GRANT SELECT, INSERT, UPDATE ON keepstep_position, keepstep_fill TO keepstep_agent;
GRANT SELECT, INSERT, UPDATE, DELETE ON keepstep_sequence, keepstep_idempotency_key,
    keepstep_superseded, keepstep_parked, keepstep_blocked TO keepstep_agent;
GRANT SELECT, INSERT, DELETE ON keepstep_paused TO keepstep_agent;
GRANT SELECT ON keepstep_position, keepstep_fill, keepstep_sequence, keepstep_blocked,
    keepstep_paused TO keepstep_lag;
GRANT SELECT (parked_id, topic, partition, "offset", state, source, incarnation, sequence,
    changeset_end) ON keepstep_parked TO keepstep_lag;
GRANT SELECT (topic, partition, next_offset, filled_to, partial)
    ON keepstep_position TO keepstep_reader;
GRANT SELECT (source, incarnation, topic, partition, last) ON keepstep_sequence TO keepstep_reader;
GRANT SELECT (topic, stage) ON keepstep_fill TO keepstep_reader;
GRANT SELECT (topic, partition, source, incarnation, sequence, state)
    ON keepstep_parked TO keepstep_reader;
GRANT EXECUTE ON FUNCTION keepstep_applied(text) TO keepstep_reader, keepstep_agent, keepstep_lag;
