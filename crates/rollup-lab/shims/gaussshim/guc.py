"""gs_guc: changes settings in the file, and tells the server."""

import getopt
import os
import pathlib
import signal
import subprocess
import time

from . import conf, place, server


def known_names():
    """Names of PostgreSQL and of openGauss."""
    words = [place.POSTGRES / "postgres", "--describe-config"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {line.split("\t")[0].lower() for line in text.splitlines()} | set(conf.OWN) | set(conf.SAME)


def main(words):
    place.version_option(words)
    place.refuse_root()
    place.keep_stderr()
    try:
        found, rest = getopt.gnu_getopt(words, "D:c:h:N:I:Z:", ["lcname=", "ignore-node="])
    except getopt.GetoptError as error:
        place.say(f"gs_guc: {error}\nTry \"gs_guc --help\" for more information.")
        return 1
    verb = rest[0] if rest else ""
    given = dict(found)
    datadir = (given.get("-D") or os.environ.get("PGDATA", "")).rstrip("/")
    changes = [value for key, value in found if key == "-c"]
    rules = [value for key, value in found if key == "-h"]
    if verb not in ("set", "reload", "check") or len(rest) != 1 or not datadir or not changes + rules:
        place.say('gs_guc: wrong command line\nTry "gs_guc --help" for more information.')
        return 1
    place.say(f"The gs_guc run with the following arguments: [gs_guc {' '.join(words)} ].")
    file = pathlib.Path(datadir) / "postgresql.conf"
    if not file.exists():
        # It counts the instances that failed, of those that it found.
        place.say("\n\nTotal instances: 0. Failed instances: 0.\nSuccess to perform gs_guc!\n")
        return 0
    place.say(f"expected instance path: [{file}]")
    if verb == "check":
        return check(file, datadir, changes)
    for change in changes:
        name = change.partition("=")[0].strip().lower()
        if name not in known_names():
            place.say(f"ERROR: The name of parameter {name} is incorrect, please check if the parameter is in the "
                      "required parameter list.")
            return 1
    for change in changes:
        name, _, value = change.partition("=")
        name, value = name.strip().lower(), value.strip()
        text = file.read_text(encoding="utf-8")
        if value:
            conf.replace(file, conf.changed(text, name, value))
        place.say(f"gs_guc {verb}: {name}={value}: [{file}]")
    for rule in rules:
        hba = pathlib.Path(datadir) / "pg_hba.conf"
        conf.replace(hba, hba.read_text(encoding="utf-8").rstrip("\n") + f"\n{rule}\n")
        place.say(f"gs_guc {verb}: {rule}: [{hba}]")
    return ended(verb == "set" or tell(datadir))


def tell(datadir):
    """Whether the server could be told; it needs a moment to act on it."""
    keeper = server.keeper(datadir)
    if not keeper or not server.running(datadir):
        place.say(f' PID file "{datadir}/postmaster.pid" does not exist.\nIs server running?')
        return False
    os.kill(keeper, signal.SIGHUP)
    time.sleep(0.2)
    place.say("server signaled")
    return True


def ended(well):
    place.say("")
    place.say(f"Total instances: 1. Failed instances: {0 if well else 1}.")
    place.say("Success to perform gs_guc!" if well else "Failure to perform gs_guc!")
    place.say("")
    return 0 if well else 1


def check(file, datadir, changes):
    values, host = conf.settings(datadir), os.uname().nodename
    for change in changes:
        name = change.partition("=")[0].strip().lower()
        value = values.get(name, "NULL")
        place.say(f"gs_guc check: {host}: {name}={value}: [{file}]")
    place.say("")
    place.say("Total GUC values: 1. Failed GUC values: 0.")
    return 0
