-- What a MariaDB server says of itself, and what a login may do. Nothing here changes anything.

-- A server that keeps a binary log takes what that lacks back when it starts again.
-- name: not_durable
SELECT NULLIF(CONCAT_WS(', ',
  IF(@@innodb_flush_log_at_trx_commit IN (1, 3), NULL,
    CONCAT('innodb_flush_log_at_trx_commit=', @@innodb_flush_log_at_trx_commit)),
  IF(@@log_bin AND @@sync_binlog <> 1, CONCAT('log_bin=ON with sync_binlog=', @@sync_binlog), NULL),
  IF(CAST(@@innodb_doublewrite AS CHAR) IN ('0', 'OFF'), 'innodb_doublewrite=OFF', NULL),
  IF(@@innodb_flush_method IN ('nosync', 'littlesync', 'O_DIRECT_NO_FSYNC'),
    CONCAT('innodb_flush_method=', @@innodb_flush_method), NULL)), '')

-- name: look
SELECT 'product', CONCAT('MariaDB ', version())
UNION ALL SELECT 'clock_us', CAST(CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS INTEGER) AS CHAR)
UNION ALL SELECT 'connections', variable_value FROM information_schema.global_status
  WHERE variable_name = 'THREADS_CONNECTED'
UNION ALL SELECT 'connections_max', CAST(@@max_connections AS CHAR)
UNION ALL SELECT 'read_only', IF(@@read_only, 'read_only=ON', '')
UNION ALL SELECT 'impatient', IF(@@innodb_rollback_on_timeout, 'innodb_rollback_on_timeout=ON', '')
UNION ALL SELECT 'journal',
  CONCAT('innodb_flush_log_at_trx_commit=', @@innodb_flush_log_at_trx_commit, ', log_bin=', @@log_bin)

-- name: show_database
SELECT DATABASE()

-- Without a name it is of this account and of the role that its session has, with the roles of that.
-- name: show_rights
SHOW GRANTS
