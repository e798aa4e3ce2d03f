"""gs_ctl: its verbs, its texts and its exit codes, the misleading ones included."""

import fcntl
import getopt
import os
import pathlib
import signal
import socket
import time

from . import build, conf, place, query, server

# What `-M` may be.
MODES = ("primary", "standby", "cascade_standby", "pending", "normal")
# A held lock is no error for these two, says gs_ctl.
LENIENT = ("start", "restart")


class Options:
    def __init__(self, words):
        try:
            found, rest = getopt.gnu_getopt(words, "D:M:m:t:b:l:T:r:U:P:o:Z:wWsfqcC:L:N:k:", ["help", "pgdata="])
        except getopt.GetoptError as error:
            place.log(str(error))
            place.log('Try "gs_ctl --help" for more information.')
            place.end(1)
        given = dict(found)
        self.datadir = (given.get("-D") or given.get("--pgdata") or os.environ.get("PGDATA") or "").rstrip("/")
        self.mode = given.get("-M")
        self.shutdown = {"f": "fast", "i": "immediate"}.get(given.get("-m", "fast"), given.get("-m", "fast"))
        self.seconds = int(given.get("-t", "60"))
        self.wait = "-W" not in given
        self.build = given.get("-b", "auto")
        self.logfile = given.get("-l")
        self.term = given.get("-T", "1")
        self.start_after = "-q" not in given
        self.verb = rest[0] if rest else None
        if len(rest) != 1 or (self.mode and self.mode not in MODES):
            wrong = f"unrecognized mode \"{self.mode}\"" if len(rest) == 1 else "no operation specified"
            place.log(wrong)
            place.log('Try "gs_ctl --help" for more information.')
            place.end(1)
        if self.shutdown not in ("fast", "immediate"):
            place.log(f' unrecognized shutdown mode "{self.shutdown}"')
            place.end(1)
        if not self.datadir:
            place.log("no database directory specified and environment variable PGDATA unset")
            place.end(1)


def locked(options, work):
    """Runs a verb unless another gs_ctl works on the same directory."""
    path = pathlib.Path(options.datadir) / "pg_ctl.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        place.log(f" could not open lock file {path}: {error.strerror}")
        return 1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = place.fault("ctl-lock") is not None
    except OSError:
        held = True
    if held:
        place.log(f"Another gs_ctl command is still running,{options.verb} failed !")
        return 0 if options.verb in LENIENT else 1
    return work(options)


def start(options, title=True):
    datadir = options.datadir
    if title:
        place.log(f"gs_ctl started,datadir is {datadir} ")
    if server.running(datadir) or server.keeper(datadir):
        place.log(" another server might be running; Please use the restart command")
        return 0
    return launch(options, options.mode or "normal")


def launch(options, mode):
    """Starts the server and waits; shows its first words where they have no file to go to."""
    datadir = options.datadir
    log = options.logfile and os.path.abspath(options.logfile)
    own = place.server_log()
    shown = own.stat().st_size if own.exists() else 0
    keeper = server.start(datadir, mode, log)
    place.log("waiting for server to start...")
    if not options.wait:
        return 0
    began, dots, answer = time.monotonic(), 0, ""
    while time.monotonic() - began < options.seconds:
        if time.monotonic() - began >= dots:
            place.say(".", end="")
            dots += 1
        answer = (server.recorded(datadir) or (0, ""))[1] if server.running(datadir) else ""
        # A standby whose primary is away may never be open for questions; it counts as started all the same.
        if answer == "ready" or (answer == "standby" and time.monotonic() - began > 5):
            break
        answer = ""
        if keeper.poll() is not None:
            break
        time.sleep(0.05)
    place.say("")
    if not log and own.exists():
        with open(own, "rb") as noise:
            noise.seek(shown)
            place.say(noise.read().decode("utf-8", "replace"), end="")
    if answer:
        place.log(" done")
        place.log(f"server started ({datadir})")
        return 0
    if keeper.poll() is None:
        place.log("server is still starting up")
        return 0
    place.log(" stopped waiting")
    place.log("could not start server")
    place.log("Examine the log output.")
    return 1


def stop(options):
    datadir = options.datadir
    place.log(f"gs_ctl stopped ,datadir is {datadir} ")
    pid, keeper = server.running(datadir), server.keeper(datadir)
    if not pid and not keeper:
        place.log(f' PID file "{datadir}/postmaster.pid" does not exist.')
        place.log("Is server running?")
        return 1
    if pid:
        server.stop(pid, options.shutdown)
    else:
        # Between two roles the server has no process of its own.
        os.kill(keeper, signal.SIGTERM)
    if not options.wait:
        place.say("server shutting down")
        return 0
    place.say("waiting for server to shut down", end="")
    place.say("....", end="")
    if place.until(options.seconds, lambda: not server.running(datadir) and not server.keeper(datadir), 0.05):
        place.say(" done\nserver stopped")
        return 0
    place.say(" failed")
    place.log(f" server does not shut down ({datadir})")
    return 1


def restart(options):
    mode = options.mode or server.last_mode(options.datadir)
    place.log(f"gs_ctl restarted ,datadir is {options.datadir} ")
    if server.running(options.datadir) or server.keeper(options.datadir):
        stop(options)
    else:
        place.log(f' PID file "{options.datadir}/postmaster.pid" does not exist.')
        place.log("Is server running?")
        place.log("starting server anyway")
    return launch(options, mode)


def reload(options):
    keeper, pid = server.keeper(options.datadir), server.running(options.datadir)
    if not keeper or not pid:
        place.log(f' PID file "{options.datadir}/postmaster.pid" does not exist.')
        place.log("Is server running?")
        return 1
    os.kill(keeper, signal.SIGHUP)
    place.log("server signaled")
    return 0


def switchover(options):
    datadir = options.datadir
    place.log(f"gs_ctl switchover ,datadir is {datadir} ")
    pid = server.running(datadir)
    if not pid:
        place.log(f' PID file "{datadir}/postmaster.pid" does not exist.')
        place.log("Is server running?")
        return 1
    place.log(f"switchover term ({options.term})")
    role = server.role(datadir)
    if role and role[0] == "Primary":
        place.log(f"switchover completed ({datadir})")
        return 0
    if not role or role[0] not in ("Standby", "Cascade Standby"):
        place.log(f" switchover failed: the local server runs as {role[0] if role else 'Unknown'}, expected Standby")
        return 1
    (pathlib.Path(datadir) / "switchover").write_text(options.shutdown, encoding="utf-8")
    place.log("waiting for server to switchover...", end="")
    if not options.wait:
        place.say("")
        return 0
    began, dots, done = time.monotonic(), 0, False
    while not done and time.monotonic() - began < options.seconds:
        if time.monotonic() - began >= dots:
            place.say(".", end="")
            dots += 1
        time.sleep(0.05)
        done = server.role(datadir) == ("Primary", "Normal")
    if done:
        place.say("")
        place.log("done")
        place.log(f"switchover completed ({datadir})")
        return 0
    # The request stands: the switchover goes on, and this is no error.
    advice = " or backtrack log." if place.release() >= (6,) else "."
    place.say("")
    place.log(f"\n switchover timeout after {options.seconds} seconds. "
              f"please manually check the cluster status{advice}")
    if place.release() >= (6,):
        place.log(f"create switchover_timeout_file to (PID: {pid})")
        place.log(f"send SIGUSR1 signal to (PID: {pid})")
    return 0


def promote(datadir):
    """Asks the server itself; whether it is a primary afterwards."""
    try:
        with socket.create_connection(("127.0.0.1", conf.port(datadir) + 1), timeout=120) as stream:
            stream.sendall(b'{"ask": "promote"}\n')
            stream.makefile().readline()
    except OSError:
        return False
    return bool(place.until(10, lambda: server.role(datadir) == ("Primary", "Normal")))


def failover(options):
    datadir = options.datadir
    place.log(f"gs_ctl failover ,datadir is {datadir} ")
    if not server.running(datadir):
        place.log(f' PID file "{datadir}/postmaster.pid" does not exist.')
        place.log("Is server running?")
        return 1
    place.log(f"failover term ({options.term})")
    place.log(" waiting for server to failover...")
    role = server.role(datadir)
    if role and role[0] == "Primary" or role and role[0] in ("Standby", "Cascade Standby") and promote(datadir):
        place.say(".")
        place.log(" done")
        place.log(f" failover completed ({datadir})")
        return 0
    place.log(f" failover failed ({datadir})")
    return 1


def notify(options):
    datadir, wanted = options.datadir, options.mode
    place.log(f"gs_ctl notify ,datadir is {datadir} ")
    role = server.role(datadir)
    allowed = {"Pending": ("primary", "standby", "cascade_standby"), "Normal": ("primary",)}
    if not role or wanted not in allowed.get(role[0], ()):
        place.log(f" notify failed: the local server runs as {role[0] if role else 'Unknown'}")
        return 1
    place.log("waiting for server to response...")
    if role[0] == "Pending" and wanted == "primary":
        done = promote(datadir)
    else:
        # The real server changes its mode while it runs; this one starts anew.
        server.stop(server.running(datadir), "fast")
        place.until(options.seconds, lambda: not server.keeper(datadir))
        server.start(datadir, wanted)
        done = place.until(options.seconds, lambda: (server.role(datadir) or ("",))[0] == server.ROLES[wanted])
    if not done:
        place.log("notify server failed")
        return 1
    place.say(".")
    place.log("done")
    place.log(f"notify server completed, mode change to {server.ROLES[wanted]}")
    return 0


def run_build(options):
    return build.run(options, stop, launch)


VERBS = {"reload": reload, "stop": stop, "notify": notify}
LOCKED = {"start": start, "restart": restart, "switchover": switchover, "failover": failover, "build": run_build}
ASK = {"query": query.query, "querybuild": query.querybuild, "status": query.status}


def main(words):
    place.version_option(words)
    place.refuse_root()
    place.keep_stderr()
    options = Options(words)
    if options.verb in ASK:
        return ASK[options.verb](options.datadir)
    if options.verb in LOCKED:
        return locked(options, LOCKED[options.verb])
    if options.verb in VERBS:
        return VERBS[options.verb](options)
    place.log(f'unrecognized operation mode "{options.verb}"')
    place.log('Try "gs_ctl --help" for more information.')
    return 1
