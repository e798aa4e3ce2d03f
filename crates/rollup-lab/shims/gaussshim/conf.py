"""`postgresql.conf` in the dialect of openGauss, and what the PostgreSQL underneath reads instead.

The file in the data directory is the one that people and tools see. PostgreSQL would refuse it, so each start and each
reload writes `gaussdb.underlying.conf` from it: names of openGauss become placeholders (`opengauss.NAME`), so that SQL
can show them, and a few are translated to what has the same effect.
"""

import os
import pathlib
import re

from . import place

UNDERLYING = "gaussdb.underlying.conf"

# Settings that only openGauss has, with their defaults.
OWN = {
    "most_available_sync": "off", "keep_sync_window": "0", "update_lockwait_timeout": "120000", "upgrade_mode": "0",
    "enable_dcf": "off", "enable_stream_replication": "on", "replication_type": "1", "enable_thread_pool": "off",
    "pgxc_node_name": "", "local_bind_address": "", "password_encryption_type": "2", "sync_config_strategy": "all_node",
    "enable_double_write": "on", "enable_incremental_checkpoint": "on", "recovery_max_workers": "1",
    "recovery_time_target": "0", "catchup2normal_wait_time": "-1", "audit_enabled": "on", "alarm_component": "",
    "enable_default_ustore_table": "off", "sql_compatibility": "A", "lockwait_timeout": "1200000",
    "session_timeout": "600", "instance_metric_retention_time": "7", "enable_data_replicate": "off",
    "ha_module_debug": "off", "hot_standby_feedback_window": "0",
    **{f"replconninfo{number}": "" for number in range(1, 9)},
    **{f"cross_cluster_replconninfo{number}": "" for number in range(1, 9)},
}
# Name of openGauss → name of PostgreSQL with the same effect, and the unit of a bare number where it differs.
SAME = {
    "lockwait_timeout": ("lock_timeout", ""), "session_timeout": ("idle_session_timeout", "s"),
    "unix_socket_directory": ("unix_socket_directories", ""),
    "idle_in_transaction_session_timeout": ("idle_in_transaction_session_timeout", "s"),
}
LINE = re.compile(r"^\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(?:=|\s)\s*('(?:[^']|'')*'|[^#\s][^#]*?)\s*(?:#.*)?$")


def read(text):
    """The settings of a `postgresql.conf`: name → value without its quotes. The last line of a name counts."""
    found = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match and not line.lstrip().startswith("#"):
            found[match.group(1).lower()] = unquoted(match.group(2).strip())
    return found


def unquoted(value):
    return value[1:-1].replace("''", "'") if len(value) > 1 and value[0] == value[-1] == "'" else value


def quoted(value):
    return "'" + value.replace("'", "''") + "'"


def settings(datadir):
    """The settings in the data directory, over the defaults that only openGauss has."""
    text = (pathlib.Path(datadir) / "postgresql.conf").read_text(encoding="utf-8")
    return {**OWN, **read(text)}


def port(datadir):
    return int(settings(datadir).get("port", "5432"))


def connections(values):
    """The `replconninfoN` of a node, each as a dictionary: localhost, localport, remotehost, remoteport …"""
    texts = [values[f"replconninfo{number}"] for number in range(1, 9)]
    return [dict(word.split("=", 1) for word in text.split() if "=" in word) for text in texts if text]


def with_unit(value, unit):
    return value + unit if value.isdigit() and value != "0" else value


def underlying(values, mode, waits_for_standbys=True):
    """What PostgreSQL reads. `mode` is the role that the server was told to play."""
    lines = ["# Written anew from postgresql.conf at each start and reload; edits are lost."]
    for name, value in values.items():
        if name in OWN:
            lines.append(f"opengauss.{name} = {quoted(value)}")
        if name in SAME:
            same, unit = SAME[name]
            lines.append(f"{same} = {quoted(with_unit(value, unit))}")
        elif name == "wal_keep_segments":
            lines.append(f"wal_keep_size = {int(value) * 16}MB")
        elif name not in OWN:
            lines.append(f"{name} = {quoted(value)}")
    names = values.get("synchronous_standby_names", "*")
    replication = connections(values)
    product = place.product()
    fixed = {
        "synchronous_standby_names": names if waits_for_standbys else "",
        "opengauss.synchronous_standby_names": names,
        "opengauss.mode": mode,
        "opengauss.static_connections": str(len(replication)),
        "opengauss.local_host": replication[0]["localhost"] if replication else "127.0.0.1",
        "opengauss.version_text": version_text(),
        "opengauss.release": product["version"],
        "opengauss.deployment": "BusinessCentralized" if place.commercial() else "OpenSourceCentralized",
        "primary_conninfo": "" if mode in ("primary", "normal", "pending") else conninfo(values, replication),
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m %d %u %h %p ",
        "wal_log_hints": "on",
        "wal_retrieve_retry_interval": "1s",
    }
    if mode == "normal":
        fixed["max_wal_senders"] = "0"
    lines += [f"{name} = {quoted(value)}" for name, value in fixed.items()]
    return "\n".join(lines) + "\n"


def conninfo(values, replication):
    """How a standby reaches its primary: the port of the server is the one before its HA port."""
    if not replication:
        return ""
    first = replication[0]
    name = values["pgxc_node_name"] or "standby"
    return (f"host={first['remotehost']} port={int(first['remoteport']) - 1} user=omm application_name={name} "
            "connect_timeout=5")


def version_text():
    if place.commercial():
        return (f"gaussdb ({place.name_and_build()}) {place.compiled()} on x86_64-unknown-linux-gnu, "
                "compiled by g++ (GCC) 10.3.0, 64-bit")
    return (f"({place.name_and_build()}) {place.compiled()} on x86_64-unknown-linux-gnu, "
            "compiled by g++ (GCC) 7.3.0, 64-bit")


def write_underlying(datadir, mode, waits_for_standbys=True):
    replace(pathlib.Path(datadir) / UNDERLYING, underlying(settings(datadir), mode, waits_for_standbys))


def replace(path, text):
    """Replaces a file, so that no reader ever sees half of it."""
    new = path.with_name(path.name + f".{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    os.chmod(new, 0o600)
    os.replace(new, path)


def changed(text, name, value):
    """The text of a `postgresql.conf` with a setting changed: at its own line, or at the end."""
    lines, line, done = [], f"{name} = {value}", False
    for old in text.splitlines():
        match = LINE.match(old)
        if match and match.group(1).lower() == name and not old.lstrip().startswith("#"):
            if not done:
                lines.append(line)
            done = True
        else:
            lines.append(old)
    return "\n".join(lines + ([] if done else [line])) + "\n"
