-- The rows that some rows name by a foreign key; a condition on the row `c` follows. The
-- second column is nobody's.
-- name: named_rows
SELECT {key}, '' FROM {child} AS c JOIN {parent} AS t ON {condition} WHERE
