"""Where things are on a node, which release is played, which faults are wanted, and how the tools speak."""

import datetime
import fcntl
import json
import os
import pathlib
import sys
import time

SHIM = pathlib.Path(__file__).resolve().parent.parent
FAULTS = pathlib.Path("/run/rollup-lab/gauss")
POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")
SOCKETS = os.environ.get("PGHOST") or "/opt/huawei/tmp"

TOOL = ["gs_ctl"]
# The node as log lines name it: empty but for builds.
NODE = [""]


def fault(name):
    """The text of a wanted fault; empty where the file is empty, nothing where there is none."""
    try:
        return (FAULTS / name).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def product():
    """What is installed: `engine`, `version`, `build`. A test may play another release."""
    found = json.loads((SHIM / "product.json").read_text(encoding="utf-8"))
    found["version"] = fault("version") or found["version"]
    return found


def release():
    """The release as numbers: (6, 0) for 6.0.0. GaussDB 505 and later are younger than all of openGauss."""
    words = product()["version"].replace("-", ".").split(".")
    return tuple(int(word) for word in words if word.isdigit())


def commercial():
    return product()["engine"] == "gaussdb"


def name_and_build():
    """What stands in the parentheses of every version text."""
    found = product()
    name = "GaussDB Kernel" if commercial() else "openGauss"
    return f"{name} {found['version']} build {found['build']}"


def compiled():
    if commercial():
        return "compiled at 2025-07-03 01:16:00 commit 10558 last mr 24271 release"
    return "compiled at 2024-03-31 11:59:31 commit 0 last mr  "


def home():
    """The installed program, `$GAUSSHOME`."""
    return pathlib.Path(os.environ.get("GAUSSHOME") or "/opt/huawei/install/app")


def cluster():
    """The nodes as whoever installed them wrote it down: id, name, ip, port, instance, datadir, part."""
    return json.loads((home() / "bin" / "cluster_static_config").read_text(encoding="utf-8"))


def own_node():
    name = os.uname().nodename
    return next(node for node in cluster()["nodes"] if node["name"] == name)


def peers():
    name = os.uname().nodename
    return [node for node in cluster()["nodes"] if node["name"] != name]


def now():
    moment = datetime.datetime.now()
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"


def say(text, end="\n"):
    """Prints to standard output, at once: whoever reads over ssh sees it as it comes."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def log(text, end="\n"):
    """A log line. The real tools write these to standard output."""
    say(f"[{now()}][{os.getpid()}][{NODE[0]}][{TOOL[0]}]: {text}", end)


def end(code):
    sys.stdout.flush()
    sys.exit(code)


def refuse_root():
    if os.geteuid() == 0:
        log(" cannot be run as root")
        end(1)


def keep_stderr():
    """Sends standard error into the tool's own log file, as the real tools do where `GAUSSLOG` is set."""
    logs = os.environ.get("GAUSSLOG")
    if not logs:
        return
    directory = pathlib.Path(logs) / "bin" / TOOL[0]
    directory.mkdir(parents=True, exist_ok=True)
    if release() >= (6,):
        lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = fault("log-lock") is not None
        except OSError:
            held = True
        if held:
            say(f"another {TOOL[0]} command is running, init_log failed!")
            end(1)
        os.close(lock)
    if fault("chatter") is not None:
        say("log file count 51, exceeds 50, remove the oldest ones")
    name = f"{TOOL[0]}-{datetime.datetime.now().strftime('%Y-%m-%d_%H%M%S')}-current.log"
    kept = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(kept, 2)
    os.close(kept)


def server_log():
    """Where a server writes that nobody gave a file."""
    return pathlib.Path(os.environ.get("GAUSSLOG", "/tmp")) / "pg_log" / f"dn_{own_node()['instance']}" / "postgresql.log"


def until(seconds, done, every=0.1):
    """Polls until `done` answers something true; that, or nothing when the time is over."""
    limit = time.monotonic() + seconds
    while True:
        found = done()
        if found or time.monotonic() >= limit:
            return found
        time.sleep(every)


def version_option(words):
    """Answers `-V` and `--version`."""
    if words[:1] in (["-V"], ["--version"]):
        say(f"{TOOL[0]} ({name_and_build()}) {compiled()}")
        end(0)
