"""customers: new customers come, and old ones move to another city."""
import random

import service

NAMES = ("Ada", "Bede", "Chloé", "Dezső", "Emine", "Freya", "Gül", "Håkon")
CITIES = ("Bergen", "Győr", "İzmir", "Köln", "Łódź", "Nîmes", "Porto", "Turku")


def create(database):
    database.create("CREATE TABLE IF NOT EXISTS customers (id {IDENTITY}, name VARCHAR(100) NOT NULL, "
                    "city VARCHAR(100) NOT NULL, active BOOLEAN NOT NULL, moved_at {TIME})")


def write(database):
    database.run("INSERT INTO customers (name, city, active) VALUES (%s, %s, TRUE)",
                 random.choice(NAMES), random.choice(CITIES))
    newest = database.value("SELECT max(id) FROM customers")
    database.run("UPDATE customers SET city = %s, moved_at = %s WHERE id = %s",
                 random.choice(CITIES), database.now(), newest - random.randrange(1, 10))
    database.run("UPDATE customers SET active = FALSE WHERE id = %s AND active", newest - 20)
    service.forget_old_rows(database, "customers")


service.run("customers", {"customers": "its own", "orders": "a copy", "invoices": "a copy",
                          "notes": "everybody's"}, create, write)
