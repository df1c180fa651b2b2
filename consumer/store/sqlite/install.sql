-- Keepstep's tables beside a local copy. Safe to run again. SQLite cannot add a column only where it is
-- missing, so the tables of older versions are changed by `keepstep init` alone.
-- name: install
CREATE TABLE IF NOT EXISTS keepstep_meta(
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keepstep_position(
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    durable_offset INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    token TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0,
    anchor_offset INTEGER NOT NULL DEFAULT -1,
    anchor_id TEXT NOT NULL DEFAULT '',
    cluster_id TEXT NOT NULL DEFAULT '',
    partition_count INTEGER NOT NULL DEFAULT 0,
    partial INTEGER NOT NULL DEFAULT 0 CHECK (partial IN (0, 1)),
    stopped TEXT NOT NULL DEFAULT '',
    updated_at INTEGER NOT NULL,
    filled_to INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE IF NOT EXISTS keepstep_sequence(
    source TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    base INTEGER NOT NULL,
    last INTEGER NOT NULL,
    last_id TEXT NOT NULL,
    digests BLOB NOT NULL,
    PRIMARY KEY (source, incarnation, topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keepstep_idempotency_key(
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    digest INTEGER NOT NULL,
    applied_at INTEGER NOT NULL,
    topic TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keepstep_idempotency_key_applied_at
    ON keepstep_idempotency_key(applied_at);
CREATE TABLE IF NOT EXISTS keepstep_superseded(
    entity_type TEXT NOT NULL,
    entity_key TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    record_key BLOB,
    record_value BLOB,
    headers BLOB,
    PRIMARY KEY (entity_type, entity_key)
) WITHOUT ROWID;
-- state: 0 held, 1 waiting, 2 behind, 3 skipped. sequence: 0 where the event has none; NULL where it is
-- not known, as version 1 parked it. changeset_end: NULL where the event is no part of a set.
CREATE TABLE IF NOT EXISTS keepstep_parked(
    parked_id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    record_key BLOB,
    record_value BLOB,
    headers BLOB,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    reason TEXT NOT NULL,
    code INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    parked_at INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    source TEXT,
    incarnation TEXT,
    sequence INTEGER,
    changeset_end INTEGER,
    UNIQUE (topic, partition, offset)
);
CREATE INDEX IF NOT EXISTS keepstep_parked_skipped
    ON keepstep_parked(next_attempt_at) WHERE state = 3;
CREATE INDEX IF NOT EXISTS keepstep_parked_changeset
    ON keepstep_parked(topic, partition, changeset_end) WHERE changeset_end IS NOT NULL;
CREATE TABLE IF NOT EXISTS keepstep_blocked(
    entity_type TEXT NOT NULL,
    entity_key TEXT NOT NULL,
    parked_id INTEGER NOT NULL,
    PRIMARY KEY (entity_type, entity_key, parked_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keepstep_blocked_parked_id ON keepstep_blocked(parked_id);
CREATE TABLE IF NOT EXISTS keepstep_fill(
    topic TEXT PRIMARY KEY NOT NULL,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('asked', 'clearing', 'loading', 'replaying', 'done',
        'cancelled')),
    rows_offset INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    voids INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
-- The publishing side makes it too.
CREATE TABLE IF NOT EXISTS keepstep_paused(
    entity_type TEXT PRIMARY KEY NOT NULL,
    paused_at INTEGER NOT NULL,
    paused_by TEXT NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keepstep_applying(
    table_name TEXT PRIMARY KEY
);
INSERT INTO keepstep_meta(key, value) VALUES ('schema_version', '3') ON CONFLICT(key) DO NOTHING;
INSERT INTO keepstep_meta(key, value) VALUES ('durable_commits', '0') ON CONFLICT(key) DO NOTHING;
-- Run before `install` where the version is 1.
-- name: upgrade_2
ALTER TABLE keepstep_position ADD COLUMN filled_to INTEGER NOT NULL DEFAULT 0;
ALTER TABLE keepstep_idempotency_key ADD COLUMN topic TEXT NOT NULL DEFAULT '';
ALTER TABLE keepstep_parked ADD COLUMN source TEXT;
ALTER TABLE keepstep_parked ADD COLUMN incarnation TEXT;
ALTER TABLE keepstep_parked ADD COLUMN sequence INTEGER;
UPDATE keepstep_meta SET value = '2' WHERE key = 'schema_version';
-- Where the version is 2 by now.
-- name: upgrade_3
ALTER TABLE keepstep_parked ADD COLUMN changeset_end INTEGER;
UPDATE keepstep_meta SET value = '3' WHERE key = 'schema_version';
