# shop: takes orders. Later it changes or deletes some of them.
. /usr/local/lib/service/common.sh

create_notes || exit 1
run_sql <<'SQL' || exit 1
CREATE TABLE IF NOT EXISTS orders (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    customer   TEXT NOT NULL,
    total      TEXT NOT NULL,
    state      TEXT NOT NULL,
    created_at TEXT NOT NULL
);
SQL

shop_round() {
    run_sql <<SQL || return 1
BEGIN IMMEDIATE;
INSERT INTO orders (customer, total, state, created_at)
VALUES ('customer ' || abs(random() % 100), printf('%d.%02d', abs(random() % 500), abs(random() % 100)),
        'open', $now);
UPDATE orders SET state = 'changed'
WHERE id = (SELECT max(id) - 3 FROM orders) AND state = 'open';
DELETE FROM orders WHERE id = (SELECT max(id) - 20 FROM orders) AND id % 5 = 0;
COMMIT;
SQL
    write_note shop
}

forever shop_round
