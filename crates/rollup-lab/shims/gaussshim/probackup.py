"""gs_probackup: a catalogue of full backups, each with the checksums of its files."""

import datetime
import getopt
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import zlib

import psycopg2

from . import basebackup, conf, place, server

LONG = ["instance=", "format=", "no-validate", "backup-path=", "pgdata=", "backup-mode=", "backup-id=", "threads=",
        "stream", "no-sync", "archive", "dbname=", "pgdatabase=", "pgport=", "pghost=", "pguser=", "external-dirs=",
        "remote-proto=", "skip-block-validation", "progress", "compress", "temp-slot", "slot=", "log-level-console="]
NAMES = {"--backup-path": "-B", "--pgdata": "-D", "--backup-mode": "-b", "--backup-id": "-i", "--threads": "-j",
         "--dbname": "-d", "--pgdatabase": "-d", "--pgport": "-p", "--pghost": "-h", "--pguser": "-U",
         "--external-dirs": "-E"}
PROGRAM = "2.4.2"


class Failed(Exception):
    pass


def say(level, text):
    sys.stderr.write(f"{level}: {text}\n")
    sys.stderr.flush()


def base36(number):
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest] + digits
    return digits


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S+00")


def main(words):
    if words[:1] in (["version"], ["-V"], ["--version"]):
        place.say(f"gs_probackup {PROGRAM} ({place.name_and_build()})")
        return 0
    try:
        found, rest = getopt.gnu_getopt(words, "B:D:b:d:p:h:U:W:i:j:E:wXxC", LONG)
    except getopt.GetoptError as error:
        say("ERROR", str(error))
        return 1
    given = {NAMES.get(key, key): value for key, value in found}
    verbs = {"init": init, "add-instance": add_instance, "backup": backup, "validate": validate, "show": show,
             "restore": restore, "delete": delete}
    if len(rest) != 1 or rest[0] not in verbs:
        say("ERROR", f"Unknown subcommand \"{' '.join(rest)}\"")
        return 1
    if os.geteuid() == 0:
        say("ERROR", "cannot be executed as \"root\"")
        return 1
    if "-B" not in given:
        say("ERROR", "required parameter not specified: BACKUP_PATH (-B, --backup-path)")
        return 1
    if rest[0] not in ("init", "show") and "--instance" not in given:
        say("ERROR", "required parameter not specified: --instance")
        return 1
    try:
        return verbs[rest[0]](given) or 0
    except Failed as error:
        say("ERROR", str(error))
        return 1


def init(given):
    root = pathlib.Path(given["-B"])
    if root.exists() and any(root.iterdir()):
        raise Failed("backup catalog already exist and it's not empty")
    for part in ("backups", "wal"):
        (root / part).mkdir(parents=True, exist_ok=True)
    say("INFO", f"Backup catalog '{root}' successfully inited")


def add_instance(given):
    instance, root = given["--instance"], pathlib.Path(given["-B"])
    directory = root / "backups" / instance
    if not (root / "backups").is_dir():
        raise Failed(f"backup catalog '{root}' does not exist")
    if directory.exists():
        raise Failed(f"Instance '{instance}' backup directory already exists")
    if "-D" not in given:
        raise Failed("Required parameter not specified: PGDATA (-D, --pgdata)")
    directory.mkdir()
    (root / "wal" / instance).mkdir(exist_ok=True)
    (directory / "pg_probackup.conf").write_text(f"pgdata = {given['-D']}\n", encoding="utf-8")
    say("INFO", f"Instance '{instance}' successfully inited")


def instance_of(given):
    directory = pathlib.Path(given["-B"]) / "backups" / given["--instance"]
    if not directory.is_dir():
        raise Failed(f"Instance '{given['--instance']}' does not exist in this backup catalog")
    return directory


def records(directory):
    found = sorted(directory.glob("*/backup.control"), reverse=True)
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def write_record(directory, record):
    conf.replace(directory / record["id"] / "backup.control", json.dumps(record))


def wanted(given):
    directory = instance_of(given)
    for record in records(directory):
        if "-i" not in given or record["id"] == given["-i"]:
            return directory, record
    which = f"Requested backup {given['-i']}" if "-i" in given else "Backup satisfying target options"
    raise Failed(f"{which} is not found.")


def backup(given):
    directory = instance_of(given)
    if given.get("-b", "").upper() not in ("FULL", "PTRACK"):
        raise Failed("required parameter not specified: BACKUP_MODE (-b, --backup-mode)")
    if given["-b"].upper() == "PTRACK":
        raise Failed("this stand-in takes full backups only")
    began = time.time()
    known = {record["id"] for record in records(directory)}
    name = base36(int(began))
    while name in known:
        time.sleep(0.2)
        name = base36(int(time.time()))
    place_of = {"host": given.get("-h") or place.SOCKETS, "port": given.get("-p") or os.environ.get("PGPORT", "5432"),
                "user": given.get("-U", "omm"), "dbname": given.get("-d", "postgres")}
    try:
        connection = psycopg2.connect(connect_timeout=5, **place_of)
        connection.autocommit = True
        from_replica = server.rows(connection, "select pg_is_in_recovery()")[0][0]
    except psycopg2.Error as error:
        raise Failed(f"could not connect to database {place_of['dbname']}: {error}") from error
    say("INFO", f"Backup start, gs_probackup version: {PROGRAM}, backup ID: {name}, backup mode: FULL, wal mode: STREAM, "
                f"remote: false, compress-algorithm: none, compress-level: 1")
    if from_replica:
        say("INFO", f"Backup {name} is going to be taken from standby")
    record = {"id": name, "status": "RUNNING", "start": began, "from-replica": from_replica}
    (directory / name).mkdir()
    write_record(directory, record)
    target = directory / name / "database"
    command = [place.POSTGRES / "pg_basebackup", "-D", target, "-X", "stream", "-c", "fast", "-w", "-v",
               "--no-manifest", "--no-sync", "-h", place_of["host"], "-p", place_of["port"], "-U", place_of["user"]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        write_record(directory, {**record, "status": "ERROR"})
        say("WARNING", f"backup in progress, stop backup: {done.stderr.strip().splitlines()[-1]}")
        raise Failed("Data files transferring failed")
    basebackup.own_of_the_server(target)
    say("INFO", "Data files are transferred")
    files, size = checksums(target)
    (directory / name / "backup_content.control").write_text(json.dumps(files), encoding="utf-8")
    label = (target / "backup_label").read_text(encoding="utf-8")
    record.update({
        "status": "DONE", "end": time.time(), "size": size, "crc": zlib.crc32(json.dumps(files).encode()),
        "start-lsn": label.partition("START WAL LOCATION: ")[2].split(" ")[0],
        "stop-lsn": next((line.rpartition(" ")[2] for line in done.stderr.splitlines() if "end point" in line), "0/0"),
        "tli": server.rows(connection, "select timeline_id from pg_control_checkpoint()")[0][0],
        "xid": server.rows(connection, "select coalesce(txid_snapshot_xmax(txid_current_snapshot()), 0)")[0][0],
        "wal": sum(file.stat().st_size for file in (target / "pg_wal").glob("0*")),
    })
    connection.close()
    write_record(directory, record)
    if "--no-validate" not in given:
        say("INFO", f"Validating backup {name}")
        check(directory, record)
    say("INFO", f"Backup {name} resident size: {size // 1048576}MB")
    say("INFO", f"Backup {name} completed")


def checksums(target):
    """SHA-256 of every file, and the size of all."""
    found, size = {}, 0
    for path in sorted(target.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found[str(path.relative_to(target))] = hashlib.sha256(content).hexdigest()
            size += len(content)
    return found, size


def check(directory, record):
    """Reads everything back; whether it is what was written."""
    files = json.loads((directory / record["id"] / "backup_content.control").read_text(encoding="utf-8"))
    found, _ = checksums(directory / record["id"] / "database")
    name = record["id"]
    if files == found:
        say("INFO", f"Backup {name} data files are valid")
        write_record(directory, {**record, "status": "OK"})
        return True
    for path in sorted(path for path in files if files[path] != found.get(path)):
        say("WARNING", f"Backup file \"{directory / name / 'database' / path}\" " +
            ("is not found" if path not in found else "has invalid checksum"))
    say("WARNING", f"Backup {name} data files are corrupted")
    write_record(directory, {**record, "status": "CORRUPT"})
    return False


def validate(given):
    if "-i" in given:
        directory, record = wanted(given)
        chosen = [record]
    else:
        directory = instance_of(given)
        chosen = records(directory)
    good = True
    for record in chosen:
        say("INFO", f"Validating backup {record['id']}")
        usable = record["status"] in ("OK", "DONE", "CORRUPT")
        if not usable:
            say("WARNING", f"Backup {record['id']} has status {record['status']}. Skip validation.")
        good = usable and check(directory, record) and good
    if not good:
        say("WARNING", "Some backups are not valid")
        return 1
    say("INFO", f"Backup {given['-i']} is valid." if "-i" in given else "All backups are valid")
    return 0


def shown(record):
    found = {
        "id": record["id"], "backup-mode": "FULL", "wal": "STREAM", "compress-alg": "none", "compress-level": 1,
        "from-replica": "true" if record["from-replica"] else "false", "block-size": 8192, "xlog-block-size": 8192,
        "checksum-version": 1, "program-version": PROGRAM, "server-version": "9.2", "current-tli": record.get("tli", 0),
        "parent-tli": 0, "start-lsn": record.get("start-lsn", "0/0"), "stop-lsn": record.get("stop-lsn", "0/0"),
        "start-time": moment(record["start"]),
    }
    if "end" in record:
        found.update({
            "end-time": moment(record["end"]), "recovery-xid": record["xid"], "recovery-time": moment(record["end"]),
            "data-bytes": record["size"], "wal-bytes": record["wal"], "uncompressed-bytes": record["size"],
            "pgdata-bytes": record["size"], "dssdata-bytes": 0,
        })
    found["status"] = record["status"]
    if "crc" in record:
        found["content-crc"] = record["crc"]
    return found


def show(given):
    root = pathlib.Path(given["-B"]) / "backups"
    if not root.is_dir():
        raise Failed(f"backup catalog '{given['-B']}' does not exist")
    names = [given["--instance"]] if "--instance" in given else sorted(path.name for path in root.iterdir())
    listed = []
    for name in names:
        chosen = records(instance_of({**given, "--instance": name}))
        if "-i" in given:
            chosen = [record for record in chosen if record["id"] == given["-i"]]
            if not chosen:
                raise Failed(f"Requested backup \"{given['-i']}\" is not found.")
        listed.append({"instance": name, "backups": [shown(record) for record in chosen]})
    if given.get("--format") == "json":
        # The release candidate still had the old form.
        new = place.release() >= (6,) and "RC1" not in place.product()["version"]
        place.say(json.dumps({"backup_info": listed} if new else listed, indent=4))
        return 0
    columns = ["Instance", "Version", "ID", "Recovery Time", "Mode", "WAL Mode", "TLI", "Time", "Data", "WAL", "Zratio",
               "Start LSN", "Stop LSN", "Type", *(["S3 Status"] if place.release() >= (7,) else []), "Status"]
    place.say("  ".join(columns))
    for entry in listed:
        for found in entry["backups"]:
            row = [entry["instance"], "9.2", found["id"], found.get("recovery-time", "----"), "FULL", "STREAM",
                   f"{found['current-tli']}/0", "1s", f"{found.get('data-bytes', 0) // 1048576}MB",
                   f"{found.get('wal-bytes', 0) // 1048576}MB", "1.00", found["start-lsn"], found["stop-lsn"], "FILE",
                   found["status"]]
            place.say("  ".join(row))
    return 0


def restore(given):
    directory, record = wanted(given)
    if "-D" not in given:
        raise Failed("Required parameter not specified: PGDATA (-D, --pgdata)")
    target = pathlib.Path(given["-D"])
    if target.is_dir() and any(target.iterdir()):
        raise Failed(f"Restore destination is not empty: \"{target}\"")
    if record["status"] not in ("OK", "DONE"):
        raise Failed(f"Backup {record['id']} has status: {record['status']}")
    if "--no-validate" not in given:
        say("INFO", f"Validating backup {record['id']}")
        if not check(directory, record):
            raise Failed(f"Backup {record['id']} is corrupt.")
    say("INFO", f"Backup {record['id']} is valid.")
    say("INFO", f"Restoring the database from backup at {moment(record['start'])}")
    shutil.copytree(directory / record["id"] / "database", target, dirs_exist_ok=True)
    target.chmod(0o700)
    say("INFO", "Backup files are restored. Transfered bytes: %dMB, time elapsed: 0" % (record["size"] // 1048576))
    say("INFO", f"Restore of backup {record['id']} completed.")
    return 0


def delete(given):
    if "-i" not in given:
        raise Failed("Backup ID must be specified for delete command")
    directory, record = wanted(given)
    say("INFO", f"Delete: {record['id']} {moment(record['start'])}")
    shutil.rmtree(directory / record["id"])
    return 0
