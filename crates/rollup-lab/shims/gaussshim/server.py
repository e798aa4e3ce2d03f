"""The server as its tools see it: process, state file, role, SQL."""

import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import psycopg2

from . import conf, place

# gs_ctl's words for the roles, by the word of `-M`.
ROLES = {
    "normal": "Normal", "primary": "Primary", "standby": "Standby", "pending": "Pending",
    "cascade_standby": "Cascade Standby",
}
KEEPER = place.SHIM / "gaussdb_keeper"


class Refused(Exception):
    """No connection; the text is what libpq says."""


def recorded(datadir):
    """What `postmaster.pid` says: process and status of the server underneath; nothing without the file."""
    try:
        lines = (pathlib.Path(datadir) / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return int(lines[0]), (lines[7].strip() if len(lines) > 7 else "")
    except (OSError, ValueError, IndexError):
        return None


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_zombie(pid)


def _is_zombie(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return text.rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def is_server(pid, datadir):
    """Whether a process is the server of this data directory: that is where it works."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") == os.path.realpath(datadir)
    except OSError:
        return False


def running(datadir):
    """The process of the server, when it runs."""
    found = recorded(datadir)
    return found[0] if found and is_running(found[0]) and is_server(found[0], datadir) else None


def keeper(datadir):
    """The process that keeps the server, when there is one. It outlives the server for a change of role."""
    try:
        file = os.open(pathlib.Path(datadir) / "gaussdb.keeper", os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except OSError:
        return int(os.read(file, 20) or b"0") or None
    finally:
        os.close(file)


def state(datadir):
    """The state file. The real one is binary, and nobody but gs_ctl reads it either."""
    try:
        return json.loads((pathlib.Path(datadir) / "gaussdb.state").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def change_state(datadir, **values):
    conf.replace(pathlib.Path(datadir) / "gaussdb.state", json.dumps({**state(datadir), **values}))


def last_mode(datadir):
    """The role of the last start, from `postmaster.opts`; a server that was started without one was Normal."""
    try:
        text = (pathlib.Path(datadir) / "postmaster.opts").read_text(encoding="utf-8")
    except OSError:
        return "normal"
    match = re.search(r'"-M" "(\w+)"', text)
    return match.group(1) if match else "normal"


def remember_mode(datadir, mode):
    role = "" if mode == "normal" else f' "-M" "{mode}"'
    conf.replace(pathlib.Path(datadir) / "postmaster.opts", f'{place.home()}/bin/gaussdb "-D" "{datadir}"{role}\n')


def connect(datadir, dbname="postgres", seconds=5):
    """A connection as the tools make it: the socket, the owner of the server."""
    if place.fault("refuse-connections") is not None:
        raise Refused("FATAL:  the database system is starting up\n")
    try:
        connection = psycopg2.connect(
            host=place.SOCKETS, port=conf.port(datadir), user="omm", dbname=dbname, connect_timeout=seconds,
            application_name="gauss-shim", options="-c idle_session_timeout=0 -c lock_timeout=0")
    except psycopg2.Error as error:
        # Only the tool's own log file shows what libpq says.
        print(error, file=sys.stderr, flush=True)
        raise Refused(str(error)) from error
    connection.autocommit = True
    return connection


def rows(connection, sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


def ask(datadir, sql, *values):
    """One question; its rows, or nothing where nobody answers."""
    try:
        connection = connect(datadir)
    except Refused:
        return None
    try:
        return rows(connection, sql, *values)
    except psycopg2.Error as error:
        print(error, file=sys.stderr)
        return None
    finally:
        connection.close()


def role(datadir):
    """Role and state of the server: ("Primary", "Normal"); nothing where nobody answers."""
    found = ask(datadir, "select local_role, db_state from pg_stat_get_stream_replications()")
    return tuple(found[0]) if found else None


def start(datadir, mode, logfile=None):
    """Starts the process that starts the server and stays with it."""
    words = [str(KEEPER), str(datadir), mode, logfile or ""]
    null = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=null, stdout=null, stderr=null, start_new_session=True, cwd="/")


def stop(pid, mode):
    os.kill(pid, {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])


def lsn(text):
    """`16/B374D848` as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def control(datadir, key):
    """A value of the control file."""
    words = [place.POSTGRES / "pg_controldata", "-D", str(datadir)]
    text = subprocess.run(words, capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith(key + ":"))


def is_locked(datadir):
    """Whether a gs_ctl works on this data directory."""
    try:
        file = os.open(pathlib.Path(datadir) / "pg_ctl.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(file)
