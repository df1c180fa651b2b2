"""Runs in the container of an example service, on its database; the tests hand it over with `-c`.

sql STATEMENT             run it; print the first value of its first row, or how many rows it changed
rows TABLE COLUMNS ...    print all rows as text, the same for equal values on all database products
"""
import datetime
import decimal
import sys

sys.path.append("/usr/local/lib/example")
from database import Database  # noqa: E402


def text(value):
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, decimal.Decimal):
        return f"{value:.2f}"
    if isinstance(value, datetime.datetime):
        utc = value.astimezone(datetime.timezone.utc) if value.tzinfo else value
        return utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value)


database = Database()
if sys.argv[1] == "sql":
    cursor = database.run(sys.argv[2])
    print(text((cursor.fetchone() or ("",))[0]) if cursor.description else cursor.rowcount)
else:
    for table, columns in zip(sys.argv[2::2], sys.argv[3::2]):
        rows = database.run(f"SELECT {columns} FROM {table} ORDER BY id").fetchall()
        print(f"{table}: {len(rows)} rows")
        for row in rows:
            print("|".join(map(text, row)))
database.commit()
