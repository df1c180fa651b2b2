"""What all three services do: create tables, write for ever, and show their tables on a page."""
import decimal
import html
import http.server
import os
import random
import signal
import threading
import time

from database import Database

KEPT_ROWS = 1000
SHOWN_ROWS = 8
healthy = threading.Event()


def write_note(database, author):
    """All three services write the same few notes."""
    note, now = f"board-{random.randrange(3)}", database.now()
    changed = database.run("UPDATE notes SET author = %s, body = %s, written_at = %s WHERE id = %s",
                           author, f"seen by {author}", now, note)
    if changed.rowcount == 0:
        database.run("INSERT INTO notes (id, author, body, written_at) VALUES (%s, %s, %s, %s)",
                     note, author, f"seen by {author}", now)


def forget_old_rows(database, table):
    database.run(f"DELETE FROM {table} WHERE id <= %s",
                 (database.value(f"SELECT max(id) FROM {table}") or 0) - KEPT_ROWS)


def write_forever(name, create, write):
    """Write once a second. After an error, begin anew with a new connection."""
    while True:
        database = None
        try:
            database = Database()
            create(database)
            database.create("CREATE TABLE IF NOT EXISTS notes (id {KEY}, author VARCHAR(64) NOT NULL, "
                            "body VARCHAR(1000) NOT NULL, written_at {TIME} NOT NULL)")
            database.commit()
            while True:
                write(database)
                write_note(database, name)
                database.commit()
                healthy.set()
                time.sleep(1)
        except Exception as error:  # whatever it is, the next round follows
            print(f"this round failed, the next one follows: {error}")
        finally:
            healthy.clear()
            if database is not None:
                database.close()
        time.sleep(1)


def text(value):
    if isinstance(value, decimal.Decimal):
        return f"{value:.2f}"
    return html.escape("" if value is None else str(value))


def table_as_html(database, table, whose):
    if not database.has(table):
        return f"<h2>{table} <small>{whose}, not there yet</small></h2>"
    count = database.value(f"SELECT count(*) FROM {table}")
    cursor = database.run(f"SELECT * FROM {table} ORDER BY id DESC LIMIT {SHOWN_ROWS}")
    head = "".join(f"<th>{column[0]}" for column in cursor.description)
    rows = "".join("<tr>" + "".join(f"<td>{text(value)}" for value in row) for row in cursor)
    return f"<h2>{table} <small>{whose}, {count} rows</small></h2><table><tr>{head}{rows}</table>"


def page(name, tables):
    database = Database()
    try:
        parts = [table_as_html(database, table, whose) for table, whose in tables.items()]
    finally:
        database.close()
    return ("<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2>"
            f"<title>{name}</title><style>body {{font: 15px sans-serif; margin: 2em}} "
            "td, th {padding: .1em 1em .1em 0; text-align: left} small {font-weight: normal}</style>"
            f"<h1>{name}, on {database.product}</h1>" + "".join(parts))


def run(name, tables, create, write):
    """@param tables: what the page shows: the table's name, and whose it is."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            code, body = 404, "there is only /\n"
            if self.path == "/healthz":
                code, body = (200, "ok\n") if healthy.is_set() else (503, "cannot write\n")
            elif self.path == "/":
                try:
                    code, body = 200, page(name, tables)
                except Exception as error:
                    code, body = 503, html.escape(f"the database does not answer: {error}\n")
            self.send_response(code)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=write_forever, args=(name, create, write), daemon=True).start()
    http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
