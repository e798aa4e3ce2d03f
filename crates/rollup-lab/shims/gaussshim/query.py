"""What `gs_ctl query`, `querybuild` and `status` print."""

import pathlib

from . import place, server

HA = ("local_role", "static_connections", "db_state", "detail_information")
LOCATIONS = (
    "sender_sent_location", "sender_write_location", "sender_flush_location", "sender_replay_location",
    "receiver_received_location", "receiver_write_location", "receiver_flush_location", "receiver_replay_location",
)
SENDER = ("sender_pid", "local_role", "peer_role", "peer_state", "state", *LOCATIONS, "sync_percent", "sync_state",
          "sync_priority", "sync_most_available", "channel")
RECEIVER = ("receiver_pid", "local_role", "peer_role", "peer_state", "state", *LOCATIONS, "sync_percent", "channel")
TABLES = {
    "Senders info:": (SENDER, "pg_stat_get_wal_senders"),
    "Receiver info:": (RECEIVER, "pg_stat_get_wal_receiver"),
}


def section(title):
    return f" {title:<20}\n"


def block(keys, row):
    """One set of rows, and the empty line that follows each."""
    return "".join(f"\t{key:<30} : {value}\n" for key, value in zip(keys, row)) + "\n"


def document(ha, tables):
    """The whole answer of a server that can be asked: its state, its senders, its receiver."""
    text = section("HA state:") + block(HA, ha)
    for title, rows in tables.items():
        keys = TABLES[title][0]
        text += section(title) + ("".join(block(keys, row) for row in rows) or "No information \n")
    return text


def offline(state, detail):
    """The answer from the state file. Its rows differ from those of a server, and it has a field of its own."""
    rows = {
        "local_role": server.ROLES.get(state.get("mode"), "Unknown"),
        "static_connections": state.get("static_connections", 0),
        "db_state": state.get("transition") or "Starting",
        "detail_information": detail,
        "sync_mode": "Async",
    }
    text = " HA state:\n" + "".join(f"        {key:<30}: {value}\n" for key, value in rows.items()) + "\n"
    return text + "".join(f" {title}\n        No information\n" for title in TABLES)


def is_server_there(datadir):
    """Says why not, as the real one does: what it prints has no newline in one of the cases."""
    recorded = server.recorded(datadir)
    if recorded is None:
        place.log(f' PID file "{datadir}/postmaster.pid" does not exist')
        place.log("Is server running?")
    elif not server.is_running(recorded[0]):
        place.log(f" could not connect to the local server, the postmaster process {recorded[0]} is not running", end="")
    elif not server.is_server(recorded[0], datadir):
        place.log(f' The process recorded in PID file "{datadir}/postmaster.pid" is not current server')
        place.log("Is server running?")
    else:
        return True
    return False


def query(datadir):
    place.log(f"gs_ctl query ,datadir is {datadir} ")
    changing = server.keeper(datadir) and server.state(datadir).get("transition")
    if not (changing and not server.running(datadir)) and not is_server_there(datadir):
        return 1
    try:
        connection = server.connect(datadir)
    except server.Refused as error:
        return from_file(datadir, str(error).strip() or "Access denied")
    try:
        ha = server.rows(connection, f"select {', '.join(HA)} from pg_stat_get_stream_replications()")[0]
        tables = {
            title: server.rows(connection, f"select {', '.join(keys)} from pg_catalog.gs_shim_{source}()")
            for title, (keys, source) in TABLES.items()
        }
    except server.psycopg2.Error as error:
        return from_file(datadir, str(error).strip())
    if changing:
        ha = (ha[0], ha[1], changing, ha[3])
    if place.fault("unknown-text"):
        ha = (ha[0], ha[1], place.fault("unknown-text"), ha[3])
    place.say(document(ha, tables), end="")
    return 0


def from_file(datadir, detail):
    state = server.state(datadir)
    if not state:
        place.log(f' file "{datadir}/gaussdb.state" is not exist')
        return 1
    place.say(offline(state, detail), end="")
    return 0


def size(kilobytes):
    """`301.25MB`: two decimals, no blank."""
    for unit in ("kB", "MB", "GB"):
        if kilobytes < 1024:
            return f"{kilobytes:.2f}{unit}"
        kilobytes /= 1024
    return f"{kilobytes:.2f}TB"


def querybuild(datadir):
    place.log(f"gs_ctl build query ,datadir is {datadir} ")
    state = server.state(datadir)
    if not state:
        place.log(f' file "{datadir}/gaussdb.state" is not exist')
        return 1
    build = state.get("build") or {}
    place.say(build_document(state, build, copied(datadir) if build.get("state") == "Building" else 0), end="")
    return 0


def build_document(state, build, done):
    """`done`: kilobytes that are there."""
    rows = {
        "local_role": server.ROLES.get(state.get("mode"), "Unknown"),
        "static_connections": state.get("static_connections", 0),
        "db_state": build.get("state") or "Build completed",
        "sync_mode": "Async",
    }
    text = " HA state:\n" + "".join(f"        {key:<30}: {value}\n" for key, value in rows.items())
    if build.get("state") == "Building":
        total = max(build.get("total", 1), done, 1)
        rows = {
            "build_mode": build.get("mode", "Full"), "data_synchronized": size(done), "estimated_total_data": size(total),
            "process_schedule": f"{100 * done // total}%", "estimated_remaining_time": "--:--:--",
        }
        text += " Build state:\n" + "".join(f"        {key:<30}: {value}\n" for key, value in rows.items())
    return text + "\n"


def copied(datadir):
    """Kilobytes that a build has brought so far."""
    found = pathlib.Path(datadir).rglob("*")
    total = 0
    for path in found:
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total // 1024


def status(datadir):
    pid = server.running(datadir)
    if not pid:
        place.log("no server running")
        return 3
    place.log(f"gs_ctl: server is running (PID: {pid})")
    return 0
