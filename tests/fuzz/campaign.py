"""A fuzzing campaign: numbered inputs are converted in a child process, which the kernel ends when one costs much.

The child says the number before it begins an input, so that its death names the culprit; the campaign then goes on
behind it. `python -m tests.fuzz.campaign FIRST LAST` is the child. What counts as found: a process that died, a
CPU time above the limit, a reason that is missing or quotes the header, facts that a database would not take,
anything on stderr.
"""

import io
import json
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.conversion import convert
from pipeline.study import Conversion, Converted, Header, Preprocessing
from tests.fuzz.inputs import CANARY, seeds
from tests.fuzz.mutations import mutate

ROOT = Path(__file__).parents[2]
CPU_SECONDS = 10.0  # as a converting process of a night has
MEMORY = 800_000_000  # bytes beyond what is mapped at the start, as there
LARGEST_NUMBER = 2**31 - 1  # of an INTEGER in SQL
WANTED = Preprocessing(height=64, width=64, fit="letterbox")


@dataclass(kw_only=True)
class Found:
    """What a campaign saw."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)  # the input's number and what was wrong
    slowest_ms: float = 0.0
    slowest: int = -1
    growth_mb: float = 0.0  # resident memory above what the child had before its first input


def run(first: int, last: int) -> Found:
    """Convert inputs `first` to `last`, the end excluded, starting a new child where one dies."""
    found = Found()
    at = first
    while at < last:
        at = _child(at, last, found)
    return found


def _child(first: int, last: int, found: Found) -> int:
    """One child from `first` on; the number at which the next one begins."""
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.campaign", str(first), str(last)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output, errors = process.communicate()
    begun = first
    for line in output.splitlines():
        fact = json.loads(line)
        begun = fact["begun"]
        _take(fact, found)
    if errors:
        found.faults.append(f"{begun}: wrote to stderr: {errors[-400:]!r}")
    if process.returncode == 0:
        return last
    found.faults.append(f"{begun}: ended its process with {_ending(process.returncode)}")
    found.inputs += 1
    return begun + 1


def _take(fact: dict[str, Any], found: Found) -> None:
    found.growth_mb = max(found.growth_mb, fact.get("growth_mb", 0.0))
    if "outcome" not in fact:
        return
    found.inputs += 1
    found.outcomes[fact["outcome"]] += 1
    found.faults += [f"{fact['begun']}: {fault}" for fault in fact["faults"]]
    if fact["ms"] > found.slowest_ms:
        found.slowest_ms, found.slowest = fact["ms"], fact["begun"]


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def judge(result: Conversion) -> list[str]:
    """What is wrong with an outcome."""
    faults = []
    texts = list(result.view.notes) if isinstance(result, Converted) else [result.reason]
    if not all(texts):
        faults.append("no reason")
    if any(CANARY.lower() in text.lower() for text in texts):
        faults.append("a reason quotes the header")
    if any("cannot be decoded (" in text for text in texts):
        faults.append(f"a reason that explains nothing: {texts[0]}")
    if any("more memory" in text for text in texts):
        faults.append("out of memory")
    if isinstance(result, Converted) and result.view.pixels.shape != (WANTED.height, WANTED.width):
        faults.append("a view of another size")
    return faults + (_unfit(result.header) if result.header else [])


def _unfit(header: Header) -> list[str]:
    """What a database would not take."""
    faults = []
    for name in header.__dataclass_fields__:
        value = getattr(header, name)
        if isinstance(value, str) and ("\0" in value or value.encode(errors="replace").decode() != value):
            faults.append(f"{name} is no text that can be stored")
        if isinstance(value, int) and not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
            faults.append(f"{name} is larger than a number in SQL")
    return faults


def _resident(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def main(first: int, last: int) -> None:
    """The child."""
    begun_with = seeds()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = _resident("VmRSS")
    for number in range(first, last):
        content = mutate(number, begun_with)
        sys.stdout.write(json.dumps({"begun": number}) + "\n")
        sys.stdout.flush()
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # its signal ends the process, also in native code
        start = time.process_time()
        result = convert(io.BytesIO(content), size=len(content), preprocessing=WANTED)
        ms = 1000 * (time.process_time() - start)
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcome = "converted" if isinstance(result, Converted) else "failed" if result.failed else "skipped"
        growth = _resident("VmHWM") - before
        fact = {"begun": number, "outcome": outcome, "faults": judge(result), "ms": ms}
        sys.stdout.write(json.dumps(fact | {"growth_mb": growth}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
