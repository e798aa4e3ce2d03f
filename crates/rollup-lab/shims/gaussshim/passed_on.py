"""pg_controldata: the one of PostgreSQL underneath."""

import os

from . import place


def main(words):
    os.execv(place.POSTGRES / place.TOOL[0], [place.TOOL[0], *words])
