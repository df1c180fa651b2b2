-- What captures a table in MariaDB. Words in braces: producer/capture/dialect.h.

-- Silent while an agent of this service writes the table.
-- name: capture_head
CREATE OR REPLACE TRIGGER {name} AFTER {change} ON {table} FOR EACH ROW
BEGIN
{lost}
  IF @keepstep_applying <=> CONVERT({text table_name} USING utf8mb4) COLLATE utf8mb4_bin THEN
    DO 0;

-- name: capture_delete
{head}
  ELSE
{event d OLD null}
  END IF;
END

-- name: capture_update
{head}
{fixed}
  ELSEIF NOT ({same_key}) THEN
{event d OLD null}
{event c null NEW}
  ELSEIF NOT ({same_image}) THEN
{event u OLD NEW}
  END IF;
END

-- name: capture_insert
{head}
  ELSE
{event c null NEW}
  END IF;
END

-- The first position is noted for keepstep_ticket(), which forgets it. A condition costs a fraction of a
-- statement.
-- name: capture_event
    INSERT INTO outbox (aggregatetype, type, aggregateid, partition_key, payload)
    VALUES ({text entity_type}, {type}, {key}, {partition_key},
      {payload});
    IF @keepstep_first IS NULL THEN
      SET @keepstep_first = LAST_INSERT_ID();
    END IF;

-- Error 1054: the table has no such column. SIGNAL takes no expression, only a variable, and at most
-- 512 characters.
-- name: capture_lost
  DECLARE EXIT HANDLER FOR 1054 BEGIN
      DECLARE reason, message TEXT CHARACTER SET utf8mb4 DEFAULT '';
      GET DIAGNOSTICS CONDITION 1 reason = MESSAGE_TEXT;
      SET message = LEFT(CONCAT({text lost_message}, reason), 512);
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
    END;

-- An update that would move the row's events to another partition fails.
-- name: capture_fixed
  ELSEIF NOT (BINARY {partition_key OLD} <=> BINARY {partition_key NEW}) THEN
    BEGIN
      DECLARE reason, message TEXT CHARACTER SET utf8mb4 DEFAULT '';
      SET message = LEFT(CONCAT({text fixed_message}, reason), 512);
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
    END;

-- The existing rows, under shared row locks: entity key, payload, partition key, then the key's
-- columns in the order of the primary key. Parameters: where it is resumed, of each key column all
-- before it and itself; then how many rows. Where it does not wait, a row that another transaction
-- holds is a lock timeout at once.
-- name: capture_existing
SELECT {key}, {payload}, {partition_key}, {key_columns} FROM {table} AS t{where_behind} ORDER BY {key_columns} LIMIT ? LOCK IN SHARE MODE{nowait}

-- What the row of one key is now, and its partition key. Where there is no row, the gap is locked, at
-- REPEATABLE READ: nobody can insert it until the transaction ends. The index is named, because
-- a plan that reads the table would lock all of it.
-- name: capture_key_row
SELECT {key}, {payload} FROM {table} AS t FORCE INDEX (PRIMARY) WHERE {is_key} FOR UPDATE WAIT 1

-- name: capture_key_partition
SELECT {key}, {partition_key} FROM {table} AS t FORCE INDEX (PRIMARY) WHERE {is_key}

-- What is compared with the copies is read by whoever has the relay's role.
-- name: capture_grant
GRANT SELECT ({column_names}) ON {table} TO keepstep_relay
