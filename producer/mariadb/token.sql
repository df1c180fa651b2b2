-- Tickets and tokens (rule 47): what a service has of a transaction's events at its commit, and what
-- it has of them once they have their numbers. The functions have the rights of whoever calls them.

-- The outbox positions from the first that this session was given since it last asked: a session cannot
-- tell one transaction from the next. What is being written has no number yet, so that the range begins
-- at the first of these rows. It ends with the last row that the transaction sees.
-- name: create_ticket
CREATE OR REPLACE FUNCTION keepstep_ticket()
RETURNS VARCHAR(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
READS SQL DATA SQL SECURITY INVOKER COMMENT 'keepstep ticket 2'
BEGIN
  DECLARE first BIGINT DEFAULT @keepstep_first;
  DECLARE last BIGINT;
  SET @keepstep_first = NULL;
  IF first IS NULL THEN
    RETURN NULL;
  END IF;
  SET last = (SELECT MAX(position) FROM outbox);
  SET first = COALESCE((SELECT position FROM outbox FORCE INDEX (outbox_claimed)
    WHERE kafka_partition IS NULL AND sequence IS NULL AND position >= first AND set_aside IS NULL
    ORDER BY position LIMIT 1), first);
  RETURN (SELECT CONCAT(origin, '/', incarnation, ':', first, '-', GREATEST(first, last))
    FROM keepstep_relay);
END

-- Rows that are gone were numbered, or rolled back. A list would be cut at group_concat_max_len, so
-- the partitions are read one by one.
-- name: create_token
CREATE OR REPLACE FUNCTION keepstep_token(ticket TEXT CHARACTER SET utf8mb4)
RETURNS MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
READS SQL DATA SQL SECURITY INVOKER COMMENT 'keepstep token 2'
BEGIN
  DECLARE here VARCHAR(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    DEFAULT (SELECT CONCAT(origin, '/', incarnation) FROM keepstep_relay);
  DECLARE positions VARCHAR(300) CHARACTER SET utf8mb4 DEFAULT SUBSTRING_INDEX(ticket, ':', -1);
  DECLARE first, last BIGINT;
  DECLARE token MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT here;
  DECLARE topic, former VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT '';
  DECLARE message TEXT CHARACTER SET utf8mb4 DEFAULT '';
  DECLARE held, waits, count, place, number BIGINT;
  DECLARE done BOOLEAN DEFAULT FALSE;
  DECLARE places CURSOR FOR
    SELECT COALESCE(m.topic, t.topic) AS topic, COALESCE(m.`partition`, o.kafka_partition) AS place,
      MAX(o.sequence)
    FROM outbox AS o JOIN keepstep_relay_type AS t ON t.entity_type = o.aggregatetype
    LEFT JOIN keepstep_relay_moved AS m ON m.position = o.position
    WHERE o.position BETWEEN first AND last GROUP BY 1, 2 ORDER BY 1, 2;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = TRUE;
  IF COALESCE(ticket, '') NOT REGEXP
      '^[A-Za-z0-9][A-Za-z0-9._-]*/[0-9a-f-]{36}:[0-9]{1,18}-[0-9]{1,18}$' THEN
    SET message = CONCAT('keepstep: ', COALESCE(LEFT(ticket, 300), 'NULL'), ' is no ticket');
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
  END IF;
  SET first = SUBSTRING_INDEX(positions, '-', 1), last = SUBSTRING_INDEX(positions, '-', -1);
  SELECT COUNT(*), SUM(o.sequence IS NULL), MIN(IF(o.set_aside IS NOT NULL
      OR (o.sequence IS NULL AND EXISTS (SELECT 1 FROM outbox AS b FORCE INDEX (outbox_set_aside)
        WHERE b.blocks = UNHEX(MD5(CONCAT(o.aggregatetype, ' ', o.aggregateid)))
        AND b.position < o.position)), o.position, NULL))
    INTO count, waits, held FROM outbox AS o WHERE o.position BETWEEN first AND last;
  IF count = 0 THEN
    SET message = CONCAT('the outbox has no row at positions ', positions, ': its events were '
      'published long ago and purged, or the transaction was rolled back, or is not committed in what '
      'this session sees');
  ELSEIF held IS NOT NULL THEN
    SET message = CONCAT('the event at position ', held, ' is set aside, or waits behind one that '
      'is: `keepstep outbox list` says why');
  END IF;
  IF SUBSTRING_INDEX(ticket, ':', 1) <> here THEN
    SET message = CONCAT('the ticket is of ', SUBSTRING_INDEX(ticket, ':', 1), ', this database of ',
      here, ': nobody knows whether the log has those events');
  END IF;
  IF message <> '' THEN
    SET message = LEFT(CONCAT('keepstep: ', message), 512);
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
  ELSEIF waits > 0 THEN
    RETURN NULL;
  END IF;
  OPEN places;
  reading: LOOP
    FETCH places INTO topic, place, number;
    IF done THEN
      LEAVE reading;
    END IF;
    SET token = CONCAT(token, IF(topic = former, ',', CONCAT('/', topic, ':')), place, '=', number);
    SET former = topic;
  END LOOP;
  CLOSE places;
  RETURN token;
END

-- name: token
SELECT keepstep_token(?1), NULL

-- What people type.
-- name: ask_ticket
SELECT keepstep_ticket()

-- name: ask_token
SELECT keepstep_token(TICKET)
