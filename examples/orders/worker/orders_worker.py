#!/usr/bin/python3
"""The orders worker: marks new orders as processed, on the node whose own database is the primary.

On the other node it runs as well, healthy and idle, so that it takes over the moment the roles change. It keeps running
whatever the databases do; /health says what it sees.
"""

import hashlib
import http.server
import json
import pathlib
import signal
import sys
import threading
import time

import psycopg2

INTERVAL = 0.2
LOOP_LIMIT = 5.0
BATCH = """
UPDATE orders SET processed_at = now() WHERE id IN (
    SELECT id FROM orders WHERE processed_at IS NULL ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)
"""


def read_config(path):
    """Reads key=value lines; keys that this program does not know are the API's."""
    values = {}
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            values[key.strip()] = value.strip()
    for key in ("node", "db_hosts", "db_local", "db_name", "db_user", "db_password"):
        if not values.get(key):
            raise ValueError(f"{path} does not set `{key}`")
    return values


def fingerprint(path):
    """Names the root key without giving any of it away."""
    content = pathlib.Path(path).read_bytes()
    if not content:
        raise ValueError(f"the root key file {path} is empty")
    return hashlib.sha256(content).hexdigest()[:16]


def version():
    """The version the package placed two directories up, read once: it names what runs, not what lies there later."""
    return (pathlib.Path(__file__).resolve().parent.parent / "VERSION").read_text(encoding="utf-8").strip()


class Database:
    """One connection that is opened when needed and forgotten when it fails."""

    def __init__(self, config, hosts, **options):
        names, ports = zip(*(host.rsplit(":", 1) for host in hosts.split(",")))
        self.options = dict(
            host=",".join(names), port=",".join(ports), dbname=config["db_name"], user=config["db_user"],
            password=config["db_password"], application_name=f"orders-worker@{config['node']}", connect_timeout=2,
            sslmode="disable", gssencmode="disable", keepalives_idle=5, keepalives_interval=2, keepalives_count=2,
            tcp_user_timeout=4000, options="-c statement_timeout=2000", **options)
        self.connection = None

    def run(self, sql):
        """Runs one statement in a transaction of its own and returns the first row, or the count of rows."""
        try:
            if self.connection is None:
                self.connection = psycopg2.connect(**self.options)
                self.connection.autocommit = True
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone() if cursor.description else cursor.rowcount
        except psycopg2.Error:
            self.forget()
            raise

    def forget(self):
        """Drops the connection: it is broken, or leads to a server that has changed its role."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Worker:
    """The loop, and what it saw last."""

    def __init__(self, config):
        self.local = Database(config, config["db_local"])
        self.primary = Database(config, config["db_hosts"], target_session_attrs="read-write")
        self.role = None
        self.reason = "the loop has not run yet"
        self.ran_at = time.monotonic()
        self.processed = 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            self.turn()
            self.stopping.wait(INTERVAL)

    def turn(self):
        try:
            try:
                in_recovery = self.local.run("SELECT pg_is_in_recovery()")[0]
            except psycopg2.Error:
                # The server may have been restarted since the last turn: only a new connection tells.
                in_recovery = self.local.run("SELECT pg_is_in_recovery()")[0]
        except psycopg2.Error as error:
            self.see(None, f"the local database does not answer: {error}".strip())
            return
        self.see("standby" if in_recovery else "primary", None)
        if in_recovery:
            self.primary.forget()
            return
        try:
            self.processed += self.primary.run(BATCH)
        except psycopg2.Error as error:
            print(f"orders-worker: this turn failed, the next may not: {error}".strip(), flush=True)

    def see(self, role, reason):
        if (role, reason) != (self.role, self.reason):
            print(f"orders-worker: role {role or 'unknown'}{': ' + reason if reason else ''}", flush=True)
        self.role, self.reason, self.ran_at = role, reason, time.monotonic()

    def health(self):
        """Answers from what the loop saw, so that it never waits for a database."""
        age = time.monotonic() - self.ran_at
        if age > LOOP_LIMIT:
            return f"the loop has not run for {age:.0f} s"
        return self.reason


def handler(worker, facts):
    """The HTTP side, which knows one path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_GET(self):  # noqa: N802 - the name is the library's
            if self.path != "/health":
                self.answer(404, {"error": "no such resource"})
                return
            reason = worker.health()
            body = {
                "status": "fail" if reason else "ok", "service": "orders-worker", **facts,
                "database": "fail" if worker.role is None else "ok", "role": worker.role or "unknown",
                "processed": worker.processed,
            }
            if reason:
                body["reason"] = reason
            self.answer(503 if reason else 200, body)

        def answer(self, status, body):
            content = json.dumps(body, separators=(",", ":")).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format, *args):  # noqa: A002 - the name is the library's
            """Keeps the health checks out of the journal."""

    return Handler


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    try:
        config = read_config(sys.argv[1] if len(sys.argv) > 1 else "/etc/orders/orders.conf")
        facts = {
            "version": version(), "node": config["node"],
            "key": fingerprint(config.get("key_file", "/etc/orders/root.key")),
        }
    except (OSError, ValueError) as error:
        print(f"orders-worker refuses to start: {error}", file=sys.stderr)
        return 1

    worker = Worker(config)
    server = Server(("", int(config.get("worker_port", "8081"))), handler(worker, facts))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopping.set())
    print(f"orders-worker {facts['version']} on {facts['node']} listens on port {server.server_port}", flush=True)
    # The turn under way is finished first: its statement limits keep that short.
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
