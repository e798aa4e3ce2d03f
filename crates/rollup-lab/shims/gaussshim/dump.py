"""gs_dump, gs_dumpall and gs_restore over the tools of PostgreSQL 15: their messages, and what they say about success."""

import datetime
import getopt
import os
import pathlib
import re
import subprocess
import sys
import time

from . import place

# Lines of a plain dump that a server of 9.2 does not know.
LATER = re.compile(
    r"^(SET (lock_timeout|idle_in_transaction_session_timeout|row_security|default_table_access_method)\b.*;"
    r"|SELECT pg_catalog\.set_config\('search_path'.*)\n", re.MULTILINE)


def options(words, short, long):
    try:
        found, rest = getopt.gnu_getopt(words, short, long)
    except getopt.GetoptError as error:
        place.say(f"{place.TOOL[0]}: {error}\nTry \"{place.TOOL[0]} --help\" for more information.")
        place.end(1)
    return found, rest


def total(began):
    return f"total time: {int(1000 * (time.monotonic() - began))}  ms"


def main(words):
    place.version_option(words)
    place.keep_stderr()
    return {"gs_dump": dump, "gs_dumpall": dumpall, "gs_restore": restore}[place.TOOL[0]](words)


def connection(given):
    """The words that say where the server is."""
    port = given.get("-p") or given.get("--port") or os.environ.get("PGPORT", "5432")
    if "-W" in given:
        os.environ["PGPASSWORD"] = given["-W"]
    where = ["-h", given.get("-h") or given.get("--host") or place.SOCKETS, "-p", port, "-w"]
    user = given.get("-U") or given.get("--username")
    return port, where + (["-U", user] if user else [])


def is_standby(where):
    words = [place.POSTGRES / "psql", *where, "-d", "postgres", "-XAtc", "select pg_is_in_recovery()"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    return {"t": True, "f": False}.get(done.stdout.strip())


DUMP_SHORT = "f:F:h:p:U:W:j:n:N:t:T:asScCOxvZ:b"
DUMP_LONG = ["file=", "format=", "host=", "port=", "username=", "lock-wait-timeout=", "dont-overwrite-file", "data-only",
             "schema-only", "clean", "create", "no-owner", "no-privileges", "schema=", "table=", "exclude-table=",
             "include-alter-table", "non-lock-table", "jobs=", "compress=", "column-inserts", "inserts"]


def dump(words):
    found, rest = options(words, DUMP_SHORT, DUMP_LONG)
    given, began = dict(found), time.monotonic()
    name = rest[0] if rest else os.environ.get("PGDATABASE", "postgres")
    port, where = connection(given)

    def said(text):
        moment = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        place.say(f"gs_dump[port='{port}'][{name}][{moment}]: {text}")

    standby = is_standby(where)
    if standby is None:
        place.say(f"gs_dump: could not connect to database {name}")
        return 1
    if standby:
        said("gs_dump is not supported on standby or cascade standby")
        return 1
    file = given.get("-f") or given.get("--file")
    if file and os.path.exists(file) and "--dont-overwrite-file" in given:
        said("Dump File specified already exists.")
        return 0
    if place.release() >= (6,):
        said("Begin scanning database. ")
        said("Finish scanning database. ")
        said("Start dumping objects ")
    shape = {"p": "p", "plain": "p", "c": "c", "custom": "c", "d": "d", "directory": "d", "t": "t", "tar": "t"}.get(
        given.get("-F") or given.get("--format") or "p", "p")
    own = {"--dont-overwrite-file", "--include-alter-table", "--non-lock-table", "-W", "-f", "--file", "-h", "-p", "-U",
           "--host", "--port", "--username", "-F", "--format"}
    passed = [word for key, value in found if key not in own
              for word in ([f"{key}={value}"] if key.startswith("--") and value else [key, value] if value else [key])]
    to_file = ["-f", file] if file and shape != "p" else []
    command = [place.POSTGRES / "pg_dump", *where, *passed, "-F", shape, *to_file, name]
    done = subprocess.run(command, capture_output=True, check=False)
    sys.stderr.write(done.stderr.decode("utf-8", "replace"))
    if done.returncode:
        said("dump database failed: " + done.stderr.decode("utf-8", "replace").strip().partition("\n")[0])
        return 1
    if shape == "p":
        text = LATER.sub("", done.stdout.decode("utf-8"))
        # Without a file the dump and the messages are one stream.
        pathlib.Path(file).write_text(text, encoding="utf-8") if file else place.say(text, end="")
    elif not file:
        sys.stdout.flush()
        sys.stdout.buffer.write(done.stdout)
    if place.release() >= (6,):
        said("Finish dumping objects ")
    said(f"dump database {name} successfully")
    said(total(began))
    return 0


def dumpall(words):
    found, _ = options(words, "f:h:p:U:W:grtascOxv", ["file=", "globals-only", "roles-only", "host=", "port=", "username="])
    given, began = dict(found), time.monotonic()
    port, where = connection(given)
    own = {"-f", "--file", "-h", "-p", "-U", "-W", "--host", "--port", "--username"}
    passed = [key for key, _ in found if key not in own]
    moment = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    prefix = f"gs_dumpall[port='{port}'][{moment}]: "
    if is_standby(where) is not False:
        place.say(prefix + "gs_dumpall is not supported on standby or cascade standby")
        return 1
    done = subprocess.run([place.POSTGRES / "pg_dumpall", *where, *passed], capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    if done.returncode:
        place.say(prefix + "dumpall operation failed")
        return 1
    file, text = given.get("-f") or given.get("--file"), LATER.sub("", done.stdout)
    pathlib.Path(file).write_text(text, encoding="utf-8") if file else place.say(text, end="")
    place.say(prefix + "dumpall operation successful")
    place.say(prefix + total(began))
    return 0


def restore(words):
    long = ["exit-on-error", "clean", "create", "dbname=", "jobs=", "host=", "port=", "username=", "data-only",
            "schema-only", "list", "no-owner", "if-exists"]
    found, rest = options(words, "d:h:p:U:W:j:F:n:t:T:acCesOxvl1L:f:", long)
    given, began = dict(found), time.monotonic()
    _, where = connection(given)
    own = {"-h", "-p", "-U", "-W", "--host", "--port", "--username"}
    passed = [word for key, value in found if key not in own for word in ([key, value] if value else [key])]
    lists = "-l" in given or "--list" in given
    command = [place.POSTGRES / "pg_restore", *([] if lists else where), *passed, *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    if lists:
        return done.returncode
    errors = re.search(r"errors ignored on restore: (\d+)", done.stderr)
    if errors:
        place.say(f"WARNING: errors ignored on restore: {errors.group(1)}")
    elif done.returncode:
        place.say(done.stderr.strip().partition("\n")[0].replace("pg_restore", "gs_restore"))
    # Said in any case.
    place.say("restore operation successful")
    place.say(total(began))
    return 1 if done.returncode else 0
