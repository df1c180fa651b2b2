"""orders: takes orders of the customers that it knows. Later they are paid."""
import random

import service


def create(database):
    database.create("CREATE TABLE IF NOT EXISTS orders (id {IDENTITY}, customer_id BIGINT, "
                    "total {AMOUNT} NOT NULL, state VARCHAR(10) NOT NULL, created_at {TIME} NOT NULL)")


def write(database):
    customer = None
    if database.has("customers"):  # the copy of another service's table
        customer = database.value("SELECT id FROM customers WHERE active ORDER BY random() LIMIT 1")
    total = f"{random.randrange(500)}.{random.randrange(100):02}"
    database.run("INSERT INTO orders (customer_id, total, state, created_at) VALUES (%s, %s, %s, %s)",
                 customer, total, "open", database.now())
    newest = database.value("SELECT max(id) FROM orders")
    database.run("UPDATE orders SET state = 'paid' WHERE id = %s AND state = 'open'", newest - 3)
    service.forget_old_rows(database, "orders")


service.run("orders", {"orders": "its own", "customers": "a copy", "invoices": "a copy",
                       "notes": "everybody's"}, create, write)
