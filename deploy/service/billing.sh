# billing: writes an invoice for each order that has arrived in its own database.
. /usr/local/lib/service/common.sh

create_notes || exit 1
run_sql <<'SQL' || exit 1
CREATE TABLE IF NOT EXISTS invoices (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id  INTEGER NOT NULL,
    amount    TEXT NOT NULL,
    issued_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS invoices_by_order ON invoices (order_id);
SQL

billing_round() {
    if has_table orders; then
        run_sql <<SQL || return 1
BEGIN IMMEDIATE;
INSERT INTO invoices (order_id, amount, issued_at)
SELECT id, total, $now FROM orders
WHERE NOT EXISTS (SELECT 1 FROM invoices WHERE order_id = orders.id)
ORDER BY id LIMIT 100;
COMMIT;
SQL
    fi
    write_note billing
}

forever billing_round
