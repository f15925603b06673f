"""One converting process: takes chunks of claimed objects from a pipe, sends back an outcome for each.

A preprocessing that comes between two chunks is that of the views from then on.

It assumes hostile input, so it bounds itself: CPU time and memory per object, by the kernel. When it dies, the
pool that started it knows which object it had in hand. It never touches the ledger, and it imports no torch.
"""

import os
import resource
import signal
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import structlog

from db.records import ObjectWork
from pipeline.bucket import open_bucket
from pipeline.handling import AS_SHIPPED, Handling
from pipeline.study import Preprocessing
from pipeline.viewcache import open_view_cache
from worker.logs import configure_logs
from worker.pseudonyms import Pseudonyms
from worker.steps import Desk, convert_object
from worker.triage import Triage

READY = "ready"  # the first message of a process that has everything it needs

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConverterSpec:
    """Everything a converting process needs to know; sent to it when it starts."""

    source: str
    views: str  # a folder or s3://bucket/prefix
    preprocessing: Preprocessing
    pseudonym_key: bytes
    triage: Triage
    takes_indication: bool
    object_seconds: int  # CPU
    object_memory: int  # bytes
    handling: Handling = AS_SHIPPED  # must go with `views`, where masked and unmasked ones lie apart


def open_desk(spec: ConverterSpec) -> Desk:
    """Build the real collaborators of a converting step."""
    return Desk(
        bucket=open_bucket(spec.source),
        cache=open_view_cache(spec.views),
        preprocessing=spec.preprocessing,
        pseudonyms=Pseudonyms(key=spec.pseudonym_key),
        triage=spec.triage,
        takes_indication=spec.takes_indication,
        handling=spec.handling,
    )


def serve(pipe: Connection, spec: ConverterSpec) -> None:
    """Convert until the other end closes the pipe; also when the parent was killed."""
    configure_logs("info")
    cv2.setNumThreads(1)  # there is a process for each core; OpenCV's threads would only get into their way
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    try:
        desk = open_desk(spec)
        _bound_memory(spec.object_memory)
        pipe.send(READY)
        while True:
            message: list[ObjectWork] | Preprocessing = pipe.recv()
            if isinstance(message, Preprocessing):
                desk = replace(desk, preprocessing=message)
                continue
            for work in message:
                _bound_cpu(spec.object_seconds)
                pipe.send(convert_object(desk, work))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:  # noqa: BLE001  # its text may quote a key with a patient's name: the kind must do
        log.error("converter_fault", kind=type(error).__name__)  # noqa: TRY400
        os._exit(1)


def _bound_memory(allowance: int) -> None:
    """Let this process grow by so many bytes of address space beyond what its libraries already mapped."""
    with Path("/proc/self/statm").open(encoding="ascii") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, mapped + allowance)


def _bound_cpu(seconds: int) -> None:
    """Have the kernel end this process (SIGXCPU) when the next object costs more CPU time than this.

    CPU time and not the clock: a slow network or a busy machine is not the object's fault.
    """
    times = os.times()
    spent = times.user + times.system
    _limit(resource.RLIMIT_CPU, int(spent) + 1 + seconds)


def _limit(kind: int, value: int) -> None:
    """Set the limit; a harder one that the site set stays."""
    _, hardest = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hardest == resource.RLIM_INFINITY else min(value, hardest), hardest))
