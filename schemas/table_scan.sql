-- The rows of a table, for copies and for what a service publishes; a condition may follow.
-- name: table_rows
SELECT {key}, {image} FROM {table} AS t
