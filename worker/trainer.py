"""The trainer's process: `nightread-train …` as a child, watched while it works, ended when it must.

What it says goes to our log, and its last lines are kept as the reason of a failure. Assumes that it makes itself
safe to be ended at any moment. Knows no ledger: whether the run is still ours is asked of `still_ours`.
"""

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread

from pipeline.errors import NightreadError
from worker.pulse import Pulse

PROGRAM = (sys.executable, "-m", "training")
LOOK_SECONDS = 5.0
LINES_KEPT = 5  # of what the trainer said last
ENDING_SECONDS = 30.0  # for a trainer that was asked to end


class TrainerFailed(NightreadError):
    """The trainer ended by itself with an exit code that is not 0; the message has its last line."""


class TrainerStopped(NightreadError):
    """We ended the trainer: this worker drains, or the run is another's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """How the trainer is run for one training run."""

    still_ours: Callable[[], bool]  # renews the lease; False: another worker has the run
    lease_looks: int  # looks between two renewals
    look_seconds: float
    pulse: Pulse
    stop: Event
    program: Sequence[str] = PROGRAM

    def __call__(self, *arguments: str) -> None:
        """Run it to its end; raises TrainerFailed or TrainerStopped."""
        said: deque[str] = deque(maxlen=LINES_KEPT)
        with subprocess.Popen(  # noqa: S603  # our own program, and paths that the operator gave
            [*self.program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        ) as process:
            listener = Thread(target=self._listen, args=(process, said), daemon=True)
            listener.start()
            ended = self._watch(process)
            listener.join()
        if process.returncode and ended:
            raise TrainerStopped(ended)
        if process.returncode:
            last = said[-1] if said else "it said nothing"
            command = f"nightread-train {arguments[0]}"
            raise TrainerFailed(f"{command} ended with exit code {process.returncode}: {last}")

    def _listen(self, process: "subprocess.Popen[str]", said: deque[str]) -> None:
        """What the trainer says moves the pulse and goes to our log."""
        for line in process.stdout or ():
            said.append(line.strip())
            self.pulse.moved()
            sys.stderr.write(line)

    def _watch(self, process: "subprocess.Popen[str]") -> str:
        """Until it ends; why we ended it, "" when it ended by itself."""
        look, why = 0, ""
        while process.poll() is None and not why:
            if self.stop.wait(self.look_seconds):
                why = "its worker was stopped; it begins again"
            look += 1
            self.pulse.moved()  # the trainer lives; how it does is in its log
            if not why and look % self.lease_looks == 0 and not self.still_ours():
                why = "another worker has it"
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        return why
