"""cm_ctl: asks the agents, and says what a cluster manager says."""

import getopt
import os
import threading

from . import agent, om, place

UNREACHABLE, TIMEOUT = 255, 253


def say(text):
    place.say(f"cm_ctl: {text}")


class Asked:
    """A question that takes its time, with a dot for each second."""

    def __init__(self, node, request, seconds):
        self.answer = None
        self.thread = threading.Thread(target=self.ask, args=(node, request, seconds), daemon=True)
        self.thread.start()

    def ask(self, node, request, seconds):
        self.answer = agent.ask(node["ip"], request, seconds)

    def wait(self):
        while self.thread.is_alive():
            place.say(".", end="")
            self.thread.join(1)
        place.say("")
        return self.answer


def nodes():
    return place.cluster()["nodes"]


def views():
    """What the agents say, by node; nothing from those that do not answer."""
    return [agent.ask(node["ip"], {"ask": "status"}) for node in nodes()]


def unreachable():
    say("can't connect to cm_server.")
    place.say("Maybe cm_server is not running, or timeout expired. Please try again.")
    return UNREACHABLE


def shown(node, view, given):
    role, state = (view["role"], view["state"]) if view else ("Unknown", "Unknown")
    parts = [f"{node['id']:<2}", node["name"]]
    parts += [f"{node['ip']:<15}"] if "-i" in given else []
    parts += [str(node["instance"])]
    parts += [str(node["port"])] if "-p" in given else []
    parts += [node["datadir"]] if "-d" in given else ["   "]
    return " ".join([*parts, node["part"], role, state])


def query(given):
    found = views()
    if not any(found):
        return unreachable()
    width = max(len(node["name"]) for node in nodes())
    title = f"{'node':<{width + 4}}instance state"
    place.say(f"[  CMServer State   ]\n\n{title}\n{'-' * (20 + width)}")
    first = next(index for index, view in enumerate(found) if view)
    for index, (node, view) in enumerate(zip(nodes(), found)):
        role = "Primary" if index == first else "Standby" if view else "Down"
        place.say(f"{node['id']:<2} {node['name']:<{width}} {node['id']:<8} {role}")
    pairs = [(view["role"], view["state"]) if view else ("Unknown", "Unknown") for view in found]
    balanced = all(node["part"] != "P" or role == "Primary" for node, (role, _) in zip(nodes(), pairs))
    pausing = "pausing         : Yes\n" if any(view and view["paused"] for view in found) else ""
    place.say(f"\n[   Cluster State   ]\n\ncluster_state   : {om.cluster_state(pairs)}\nredistributing  : No\n"
              f"balanced        : {'Yes' if balanced else 'No'}\n{pausing}current_az      : AZ_ALL\n\n"
              "[  Datanode State   ]\n")
    if "-v" not in given:
        return 0
    rows = [shown(node, view, given) for node, view in zip(nodes(), found)]
    if "-w" in given and place.release() >= (6,):
        place.say("\n".join([title, "-" * (32 + width), *rows]))
    else:
        titles = [f"{title:<{len(row)}}" for row in rows[:-1]] + [title]
        place.say("\n".join([" | ".join(titles), "-" * (32 + width) * len(rows), " | ".join(rows)]))
    return 0


def chosen(given):
    """The node that `-n` and `-D` name."""
    for node in nodes():
        if str(node["id"]) == given.get("-n") and given.get("-D", node["datadir"]).rstrip("/") == node["datadir"]:
            return node
    say(f"can't find the node_id: {given.get('-n')}, data path: {given.get('-D')}.")
    place.end(1)


def switchover(given):
    node, seconds = chosen(given), int(given.get("-t", "120"))
    before = views()
    if not any(before):
        return unreachable()
    primary = next((view for view in before if view and view["role"] == "Primary"), None)
    if primary and place.release() >= (6,) and primary["most_available_sync"] in ("on", "true", "yes", "1"):
        say("primary dn most_available_sync is on, can not do switchover.")
        return UNREACHABLE
    own = before[node["id"] - 1]
    if not own:
        return unreachable()
    if own["role"] == "Primary":
        say("the instance is already primary, no need to switchover.")
        return UNREACHABLE
    if own["role"] != "Standby" or own["state"] not in ("Normal", "Catchup"):
        say(f"can not do switchover, the instance is {own['role']} {own['state']}.")
        return UNREACHABLE
    after = Asked(node, {"ask": "switchover", "seconds": seconds}, seconds + 30).wait()
    if after and after["role"] == "Primary" and after["state"] == "Normal":
        say("switchover successfully.")
        return 0
    if any(view and view["changing"] for view in views()):
        say("switchover command timeout!")
        return TIMEOUT
    # No error, says the exit code.
    say("switchover incomplete.")
    return 0


def stop(given):
    if not any(views()):
        return unreachable()
    mode = given.get("-m", "fast")
    if "-n" not in given:
        say("stop cluster. ")
        order = sorted(nodes(), key=lambda node: node["part"] == "P")
        answers = []
        for node in order:
            say(f"stop nodeid: {node['id']}")
            request = {"ask": "stop", "flag": "cluster_manual_start", "mode": mode, "seconds": 600}
            answers.append(Asked(node, request, 660).wait())
        say("stop cluster successfully." if all(answers) else "stop cluster failed in (660)s.")
        return 0 if all(answers) else TIMEOUT
    node = chosen(given)
    say(f"stop the node: {node['id']}, datapath: {node['datadir']}. ")
    request = {"ask": "stop", "flag": f"instance_manual_start_{node['instance']}", "mode": mode,
               "seconds": int(given.get("-t", "1200"))}
    answer = Asked(node, request, 1260).wait()
    if not answer or answer["role"] != "Down":
        say("stop instance failed in (1200)s.")
        return TIMEOUT
    say("stop instance successfully. ")
    return 0


def start(given):
    if not any(views()):
        return unreachable()
    seconds = int(given.get("-t", "600"))
    if "-n" not in given:
        say("checking cluster status.")
        asked = [Asked(node, {"ask": "start", "seconds": seconds, "flags":
                 ["cluster_manual_start", f"instance_manual_start_{node['instance']}"]}, seconds + 10) for node in nodes()]
        answers = [each.wait() for each in asked]
        well = all(answer and answer["role"] not in ("Down", "Unknown") for answer in answers)
        say("start cluster successfully." if well else f"start cluster failed in ({seconds})s!")
        return 0 if well else TIMEOUT
    node = chosen(given)
    say(f"start the node: {node['id']}, datapath: {node['datadir']}. ")
    flags = [f"instance_manual_start_{node['instance']}", "cluster_manual_start"]
    answer = Asked(node, {"ask": "start", "flags": flags, "seconds": seconds}, seconds + 10).wait()
    if not answer or answer["role"] in ("Down", "Unknown"):
        say(f"start instance failed in ({seconds})s!")
        return TIMEOUT
    say("start instance successfully.")
    return 0


def build(given):
    if not any(views()):
        return unreachable()
    node, seconds = chosen(given), int(given.get("-t", "1200"))
    say(f"begin to build DN instance, node: {node['id']}, datapath: {node['datadir']}.")
    request = {"ask": "build", "kind": given.get("-b", "auto"), "seconds": seconds}
    answer = Asked(node, request, seconds + 10).wait()
    if not answer or answer["code"] == 253:
        say("build command timeout!")
        return TIMEOUT
    if answer["code"]:
        say("build failed, please refer to the log of cm_agent for detailed reasons.")
        return UNREACHABLE
    say("build successfully.")
    return 0


def pause(given):
    return everywhere("pause", "The cluster has been paused.")


def resume(given):
    return everywhere("resume", "The cluster has been resumed.")


def everywhere(verb, text):
    answers = [agent.ask(node["ip"], {"ask": verb}) for node in nodes()]
    if not all(answers):
        return unreachable()
    say(text)
    return 0


VERBS = {"query": query, "switchover": switchover, "stop": stop, "start": start, "build": build, "pause": pause,
         "resume": resume}


def main(words):
    place.version_option(words)
    if os.geteuid() == 0:
        place.say("current user is the root user (uid = 0), exit.")
        return 1
    try:
        found, rest = getopt.gnu_getopt(words, "CviwdpsSxn:D:m:t:fb:I:az:cgl:", ["detail"])
    except getopt.GetoptError as error:
        say(str(error))
        place.say('Try "cm_ctl --help" for more information.')
        return 1
    if len(rest) != 1 or rest[0] not in VERBS:
        say("no operation specified" if not rest else f"unrecognized operation mode \"{rest[0]}\"")
        place.say('Try "cm_ctl --help" for more information.')
        return 1
    return VERBS[rest[0]](dict(found))


