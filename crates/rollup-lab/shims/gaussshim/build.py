"""gs_ctl build: replaces what a standby has by a copy of its primary."""

import os
import pathlib
import shutil
import subprocess
import sys

import psycopg2

from . import conf, place, server

# What a build leaves in the directory.
KEPT = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "pg_ctl.lock", "gaussdb.state", "postmaster.opts")


class Failed(Exception):
    pass


def run(options, stop, launch):
    datadir = options.datadir
    # A word that is none of the two means what no word means.
    wanted = options.build if options.build in ("full", "incremental") else "auto"
    kind = "full" if wanted == "full" else "incremental"
    place.log(f"gs_ctl {kind} build ,datadir is {datadir}")
    running = server.running(datadir)
    role = server.role(datadir) if running else None
    if role and role[0] == "Primary":
        place.log("The local server run as Primary,build cannot be executed.")
        return 1
    if running or server.keeper(datadir):
        place.say("waiting for server to shut down.... ", end="")
        if running:
            server.stop(running, "fast")
        if not place.until(options.seconds, lambda: not server.keeper(datadir) and not server.running(datadir), 0.05):
            place.say("failed")
            place.log(f" server does not shut down ({datadir})")
            return 1
        place.say("done\nserver stopped")
    place.log(f"current workdir is ({os.getcwd()}).")
    place.NODE[0] = conf.settings(datadir)["pgxc_node_name"]
    if kind == "incremental":
        try:
            incremental(datadir)
        except Failed as error:
            if wanted == "incremental":
                return failed(datadir, kind, error)
            place.log("inc build failed, change to full build.")
            kind = "full"
    if kind == "full":
        try:
            full(datadir)
        except Failed as error:
            return failed(datadir, kind, error)
    server.change_state(datadir, mode="standby", build={"state": "Build completed"})
    word = "full build build completed" if kind == "full" else "incremental build completed"
    word = word if place.release() >= (3,) else "build completed"
    place.log(f"{word}({datadir}).")
    if not options.start_after:
        return 0
    options.logfile = options.logfile or str(place.server_log())
    return launch(options, options.mode or "standby")


def failed(datadir, kind, error):
    server.change_state(datadir, build={"state": "Build failed"})
    place.log(str(error))
    place.log(f"{kind} build failed({datadir}).")
    return 1


def mark(datadir, kind, total=1):
    word = "FULL_BUILD" if kind == "Full" else "INC_BUILD"
    if total == 1:
        place.log(f"set gaussdb state file when {kind.lower()} build build:db state(BUILDING_STATE), "
                  f"server mode(STANDBY_MODE), build mode({word}).")
    connections = len(conf.connections(conf.settings(datadir)))
    server.change_state(datadir, mode="standby", static_connections=connections,
                        build={"state": "Building", "mode": kind, "total": total})


def primary(datadir):
    """Where the primary answers: host and port, and its size in kilobytes."""
    if place.fault("build-fails") == "connect":
        raise Failed("could not connect to server.")
    for peer in conf.connections(conf.settings(datadir)):
        host, port = peer["remotehost"], int(peer["remoteport"]) - 1
        try:
            connection = psycopg2.connect(host=host, port=port, user="omm", dbname="postgres", connect_timeout=5)
            connection.autocommit = True
            found = server.rows(connection, "select pg_is_in_recovery(), current_setting('opengauss.mode'), "
                                            "(select sum(pg_database_size(oid)) / 1024 from pg_database)::bigint")[0]
            connection.close()
        except psycopg2.Error:
            continue
        if not found[0] and found[1] == "primary":
            return host, port, found[2]
    raise Failed("could not connect to server.")


def full(datadir):
    mark(datadir, "Full")
    host, port, total = primary(datadir)
    mark(datadir, "Full", max(total, 2))
    place.log("connected to server success, build started.")
    directory = pathlib.Path(datadir)
    for path in directory.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for line in ("clear old target dir success", "create build tag file success", "create build tag file again success",
                 "get system identifier success", "create backup label success"):
        place.log(line)
    if place.fault("build-fails") == "copy":
        raise Failed("could not receive data from the primary.")
    # PostgreSQL's tool wants an empty directory; a name in the same file system costs no second copy.
    staging = directory / "gaussdb.build"
    words = [place.POSTGRES / "pg_basebackup", "-D", staging, "-h", host, "-p", str(port), "-U", "omm", "-X", "stream",
             "-c", "fast", "--no-manifest", "--no-sync", "-v"]
    place.log(f"xlog start point: {position(host, port)}")
    for line in ("begin build tablespace list", "finish build tablespace list", "begin get xlog by xlogstream",
                 "starting walreceiver", "begin receive tar files"):
        place.log(line)
    place.say("Begin Receiving files ")
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, flush=True, file=sys.stderr)
        raise Failed("could not receive data from the primary.")
    place.say("Finish Receiving files ")
    move_up(staging, directory)
    place.log(f"xlog end point: {position(host, port)}")
    for line in ("fetching MOT checkpoint", "waiting for background process to finish streaming...",
                 "starting fsync all files come from source.", "finish fsync all files.", "build dummy dw file success",
                 "rename build status file success"):
        place.log(line)


def move_up(staging, directory):
    """The copied cluster takes its place; what is the node's own stays."""
    for path in staging.iterdir():
        if path.name not in KEPT and path.name not in ("gaussdb.keeper", conf.UNDERLYING, "switchover"):
            path.rename(directory / path.name)
    shutil.rmtree(staging)


def position(host, port):
    connection = psycopg2.connect(host=host, port=port, user="omm", dbname="postgres", connect_timeout=5)
    try:
        return server.rows(connection, "select pg_current_wal_lsn()::text")[0][0]
    finally:
        connection.close()


def incremental(datadir):
    """Only what differs. Where nothing tells what differs, there is a full build."""
    mark(datadir, "Incremental")
    host, port, total = primary(datadir)
    mark(datadir, "Incremental", max(total, 2))
    place.log("connected to server success, build started.")
    kept = {name: (pathlib.Path(datadir) / name).read_bytes() for name in KEPT[:3]}
    words = [place.POSTGRES / "pg_rewind", "-D", datadir, "--source-server",
             f"host={host} port={port} user=omm dbname=postgres", "--config-file", f"{datadir}/{conf.UNDERLYING}"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    for name, content in kept.items():
        (pathlib.Path(datadir) / name).write_bytes(content)
    if done.returncode:
        print(done.stderr, flush=True, file=sys.stderr)
        raise Failed("could not find the divergence point.")
    place.TOOL[0] = "gs_rewind"
    place.log("no rewind required" if "no rewind required" in done.stderr else "rewind done")
    place.TOOL[0] = "gs_ctl"
