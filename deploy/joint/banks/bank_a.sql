-- A bank, on PostgreSQL. It decides by itself what it refuses: no account below zero.
CREATE TABLE accounts (
  id text COLLATE "C" PRIMARY KEY,
  cents bigint NOT NULL CHECK (cents >= 0),
  frozen boolean NOT NULL);
CREATE TABLE entries (
  id text COLLATE "C" PRIMARY KEY,
  account text NOT NULL,
  cents bigint NOT NULL);
INSERT INTO accounts VALUES ('A-1', 50000, false), ('A-2', 50000, true);
