-- What captures a table in MariaDB. Words in braces: producer/capture/dialect.h.

-- Silent while an agent of this service writes the table.
-- name: capture_head
CREATE OR REPLACE TRIGGER {name} AFTER {change} ON {table} FOR EACH ROW
BEGIN
{lost}{guarded}
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

-- A change of an entity that a joint transaction reserves fails (rule 67), also one that nothing is
-- published of. It has written its row by now, and waits for whoever reserves in the bucket (rule 66).
-- Both looks lock, because a snapshot may be older than what they look for. While the agent tries a
-- transaction it looks at the reserved entities itself, by what is noted here: it reserves each row that
-- the try touches (rule 64). Anybody can set the variable by which it says so, but only the agent's role
-- can write the row that the variable names.
-- name: capture_reserved

  BEGIN
    DECLARE entity LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT {key};
{look}

-- A value of a unique index is somebody's as a row is (rule 64). Whoever has it already is kept from
-- nothing: the row itself is reserved then.
-- name: capture_unique_name

  BEGIN
    DECLARE entity LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT
      {new_value_name};
{look}

-- name: capture_look
    DECLARE named CHAR(32) CHARACTER SET ascii DEFAULT
      MD5(CONCAT(CONVERT({text entity_type} USING utf8mb4), ' ', entity));
    DECLARE held BIGINT;
    DECLARE holder, message TEXT CHARACTER SET utf8mb4;
    IF entity IS NULL THEN
      DO 0;
    ELSEIF @keepstep_reserved IS NOT NULL AND EXISTS (SELECT 1 FROM keepstep_touched AS t
        WHERE t.position = @keepstep_reserved AND t.entity_type = '' AND t.entity_key = CONNECTION_ID())
    THEN
      INSERT INTO keepstep_touched (entity_type, entity_key) VALUES ({text entity_type}, entity);
    ELSE
      SET held = (SELECT g.reserved FROM keepstep_guard AS g
        WHERE g.bucket = CONV(LEFT(named, 3), 16, 10) LOCK IN SHARE MODE);
      IF NOT (held <=> 0) THEN
        SET holder = (SELECT CONCAT(r.id, ' of ', r.proposer) FROM keepstep_reserved AS r
          WHERE r.digest = UNHEX(named) LOCK IN SHARE MODE);
      END IF;
      IF holder IS NOT NULL THEN
        SET message = LEFT(CONCAT({text try_again}, {text entity_type}, ' ', entity,
          ' is reserved by a joint transaction, ', holder, ', that is not decided yet'), 512);
        SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205, MESSAGE_TEXT = message;
      END IF;
    END IF;
  END;

-- name: capture_guarded_update
{reserved OLD}
  IF NOT ({same_key}) THEN
{reserved NEW}
  END IF;
{unique_names}

-- name: capture_guarded_insert
{reserved NEW}
{unique_names}

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
