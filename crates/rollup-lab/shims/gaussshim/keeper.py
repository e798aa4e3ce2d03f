"""Stays with a server while it lives: its HA port, its change of role, its `most_available_sync`.

In the real product all of this is inside the server process, which changes its role without a new start. PostgreSQL
must be started anew to become a standby, so this process is the parent of the server and outlives it for that moment.
"""

import ctypes
import fcntl
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import psycopg2

from . import conf, place, server

TURN = 0.05
# The longest that the parts of a switchover may take; a real server goes on for ever.
SHUTDOWN, REPLAY, PROMOTION = 120, 60, 60
# What the server says when it cannot follow, and gs_ctl's words for it.
DETAILS = [
    ("requested WAL segment", "WAL segment removed"), ("is ahead of the WAL flush position", "WAL segment removed"),
    ("is ahead of the upstream server's flush position", "WAL segment removed"),
    ("database system identifier differs", "System id not matched"), ("highest timeline", "Timeline not matched"),
    ("is not in this server's history", "Timeline not matched"), ("not a child of this server", "Timeline not matched"),
    ("standby connections exceeds max_wal_senders", "Mode not matched"),
    ("could not connect to the primary server", "Connecting..."), ("started streaming WAL", "Normal"),
    ("restarted WAL streaming", "Normal"),
    ("terminating walreceiver", "Disconnected"), ("replication terminated by primary", "Disconnected"),
    ("could not receive data from WAL stream", "Disconnected"),
]


def die_together(prctl=ctypes.CDLL(None).prctl):
    """The two processes are one in the real product: whoever kills this one has killed the server."""
    prctl(1, signal.SIGQUIT)


class Keeper:
    def __init__(self, datadir, mode, logfile):
        self.datadir = pathlib.Path(datadir)
        self.mode = mode
        self.logfile = pathlib.Path(logfile or place.server_log())
        self.logfile.parent.mkdir(parents=True, exist_ok=True)
        self.child = None
        self.connection = None
        self.waits_for_standbys = True
        self.looked = 0.0
        self.wants_reload = False

        self.noting = threading.Lock()

    def note(self, **values):
        """Writes into the state file; two threads do."""
        with self.noting:
            server.change_state(self.datadir, **values)

    def on_reload(self, *_):
        self.wants_reload = True

    # The server underneath.

    def spawn(self):
        signal_file = self.datadir / "standby.signal"
        if self.mode in ("standby", "pending", "cascade_standby"):
            signal_file.touch(mode=0o600)
        else:
            signal_file.unlink(missing_ok=True)
        self.waits_for_standbys = True
        conf.write_underlying(self.datadir, self.mode)
        self.note(
            mode=self.mode, transition=None, detail="Connecting..." if self.follows() else "Normal",
            static_connections=len(conf.connections(conf.settings(self.datadir))))
        words = [str(place.home() / "bin" / "gaussdb"), "-D", str(self.datadir), "-c",
                 f"config_file={self.datadir / conf.UNDERLYING}"]
        self.child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_together)
        threading.Thread(target=self.listen_to, args=(self.child.stdout,), daemon=True).start()
        place.until(30, lambda: (server.recorded(self.datadir) or (0, ""))[1] or self.child.poll() is not None, TURN)
        server.remember_mode(self.datadir, self.mode)

    def follows(self):
        return self.mode in ("standby", "cascade_standby")

    def listen_to(self, pipe):
        """Writes the server's log, and keeps in mind why it cannot follow."""
        detail = None
        with open(self.logfile, "ab", buffering=0) as kept:
            for line in iter(pipe.readline, b""):
                kept.write(line)
                text = line.decode("utf-8", "replace")
                found = next((word for part, word in DETAILS if part in text), None)
                # What needs a new build stays so; that the connection ended as well says nothing new.
                lasting = detail not in (None, "Normal", "Connecting...", "Disconnected")
                if found and found != detail and not (lasting and found in ("Connecting...", "Disconnected")):
                    detail = found
                    if self.follows():
                        self.note(detail=detail)

    def reload(self):
        conf.write_underlying(self.datadir, self.mode, self.waits_for_standbys)
        self.child.send_signal(signal.SIGHUP)

    def query(self, sql):
        """Rows, or nothing where the server does not answer."""
        try:
            if self.connection is None:
                self.connection = psycopg2.connect(
                    host=place.SOCKETS, port=conf.port(self.datadir), user="omm", dbname="postgres", connect_timeout=5,
                    application_name="gauss-shim", options="-c idle_session_timeout=0 -c lock_timeout=0")
                self.connection.autocommit = True
            return server.rows(self.connection, sql)
        except psycopg2.Error:
            self.connection = None
            return None

    def end_child(self):
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(SHUTDOWN)
        except subprocess.TimeoutExpired:
            self.child.send_signal(signal.SIGQUIT)
            self.child.wait()
        self.connection = None

    # What goes on while the server lives.

    def run(self):
        lock = os.open(self.datadir / "gaussdb.keeper", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        (self.datadir / "switchover").unlink(missing_ok=True)
        signal.signal(signal.SIGHUP, self.on_reload)
        time.sleep(float(place.fault("start-delay") or 0))
        port = conf.port(self.datadir) + 1
        with socket.create_server(("", port), reuse_port=False) as listener:
            self.spawn()
            while self.child.poll() is None:
                if self.wants_reload:
                    self.wants_reload = False
                    self.reload()
                if select.select([listener], [], [], TURN)[0]:
                    self.answer(listener)
                request = self.datadir / "switchover"
                if request.exists():
                    request.unlink()
                    if place.fault("switchover-ignored") is None:
                        self.become_primary()
                if time.monotonic() - self.looked > 0.3:
                    self.looked = time.monotonic()
                    self.look_at_standbys()

    def look_at_standbys(self):
        """`most_available_sync`: commits wait for standbys only while there are any."""
        if self.mode != "primary":
            return
        wanted = True
        if conf.settings(self.datadir)["most_available_sync"] in ("on", "true", "yes", "1"):
            found = self.query("select count(*) from pg_stat_replication where state = 'streaming'")
            wanted = bool(found and found[0][0])
        if wanted != self.waits_for_standbys:
            self.waits_for_standbys = wanted
            self.reload()

    # A switchover: the standby asks, the primary stops, the standby is promoted, the other one follows.

    def become_primary(self):
        """Asked for by gs_ctl. A standby that does not stream does nothing, and says nothing."""
        streams = self.query("select true from pg_stat_wal_receiver where status = 'streaming'")
        peer = next(iter(conf.connections(conf.settings(self.datadir))), None)
        if self.mode != "standby" or not streams or not peer:
            return
        self.note(transition="Wait promoting")
        try:
            with socket.create_connection((peer["remotehost"], int(peer["remoteport"])), timeout=10) as stream:
                stream.settimeout(SHUTDOWN + 3600)
                lines = stream.makefile("rw")
                answer = self.exchange(lines, {"ask": "demote"})
                if "end" not in answer:
                    return
                if place.fault("switchover-half") is not None:
                    self.child.send_signal(signal.SIGQUIT)
                    self.child.wait()
                    return
                self.promote_after(answer["end"], lines)
        except (OSError, ValueError) as error:
            print(f"switchover: {error}", file=sys.stderr)
        finally:
            self.note(transition=None)

    def promote_after(self, end, lines):
        """Promotes once everything is replayed that the old primary wrote."""
        behind = f"select true where pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '{end}') > 0"
        if not place.until(REPLAY, lambda: self.query(behind), TURN):
            lines.write(json.dumps({"promoted": False}) + "\n")
            return
        self.note(transition="Promoting")
        self.query(f"select pg_promote(true, {PROMOTION})")
        self.is_primary_now()
        lines.write(json.dumps({"promoted": True}) + "\n")
        lines.flush()

    def is_primary_now(self):
        self.mode = "primary"
        server.remember_mode(self.datadir, self.mode)
        self.note(mode=self.mode, detail="Normal")
        self.reload()

    @staticmethod
    def exchange(lines, request):
        lines.write(json.dumps(request) + "\n")
        lines.flush()
        return json.loads(lines.readline() or "{}")

    def answer(self, listener):
        """Somebody at the HA port: the peer, or gs_ctl of this node."""
        stream, (address, _) = listener.accept()
        known = {peer["ip"] for peer in place.peers()} | {"127.0.0.1"}
        with stream:
            stream.settimeout(5)
            if address not in known:
                return
            try:
                lines = stream.makefile("rw")
                asked = json.loads(lines.readline() or "{}").get("ask")
                if asked == "demote" and self.mode == "primary":
                    self.demote(stream, lines)
                elif asked == "promote" and self.mode != "primary":
                    self.query(f"select pg_promote(true, {PROMOTION})")
                    self.is_primary_now()
                    lines.write(json.dumps({"promoted": True}) + "\n")
                    lines.flush()
            except (OSError, ValueError) as error:
                print(f"HA port: {error}", file=sys.stderr)

    def demote(self, stream, lines):
        """Stops, tells the standby where the log ends, and comes back as its standby."""
        self.note(transition="Demoting")
        time.sleep(float(place.fault("switchover-delay") or 0))
        self.query("checkpoint")
        self.end_child()
        promoted = None
        try:
            lines.write(json.dumps({"end": server.control(self.datadir, "Latest checkpoint location")}) + "\n")
            lines.flush()
            stream.settimeout(REPLAY + PROMOTION + 10)
            promoted = json.loads(lines.readline() or "{}").get("promoted")
        except (OSError, ValueError) as error:
            print(f"switchover: {error}", file=sys.stderr)
        # A standby that is lost may have been promoted: two standbys can be mended, two primaries cannot.
        self.mode = "primary" if promoted is False else "standby"
        self.spawn()


def main(words):
    datadir, mode, logfile = words
    if os.environ.get("GAUSSLOG"):
        place.TOOL[0] = "gaussdb"
        directory = pathlib.Path(os.environ["GAUSSLOG"]) / "bin" / "gaussdb_keeper"
        directory.mkdir(parents=True, exist_ok=True)
        kept = os.open(directory / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(kept, 1)
        os.dup2(kept, 2)
    os.chdir("/")
    Keeper(datadir, mode, logfile).run()
