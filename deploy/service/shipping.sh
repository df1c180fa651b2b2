# shipping: ships each order that has an invoice. It reads both from its own database.
. /usr/local/lib/service/common.sh

create_notes || exit 1
run_sql <<'SQL' || exit 1
CREATE TABLE IF NOT EXISTS shipments (
    order_id INTEGER PRIMARY KEY,
    parcel   TEXT NOT NULL,
    weight   REAL NOT NULL,
    shipped  INTEGER NOT NULL,
    sent_at  TEXT
);
SQL

shipping_round() {
    if has_table orders && has_table invoices; then
        run_sql <<SQL || return 1
BEGIN IMMEDIATE;
UPDATE shipments SET shipped = 1, sent_at = $now
WHERE order_id IN (SELECT order_id FROM shipments WHERE shipped = 0 ORDER BY order_id LIMIT 10);
INSERT INTO shipments (order_id, parcel, weight, shipped)
SELECT DISTINCT orders.id, 'parcel ' || orders.id, abs(random() % 10000) / 1000.0, 0
FROM orders JOIN invoices ON invoices.order_id = orders.id
WHERE NOT EXISTS (SELECT 1 FROM shipments WHERE order_id = orders.id)
ORDER BY orders.id LIMIT 100;
COMMIT;
SQL
    fi
    write_note shipping
}

forever shipping_round
