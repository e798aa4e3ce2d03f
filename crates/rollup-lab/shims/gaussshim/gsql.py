"""gsql over psql 15: options, texts and exit codes of a client that is based on 9.2."""

import getopt
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

import psycopg2

from . import conf, place, server, sqltext

SHORT = "aAc:C:d:eEf:F:gh:Hk:lL:mno:p:P:qrR:sStT:U:v:VW:xXz:Z:0:12?"
LONG = ["command=", "dbname=", "file=", "field-separator=", "host=", "port=", "username=", "quiet", "tuples-only",
        "no-align", "no-psqlrc", "set=", "variable=", "output=", "echo-all", "echo-queries", "expanded", "html", "list",
        "single-transaction", "log-file=", "pset=", "record-separator=", "maintenance", "password=", "version", "help",
        "no-readline", "echo-errors", "pipeline", "single-step", "single-line"]
# Options that psql has under the same letter.
SAME = {"-a", "-A", "-d", "-e", "-E", "-F", "-H", "-h", "-l", "-L", "-n", "-o", "-p", "-P", "-q", "-R", "-s", "-S", "-t",
        "-T", "-U", "-v", "-x", "-X"}
SAME_LONG = {"--dbname": "-d", "--field-separator": "-F", "--host": "-h", "--port": "-p", "--username": "-U",
             "--quiet": "-q", "--tuples-only": "-t", "--no-align": "-A", "--no-psqlrc": "-X", "--set": "-v",
             "--variable": "-v", "--output": "-o", "--echo-all": "-a", "--echo-queries": "-e", "--expanded": "-x",
             "--html": "-H", "--list": "-l", "--log-file": "-L", "--pset": "-P", "--record-separator": "-R",
             "--command": "-c", "--file": "-f", "--single-transaction": "-1", "--password": "-W", "--version": "-V",
             "--echo-errors": "-b"}
WAIT = """
    select w.mode, w.relation, coalesce(w.database, 0), extract(epoch from w.waitstart), b.pid, b.query,
        (select max(h.mode) from pg_locks h where h.pid = b.pid and h.granted
            and h.relation is not distinct from w.relation)
    from pg_locks w join pg_stat_activity b on b.pid = any(pg_blocking_pids(w.pid))
    where w.pid = %s and not w.granted limit 1"""


class Wanted:
    """What the command line asks for."""

    def __init__(self, words):
        try:
            found, rest = getopt.gnu_getopt(words, SHORT, LONG)
        except getopt.GetoptError as error:
            bad = f"invalid option -- '{error.opt}'" if len(error.opt) == 1 else f"unrecognized option '--{error.opt}'"
            if "requires argument" in error.msg:
                bad = f"option requires an argument -- '{error.opt}'"
            fail(f"gsql: {bad}\nTry \"gsql --help\" for more information.")
        self.options, self.action, self.single = [], None, False
        self.host, self.port, self.stops = None, os.environ.get("PGPORT", "5432"), False
        for key, value in found:
            key = SAME_LONG.get(key, key)
            if key in ("-c", "-f"):
                # Only the last of several counts.
                self.action = (key, value)
            elif key == "-1":
                self.single = True
            elif key == "-W":
                os.environ["PGPASSWORD"] = value
            elif key == "-V":
                place.version_option(["-V"])
            elif key in SAME:
                self.options += [key, value] if value else [key]
            if key in ("-h", "-p"):
                setattr(self, "host" if key == "-h" else "port", value)
            if key == "-v" and value.startswith("ON_ERROR_STOP="):
                self.stops = value.partition("=")[2].lower() not in ("0", "off", "false", "no")
        self.options += rest
        if self.port.isdigit() and not any(word == "-p" for word in self.options):
            self.options += ["-p", self.port]


def fail(text, code=1):
    sys.stderr.write(text + "\n")
    place.end(code)


class Errors(threading.Thread):
    """Turns what psql says on standard error into what gsql would say."""

    def __init__(self, pipe, temporary, file, waits):
        super().__init__(daemon=True)
        self.pipe, self.temporary, self.file, self.waits = pipe, temporary, file, waits
        self.refused, self.skips = False, False

    def run(self):
        for line in self.pipe:
            for shown in self.lines(line.rstrip("\n")):
                sys.stderr.write(shown + "\n")
            sys.stderr.flush()

    def lines(self, line):
        line = sqltext.shown(line)
        if line.startswith("psql: error: connection to server") or line.startswith("psql: error: could not"):
            self.refused = True
        if self.refused:
            return []
        place_of = re.match(rf"psql:{re.escape(self.temporary or ' ')}:(\d+):(.*)", line)
        if place_of:
            # The question for the session's process stands in front of the file.
            number = int(place_of.group(1)) - (1 if self.waits else 0)
            line = f"gsql:{self.file}:{number}:{place_of.group(2)}"
            line = re.sub(r"^(gsql:[^ ]*:\d+: )error: ", r"\1", line)
        elif line.startswith("psql:"):
            line = re.sub(r"^psql: (?:error|warning): ", "", line).replace("psql:", "gsql:", 1)
        # Our own functions have no place in what a server says.
        was, self.skips = self.skips, False
        if line.startswith("CONTEXT:") and "gs_shim_" in line or was and not re.match(r"^(gsql:|[A-Z]+:)", line):
            self.skips = True
            return []
        if "canceling statement due to lock timeout" in line:
            return self.lock_timeout(line)
        return [line]

    def lock_timeout(self, line):
        head = line.partition("canceling statement")[0].replace("55P03", "YY003")
        seen = self.waits.seen if self.waits else None
        if not seen:
            return [f"{head}Lock wait timeout: thread 0 on node {self.node()} waiting for lock after 0.000 ms"]
        mode, relation, database, since, pid, query, held = seen
        thread, waited = self.waits.pid, 1000 * (time.time() - float(since or time.time()))
        return [
            f"{head}Lock wait timeout: thread {thread} on node {self.node()} waiting for {mode} on relation "
            f"{relation or 0} of database {database} after {waited:.3f} ms",
            f"DETAIL:  blocked by hold lock thread {pid}, statement <{query}>, hold lockmode {held}.",
        ]

    @staticmethod
    def node():
        own, name = place.own_node(), [node["instance"] for node in place.cluster()["nodes"]]
        return conf.settings(own["datadir"])["pgxc_node_name"] or f"dn_{name[0]}"


class Waits(threading.Thread):
    """Keeps in mind whom the session waits for: once it has given up, nobody can tell."""

    def __init__(self, pidfile):
        super().__init__(daemon=True)
        self.pidfile, self.pid, self.seen, self.ended = pathlib.Path(pidfile), None, None, False

    def run(self):
        try:
            connection = server.connect(place.own_node()["datadir"])
            while not self.ended:
                if self.pid is None and self.pidfile.exists():
                    self.pid = int(self.pidfile.read_text(encoding="utf-8") or 0) or None
                if self.pid:
                    self.seen = next(iter(server.rows(connection, WAIT, self.pid)), self.seen)
                time.sleep(0.02)
        except (server.Refused, psycopg2.Error, OSError, ValueError):
            return


def environment():
    """What psql inherits: names of settings in `PGOPTIONS` are translated, as in SQL."""
    values = {**os.environ, "PGAPPNAME": os.environ.get("PGAPPNAME", "gsql"), "PSQLRC": "/dev/null"}
    def translate(match):
        name = match.group(1)
        return f"-c {sqltext.underlying(name)}=" if sqltext.known(name) else match.group(0)
    if "PGOPTIONS" in values:
        values["PGOPTIONS"] = re.sub(r"-c\s*(\w+)=", translate, values["PGOPTIONS"])
    return values


def prepared(wanted, scratch):
    """The text that psql runs and the name that errors carry: a file's own, or none."""
    if wanted.action and wanted.action[0] == "-c":
        return wanted.action[1], None
    if wanted.action and wanted.action[1] != "-":
        try:
            return pathlib.Path(wanted.action[1]).read_text(encoding="utf-8"), wanted.action[1]
        except OSError as error:
            fail(f"{wanted.action[1]}: {error.strerror}")
    return sys.stdin.read(), "<stdin>" if wanted.action else None


def main(words):
    wanted = Wanted(words)
    if place.fault("refuse-connections") is not None:
        fail(f"failed to connect {wanted.host or place.SOCKETS}:{wanted.port}.", 2)
    if place.fault("chatter") is not None:
        place.say("Warning: The client and server have different version numbers.")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gsql.") as scratch:
        text, file = prepared(wanted, scratch)
        code = run(wanted, text, file, scratch)
    if wanted.action and wanted.action[0] == "-f":
        place.say(f"total time: {int(1000 * (time.monotonic() - began))}  ms")
    return code


def ended(text):
    """The text with an end of its last statement, at the line where that statement ends."""
    bare = text.rstrip()
    return bare + ("\n;" if "--" in bare.rpartition("\n")[2] else ";")


def run(wanted, text, file, scratch):
    rewritten, open_end = sqltext.rewrite(text)
    options, waits = list(wanted.options), None
    if "lockwait_timeout" in text.lower() + os.environ.get("PGOPTIONS", ""):
        waits = Waits(f"{scratch}/pid")
        rewritten = ("SELECT pg_backend_pid() AS pid \\gset gs_shim_ \\\\ \\setenv GS_SHIM_PID :gs_shim_pid \\\\ "
                     f"\\! echo $GS_SHIM_PID > {scratch}/pid\n") + rewritten
        waits.start()
    if open_end:
        rewritten = ended(rewritten)
        if file:
            rewritten += f"\n\\if :ERROR\n\\! touch {scratch}/failed\n\\endif\n"
    temporary = None
    words = [str(place.POSTGRES / "psql"), "-w", *options]
    if file:
        temporary = f"{scratch}/script.sql"
        pathlib.Path(temporary).write_text(rewritten, encoding="utf-8")
        words += ["-f", temporary] + (["-1"] if wanted.single else [])
    source = subprocess.DEVNULL if file else subprocess.PIPE
    child = subprocess.Popen(words, stdin=source, stderr=subprocess.PIPE, env=environment(), text=True)
    errors = Errors(child.stderr, temporary, file, waits)
    errors.start()
    if not file:
        try:
            child.stdin.write(rewritten if rewritten.endswith("\n") else rewritten + "\n")
            child.stdin.close()
        except BrokenPipeError:
            pass
    code = child.wait()
    errors.join()
    if errors.refused:
        fail(f"failed to connect {wanted.host or place.SOCKETS}:{wanted.port}.", 2)
    if code == 0 and os.path.exists(f"{scratch}/failed"):
        return 1
    return code if code >= 0 else 1
