-- What SQLite says of a database. A file has no server, so no clock, no sessions and no rights of its
-- own: what the file's owner may do is seen at the file. Nothing here changes anything.

-- name: look
SELECT 'product', 'SQLite ' || sqlite_version()
UNION ALL SELECT 'journal', 'journal_mode=' || journal_mode FROM pragma_journal_mode
