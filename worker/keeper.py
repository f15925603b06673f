"""Ends what is left of process groups once the process that started them is gone, however it went.

A script of its own and not a module of the program: it is started by path, without the site's packages, so that it
costs next to nothing. Reads lines from stdin: `+123` is a group to end, `-123` one that ended. End of file is the
starter's death, clean or not.
"""

import os
import signal
import sys
from collections.abc import Iterable

DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # whoever ends the starter may signal us too


def keep(lines: Iterable[str]) -> None:
    """Follow the lines to their end, then kill every group that is left."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        kill_group(group)


def kill_group(group: int) -> None:
    """End every process of a group; one that is empty already is none."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody left, or only the dead that wait to be told of
        return


if __name__ == "__main__":
    for number in DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    keep(sys.stdin)
