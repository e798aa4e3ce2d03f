"""om_monitor and cm_agent: the cluster manager of a node. It starts a datanode that is down, and elects a primary.

What a cm_server decides in the real product the agents decide here among themselves: each knows its own node and asks
the other one. Without an answer from the other node nobody is promoted, as two nodes without a third cannot tell who is
cut off.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

from . import conf, keeper, place, query, server

PORT = 15000
# Seconds without a primary before a standby is promoted: a primary that only crashed is restarted long before.
ELECTION, PATIENCE = 6, 15


def flag(name):
    """A file of `$GAUSSHOME/bin` by which administrators and cm_ctl tell the agent what to leave alone."""
    return place.home() / "bin" / name


def is_stopped_by_hand():
    own = place.own_node()
    return flag("cluster_manual_start").exists() or flag(f"instance_manual_start_{own['instance']}").exists()


def ask(address, request, seconds=3):
    """One question to the agent of a node; nothing where nobody answers."""
    try:
        with socket.create_connection((address, PORT), timeout=min(seconds, 3)) as stream:
            stream.settimeout(seconds)
            stream.sendall((json.dumps(request) + "\n").encode())
            return json.loads(stream.makefile().readline())
    except (OSError, ValueError):
        return None


def view():
    """The datanode of this node as the others see it."""
    own = place.own_node()
    datadir = own["datadir"]
    state, role = server.state(datadir), server.role(datadir)
    building = (state.get("build") or {}).get("state") == "Building" and not role
    changing = server.keeper(datadir) and state.get("transition")
    found = {"id": own["id"], "paused": flag("cluster_paused").exists(), "manual": is_stopped_by_hand(),
             "changing": bool(changing or building), "role": "Down", "state": "Unknown", "lsn": 0,
             "most_available_sync": "off"}
    if pathlib.Path(datadir, "postgresql.conf").exists():
        found["most_available_sync"] = conf.settings(datadir)["most_available_sync"]
    if building:
        total = max(state["build"].get("total", 1), 1)
        found.update(role="Standby", state=f"Building({min(99, 100 * query.copied(datadir) // total)}%)")
    elif changing and not role:
        found.update(role=server.ROLES.get(state.get("mode"), "Unknown"), state=changing)
    elif role:
        detail = (server.ask(datadir, "select detail_information from pg_stat_get_stream_replications()") or [("",)])[0][0]
        text = f"{role[1]}({detail.rstrip('.')})" if role[1] == "Need repair" else role[1]
        where = "pg_last_wal_replay_lsn()" if role[0] != "Primary" else "pg_current_wal_lsn()"
        position = server.ask(datadir, f"select coalesce({where}, '0/0')::text")
        found.update(role=role[0], state=text, lsn=server.lsn(position[0][0]) if position else 0)
    elif server.running(datadir):
        found.update(role="Unknown", state="Starting")
    elif is_stopped_by_hand():
        found.update(state="Manually stopped")
    return found


def run(*words, seconds=3600):
    """A tool, to its end; its output goes into the log of the agent."""
    command = [str(place.home() / "bin" / words[0]), *map(str, words[1:])]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return 253
    print(" ".join(command), "ended with", done.returncode, flush=True)
    print(done.stdout, flush=True)
    return done.returncode


class Agent:
    def __init__(self):
        self.own = place.own_node()
        self.datadir = self.own["datadir"]
        self.lacking = None
        self.busy = threading.Lock()

    def serve(self):
        with socket.create_server(("", PORT)) as listener:
            while True:
                stream, (address, _) = listener.accept()
                known = {node["ip"] for node in place.cluster()["nodes"]} | {"127.0.0.1"}
                if address in known:
                    threading.Thread(target=self.answer, args=(stream,), daemon=True).start()
                else:
                    stream.close()

    def answer(self, stream):
        with stream:
            try:
                stream.settimeout(10)
                request = json.loads(stream.makefile().readline())
                stream.settimeout(None)
                verb = getattr(self, f"do_{request['ask']}", None)
                found = verb(request) if verb else {}
                stream.sendall((json.dumps(found) + "\n").encode())
            except (OSError, ValueError, KeyError) as error:
                print(f"request: {error}", flush=True)

    @staticmethod
    def do_status(_):
        return view()

    def do_switchover(self, request):
        with self.busy:
            run("gs_ctl", "switchover", "-D", self.datadir, "-t", request["seconds"])
        return view()

    def do_stop(self, request):
        flag(request["flag"]).touch()
        with self.busy:
            if server.running(self.datadir) or server.keeper(self.datadir):
                run("gs_ctl", "stop", "-D", self.datadir, "-m", request.get("mode", "fast"), "-t", request["seconds"])
        return view()

    def do_start(self, request):
        for name in request["flags"]:
            flag(name).unlink(missing_ok=True)
        place.until(float(request["seconds"]), lambda: server.role(self.datadir), 0.2)
        return view()

    def do_build(self, request):
        # A datanode that was stopped by hand is wanted again.
        flag(f"instance_manual_start_{self.own['instance']}").unlink(missing_ok=True)
        with self.busy:
            code = run("gs_ctl", "build", "-D", self.datadir, "-b", request["kind"], seconds=float(request["seconds"]))
        return {**view(), "code": code}

    @staticmethod
    def do_pause(_):
        flag("cluster_paused").touch()
        return view()

    @staticmethod
    def do_resume(_):
        flag("cluster_paused").unlink(missing_ok=True)
        return view()

    # What it does by itself.

    def turn(self):
        mine = view()
        if mine["paused"] or mine["manual"] or mine["changing"] or server.is_locked(self.datadir):
            self.lacking = None
            return
        if mine["role"] == "Down":
            self.lacking = None
            self.start()
        elif mine["role"] in ("Standby", "Cascade Standby"):
            self.elect(mine)
        else:
            self.lacking = None

    def peer(self):
        return next((ask(node["ip"], {"ask": "status"}) for node in place.peers()), None)

    def start(self):
        """In the role that it last had, unless the other node has taken it over meanwhile."""
        if not pathlib.Path(self.datadir, "postgresql.conf").exists():
            return
        mode, peer = server.last_mode(self.datadir), self.peer()
        if mode not in ("primary", "standby"):
            mode = "primary" if self.own["part"] == "P" else "standby"
        if mode == "primary" and peer and peer["role"] == "Primary":
            mode = "standby"
        run("gs_ctl", "start", "-D", self.datadir, "-M", mode, "-l", place.server_log())

    def elect(self, mine):
        """Promotes this node when nobody is the primary, both agents say so, and no standby has more."""
        peer = self.peer()
        if not peer or peer["role"] == "Primary" or peer["changing"]:
            self.lacking = None
            return
        self.lacking = self.lacking or time.monotonic()
        comes_back = peer["role"] in ("Down", "Unknown") and not peer["manual"]
        if time.monotonic() - self.lacking < (PATIENCE if comes_back else ELECTION):
            return
        behind = peer["role"] == "Standby" and (peer["lsn"], peer["id"] < mine["id"]) > (mine["lsn"], False)
        if not behind:
            run("gs_ctl", "failover", "-D", self.datadir)
            self.lacking = None


def agent():
    logs = pathlib.Path(os.environ.get("GAUSSLOG", "/tmp")) / "cm" / "cm_agent"
    logs.mkdir(parents=True, exist_ok=True)
    kept = os.open(logs / "cm_agent-current.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(kept, 1)
    os.dup2(kept, 2)
    working = Agent()
    threading.Thread(target=working.serve, daemon=True).start()
    while True:
        with working.busy:
            try:
                working.turn()
            except (OSError, ValueError, server.psycopg2.Error) as error:
                print(f"turn: {error}", flush=True)
        time.sleep(1)


def monitor():
    """Keeps the agent running. Ends with it when it is told to."""
    while True:
        child = subprocess.Popen([str(place.home() / "bin" / "cm_agent")], preexec_fn=keeper.die_together)
        signal.signal(signal.SIGTERM, lambda *_: (child.terminate(), os._exit(0)))
        child.wait()
        time.sleep(1)


def main(words):
    place.version_option(words)
    place.refuse_root()
    return monitor() if place.TOOL[0] == "om_monitor" else agent()


