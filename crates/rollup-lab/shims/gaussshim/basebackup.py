"""gs_basebackup over the one of PostgreSQL 15."""

import getopt
import os
import re
import subprocess
import sys

from . import conf, place

SHORT = "D:F:X:xPc:t:h:p:U:W:l:zZ:vwr:s:T:"
LONG = ["pgdata=", "format=", "xlog-method=", "progress", "checkpoint=", "host=", "port=", "username=", "label=", "verbose"]


def main(words):
    place.version_option(words)
    place.keep_stderr()
    try:
        found, _ = getopt.gnu_getopt(words, SHORT, LONG)
    except getopt.GetoptError as error:
        place.say(f"gs_basebackup: {error}\nTry \"gs_basebackup --help\" for more information.")
        return 1
    letters = {"--pgdata": "-D", "--format": "-F", "--xlog-method": "-X", "--checkpoint": "-c", "--host": "-h",
               "--port": "-p", "--username": "-U", "--label": "-l"}
    given = {letters.get(key, key): value for key, value in found}
    target, shape = given.get("-D"), given.get("-F", "p")[:1]
    stream = given.get("-X", "stream")
    if not target:
        place.say("gs_basebackup: no target directory specified\nTry \"gs_basebackup --help\" for more information.")
        return 1
    if shape == "t" and stream == "stream":
        place.say("gs_basebackup: wal streaming can only be used in plain mode\n"
                  "Try \"gs_basebackup --help\" for more information.")
        return 1
    if os.path.isdir(target) and os.listdir(target):
        place.say(f'gs_basebackup: directory "{target}" exists but is not empty')
        return 1
    port = given.get("-p") or os.environ.get("PGPORT", "5432")
    if "-W" in given:
        os.environ["PGPASSWORD"] = given["-W"]
    command = [place.POSTGRES / "pg_basebackup", "-D", target, "-F", shape, "-X", stream, "-p", port, "-w", "-v",
               "--no-manifest", "--no-sync", "-c", given.get("-c", "spread"), "-h", given.get("-h") or place.SOCKETS, "-U",
               given.get("-U", "omm")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    if done.returncode:
        place.say("gs_basebackup: could not connect to server." if "connection to server" in done.stderr
                  else "gs_basebackup: base backup failed")
        return 1
    start = re.search(r"start point: ([0-9A-F]+/[0-9A-F]+)", done.stderr)
    start = start.group(1) if start else "0/0"
    place.say(f"INFO:  The starting position of the xlog copy of the full build is: {start}. The slot minimum LSN is: 0/0. "
              "The disaster slot minimum LSN is: 0/0. The logical slot minimum LSN is: 0/0.")
    place.log("begin build tablespace list")
    place.log("finish build tablespace list")
    if shape == "p":
        place.log("begin get xlog by xlogstream")
        place.log("starting background WAL receiver")
    place.say("gs_basebackup: base backup successfully")
    if shape == "p":
        own_of_the_server(target)
    return 0


def own_of_the_server(target):
    """What belongs to a running server and not to a copy of its data."""
    for name in ("gaussdb.keeper", "gaussdb.state", "pg_ctl.lock", conf.UNDERLYING, "standby.signal"):
        try:
            os.remove(os.path.join(target, name))
        except FileNotFoundError:
            continue
