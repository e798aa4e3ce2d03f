"""Which tool a call is for, by the name it was called under."""

import importlib
import os
import sys

from . import place

TOOLS = {
    "gs_ctl": "ctl", "gsql": "gsql", "gs_guc": "guc", "gs_dump": "dump", "gs_dumpall": "dump", "gs_restore": "dump",
    "gs_basebackup": "basebackup", "gs_probackup": "probackup", "gs_om": "om", "cm_ctl": "cm", "cm_agent": "agent",
    "om_monitor": "agent", "gaussdb_keeper": "keeper", "gs_boot": "boot", "pg_controldata": "passed_on",
}


def main():
    name = os.path.basename(sys.argv[0])
    place.TOOL[0] = name
    module = importlib.import_module(f".{TOOLS[name]}", __package__)
    try:
        code = module.main(sys.argv[1:])
    except BrokenPipeError:
        code = 1
    except KeyboardInterrupt:
        code = 130
    place.end(code or 0)
