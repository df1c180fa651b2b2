-- A bank, on MariaDB. It decides by itself what it refuses: no account below zero.
CREATE TABLE accounts (
  id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PRIMARY KEY,
  cents BIGINT NOT NULL CHECK (cents >= 0),
  frozen BOOLEAN NOT NULL);
CREATE TABLE entries (
  id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PRIMARY KEY,
  account VARCHAR(64) CHARACTER SET utf8mb4 NOT NULL,
  cents BIGINT NOT NULL);
INSERT INTO accounts VALUES ('B-7', 10000, FALSE);
