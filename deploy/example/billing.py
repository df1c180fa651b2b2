"""billing: writes an invoice for each order that has arrived in its own database."""
import service


def create(database):
    database.create("CREATE TABLE IF NOT EXISTS invoices (id {IDENTITY}, order_id BIGINT NOT NULL, "
                    "amount {AMOUNT} NOT NULL, issued_at {TIME} NOT NULL)")
    database.run("CREATE INDEX IF NOT EXISTS invoices_by_order ON invoices (order_id)")


def write(database):
    if database.has("orders"):  # the copy of another service's table
        database.run("INSERT INTO invoices (order_id, amount, issued_at) "
                     "SELECT id, total, %s FROM orders "
                     "WHERE id > (SELECT max(id) - 500 FROM orders) "
                     "AND NOT EXISTS (SELECT 1 FROM invoices WHERE order_id = orders.id) "
                     "ORDER BY id LIMIT 100", database.now())
    service.forget_old_rows(database, "invoices")


service.run("billing", {"invoices": "its own", "orders": "a copy", "customers": "a copy",
                        "notes": "everybody's"}, create, write)
