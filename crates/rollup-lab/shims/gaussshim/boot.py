"""gs_boot: what the unit `opengauss.service` of the lab runs. No tool of the product.

Without a cluster manager somebody must start the server when the machine comes up: in the role that it last had.
"""

import os

from . import ctl, place, server


def main(words):
    place.TOOL[0] = "gs_ctl"
    place.refuse_root()
    datadir = os.environ["PGDATA"]
    if words == ["stop"]:
        ctl.stop(ctl.Options(["stop", "-D", datadir]))
        return 0
    return ctl.locked(ctl.Options(["start", "-D", datadir, "-M", server.last_mode(datadir)]), ctl.start)
