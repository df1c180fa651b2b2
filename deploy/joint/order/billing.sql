-- Billing, on MariaDB. "The charges are at most the credit" is a column that each charge reduces.
CREATE TABLE accounts (
  id BIGINT PRIMARY KEY,
  credit_cents BIGINT NOT NULL CHECK (credit_cents >= 0));
CREATE TABLE charges (
  id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PRIMARY KEY,
  account BIGINT NOT NULL,
  cents BIGINT NOT NULL);
INSERT INTO accounts VALUES (7, 5000);
