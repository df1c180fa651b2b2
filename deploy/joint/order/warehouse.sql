-- The warehouse, on SQLite. Its CHECK is all that it has to say.
PRAGMA journal_mode = WAL;
CREATE TABLE stock (
  sku TEXT NOT NULL PRIMARY KEY,
  free INTEGER NOT NULL CHECK (free >= 0));
INSERT INTO stock VALUES ('A1', 10);
