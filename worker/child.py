"""A process of `nightread up`: in a group of its own, and never left behind by the one that started it.

Linux ends it when its parent dies (PR_SET_PDEATHSIG), and a keeper ends the rest of its group, such as converting
processes, also where there is no Linux. The kernel means the *thread* that forked when it says parent: `start` is
for the main thread only.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from worker import keeper

# Run before the program itself, in the same process: `preexec_fn` may deadlock where there are threads.
_TIE = """
import ctypes, os, signal, sys
tie = getattr(ctypes.CDLL(None), "prctl", None)
if tie: tie(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]): sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Keeper:
    """Outlives this process for a moment, to end what it leaves."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process = self._start()

    def add(self, group: int) -> None:
        """A group to end when we do."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """A group that ended."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End it; it ends the groups that are left."""
        with contextlib.suppress(BrokenPipeError):
            _stdin(self._process).close()
        self._process.wait()

    def revive(self) -> None:
        """Start it anew if somebody ended it."""
        if self._process.poll() is None:
            return
        with contextlib.suppress(BrokenPipeError):
            _stdin(self._process).close()
        self._process = self._start()
        for group in self._groups:
            self._tell(f"+{group}\n")

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-I", "-S", keeper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # it was ended: `revive` tells the next one
            stdin = _stdin(self._process)
            stdin.write(line)
            stdin.flush()


def start(command: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a process that ends with this one; `command` begins with the program's absolute path."""
    assert threading.current_thread() is threading.main_thread()
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *command],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        process_group=0,
    )


def sweep(group: int) -> None:
    """End what a process that is gone left in its group, and let nobody stay a zombie where we are process 1."""
    keeper.kill_group(group)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass


def _stdin(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdin is not None
    return process.stdin
