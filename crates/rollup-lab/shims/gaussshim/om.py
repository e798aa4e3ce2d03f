"""gs_om: the cluster as a whole, over ssh as the owner of the server."""

import getopt
import json
import os
import subprocess
import sys

from . import place

CONNECT = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"]
HEADER = "    node   node_ip         port      instance                            state"
ACTIONS = ("start", "stop", "restart", "status", "refreshconf", "view", "query")


def on(node, command):
    """Runs a shell line on a node, this one included: exit code and standard output."""
    line = f"source ~/gauss_env >/dev/null 2>&1; {command}"
    words = ["bash", "-c", line] if node["name"] == os.uname().nodename else [*CONNECT, node["ip"], line]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    return done.returncode, done.stdout


def nodes():
    return place.cluster()["nodes"]


def view_of(node):
    """Role, state and detail of a node, from what its gs_ctl says."""
    code, text = on(node, f"gs_ctl query -D {node['datadir']}")
    found = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() in ("local_role", "db_state", "detail_information"):
            found.setdefault(key.strip(), value.strip())
    if code == 255:
        return "Unknown", "Unknown", ""
    if "local_role" not in found:
        return "Down", "Manually stopped", ""
    return found["local_role"], found["db_state"], found.get("detail_information", "")


def state_word(state, detail):
    """`Need repair(WAL)`: the first word of the reason."""
    return f"{state}({detail.split()[0].rstrip('.')})" if state == "Need repair" and detail else state


def cluster_state(views):
    """One word for what the nodes are together."""
    primaries = [view for view in views if view[:2] == ("Primary", "Normal")]
    others = [view for view in views if view[0] != "Primary"]
    if len(primaries) != 1 or len(primaries) + len(others) != len(views):
        return "Unavailable"
    good = (("Standby", "Normal"), ("Cascade Standby", "Normal"))
    return "Normal" if all(view[:2] in good for view in others) else "Degraded"


def status(detail):
    views = [view_of(node) for node in nodes()]
    if not detail:
        line = "-" * 70
        place.say(f"{line}\n\ncluster_name    : {place.cluster()['name']}\ncluster_state   : {cluster_state(views)}\n"
                  f"redistributing  : No\n\n{line}")
        return 0
    place.say(f"[   Cluster State   ]\n\ncluster_state   : {cluster_state(views)}\nredistributing  : No\n"
              f"current_az      : AZ_ALL\n\n[  Datanode State   ]\n\n{HEADER}\n{'-' * 94}")
    for node, (role, state, why) in zip(nodes(), views):
        place.say(row(node, role, state_word(state, why)))
    return 0


def row(node, role, state):
    return (f"AZ1 {node['id']:<2} {node['name']} {node['ip']:<15} {node['port']:<10} {node['instance']} {node['datadir']} "
            f"{node['part']:>3} {role.split()[0]:<7} {state}")


def dynamic():
    """Who was what when `refreshconf` was last run; whoever never runs it starts with the roles of the installation."""
    try:
        with open(place.home() / "bin" / "cluster_dynamic_config", encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {node["name"]: "primary" if node["part"] == "P" else "standby" for node in nodes()}


def refreshconf():
    place.say("Generating dynamic configuration file for all nodes.")
    roles = {node["name"]: view_of(node)[0].lower().replace(" ", "_") for node in nodes()}
    if list(roles.values()).count("primary") != 1:
        place.say("[GAUSS-51632] : Failed to generate the dynamic configuration file: expected one primary.")
        return 1
    text = json.dumps(roles)
    for node in nodes():
        code, _ = on(node, f"cat > $GAUSSHOME/bin/cluster_dynamic_config <<'ROLES'\n{text}\nROLES")
        if code:
            place.say(f"[GAUSS-51400] : Failed to distribute the dynamic configuration file to {node['name']}.")
            return 1
    place.say("Successfully generated dynamic configuration file.")
    return 0


def start():
    place.say("Starting cluster.\n" + "=" * 41)
    failed = [node["name"] for node in nodes()
              if on(node, f"gs_ctl start -D {node['datadir']} -M {dynamic()[node['name']]} >/dev/null")[0]]
    if failed:
        place.say(f"[GAUSS-53600]: Can not start the database, the cmd is gs_ctl start, Error:\n{', '.join(failed)}.")
        return 1
    place.say("=" * 41 + "\nSuccessfully started.")
    return 0


def stop():
    place.say("Stopping cluster.\n" + "=" * 41)
    order = sorted(nodes(), key=lambda node: node["part"] == "P")
    command = "gs_ctl status -D {0} > /dev/null && gs_ctl stop -D {0} -m fast"
    # 3: it did not run.
    failed = [node["name"] for node in order if on(node, command.format(node["datadir"]))[0] not in (0, 3)]
    if failed:
        place.say(f"[GAUSS-53606]: Can not stop the database, the cmd is gs_ctl stop, Error:\n{', '.join(failed)}.")
        return 1
    place.say("Successfully stopped cluster.\n" + "=" * 41 + "\nEnd stop cluster.")
    return 0


def with_manager(action, detail):
    """Where there is a cluster manager, gs_om asks it."""
    query = ["query", "-v", "-C", "-i", "-d", "-p"] if detail else ["query"]
    words = {"start": ["start"], "stop": ["stop"], "status": query}
    return subprocess.run([place.home() / "bin" / "cm_ctl", *words[action]], check=False).returncode


def main(words):
    place.version_option(words)
    if os.geteuid() == 0:
        place.say("[GAUSS-50105] : Cannot run this script as a user with the root permission.")
        return 1
    try:
        found, _ = getopt.gnu_getopt(words, "t:h:m:l:?", ["detail", "all", "az=", "mode=", "time-out=", "help", "reset"])
    except getopt.GetoptError as error:
        place.say(f"[GAUSS-50000] : Unrecognized parameter: {error}.")
        return 1
    given = dict(found)
    action, detail = given.get("-t"), "--detail" in given
    if action not in ACTIONS:
        place.say(f"[GAUSS-50004] : Unsupported action. Not supported -t parameter: {action}.")
        return 1
    if (place.home() / "bin" / "cm_ctl").exists() and action in ("start", "stop", "status"):
        return with_manager(action, detail)
    if action in ("status", "query"):
        return status(detail or action == "query")
    if action == "restart":
        return stop() or start()
    if action == "view":
        place.say(json.dumps(place.cluster(), indent=2))
        return 0
    return {"refreshconf": refreshconf, "start": start, "stop": stop}[action]()


